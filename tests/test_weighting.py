"""Calibration cases weighted for other scans: by definition, by simulation, as a command."""

import json
import math
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from assistant.cli import OK, REFUSED, main
from assistant.localising import LocalRequest
from assistant.pipeline import Assistant
from assistant.settings import Settings
from segment import models, organs
from segment.calibration import Calibrated, volume_interval
from segment.crossfit import read_judged, scored
from segment.errors import ScanError
from segment.evaluate import acceptance_band
from segment.familiarity import Familiar
from segment.intervals import WEIGHTED
from segment.local.ratio import fit_ratio
from segment.local.weigh import weighted
from segment.measure import Wanted, measure
from segment.measurement import Reason
from segment.models import Looked
from segment.pools import LEAST, Pool
from segment.quantiles import quantile, weighted_bound, weighted_quantile
from segment.weighting import LARGEST, Ratio, worth
from tests.benchmarks.unlike import read_seen
from tests.phantoms import ThresholdSegmenter, ball, calibrated, grid
from tests.test_measure import found

ORGAN = organs.load("hippocampus")
WANTED = Wanted(("hippocampus",), (), 0.9, 5.0)
MM = (1.0, 1.0, 1.0)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("n", [19, 20, 52, 99])
def test_equal_weights_give_the_usual_quantile(n, coverage):
    scores = np.random.default_rng(n).normal(0, 1, n).tolist()
    assert weighted_quantile(scores, [3.0] * n, 3.0, coverage) == quantile(scores, coverage)


def test_a_score_of_weight_two_counts_as_two_scores():
    scores = [0.1, 0.2, 0.3, 0.4]
    doubled = [*scores, 0.2]
    for coverage in (0.3, 0.5, 0.6, 0.8):
        found_at = weighted_quantile(scores, [1.0, 2.0, 1.0, 1.0], 1.0, coverage)
        assert found_at == quantile(doubled, coverage)


def test_a_scan_that_outweighs_the_cases_has_no_quantile():
    assert weighted_quantile([1.0] * 50, [1.0] * 50, 10.0, 0.9) is None
    assert weighted_quantile([1.0] * 50, [1.0] * 50, math.inf, 0.9) is None
    assert weighted_bound([1.0] * 50, [1.0] * 50, math.inf, 0.9, "below") is None
    assert weighted_quantile([1.0] * 50, [0.0] * 50, 0.0, 0.9) is None


def test_weighted_cases_are_worth_fewer_than_they_are():
    assert worth([2.0] * 40) == pytest.approx(40)
    assert worth([1.0] * 10 + [0.0] * 90) == pytest.approx(10)
    assert worth([0.0, 0.0]) == 0


def test_weights_mend_the_coverage_of_shifted_cases():
    rng = np.random.default_rng(0)

    def cases(n, middle):
        place = rng.normal(middle, 1, n)
        return place, rng.normal(0, 1, n) * np.exp(0.8 * place)

    calibration, scores = cases(2000, 0.0)
    own, true = cases(4000, 1.0)
    ratio = fit_ratio(
        np.stack([calibration] * 2, 1).astype(np.float32),
        np.stack([own] * 2, 1).astype(np.float32),
    )
    weights = tuple(ratio(np.stack([calibration] * 2, 1).astype(np.float32)).tolist())
    pools = [
        Pool(tuple(scores.tolist()), "", weights, float(w))
        for w in ratio(np.stack([own] * 2, 1).astype(np.float32))[:400]
    ]
    bounds = [pool.reach(0.9) for pool in pools]
    held = np.mean([a <= t <= b for (a, b), t in zip(bounds, true[:400], strict=True)])
    low, high = Pool(tuple(scores.tolist())).reach(0.9)
    unweighted = np.mean((low <= true[:400]) & (true[:400] <= high))
    assert unweighted < 0.8
    assert float(held) in acceptance_band(int(worth(weights)), 400, 0.9, probability=0.99)


def test_the_ratio_is_that_of_two_normal_distributions():
    rng = np.random.default_rng(2)
    one, other = rng.normal(0, 1, (4000, 1)), rng.normal(0.7, 1, (3000, 1))
    ratio = fit_ratio(one.astype(np.float32), other.astype(np.float32))
    places = np.array([[-0.5], [0.0], [0.35], [1.0]], np.float32)
    expected = np.exp(0.7 * places[:, 0] - 0.7**2 / 2)
    assert ratio(places) == pytest.approx(expected, rel=0.15)


def test_no_case_weighs_more_than_it_may():
    ratio = Ratio((100.0,), 0.0)
    assert ratio(np.array([[1.0], [-1.0]], np.float32)) == pytest.approx([LARGEST, 1 / LARGEST])


def shifted(shift):
    return np.stack([s.features for s in read_seen() if (s.shift.name, s.shift.strength) == shift])


def of_shipped(shift, spacing_mm=MM):
    shipped, near = models.calibrated("unet"), models.familiar("unet").levels[0]
    judged = read_judged(models.place("unet").joinpath("cases.csv"))
    return weighted(shipped, near, judged, shifted(shift), spacing_mm)


def test_each_score_has_the_weight_of_its_own_case():
    made, near = of_shipped(("contrast", 1.8)), models.familiar("unet").levels[0]
    level, name = made.levels[0], "hippocampus"
    judged = read_judged(models.place("unet").joinpath("cases.csv"))
    case = next(c for c in judged if (c.structure, c.thickness_mm) == (name, 1))
    place = near.cases.tolist().index(case.case)
    alone, _ = scored([case], made.floor[name])
    nearest = int(np.argmin(np.abs(np.array(level.volume[name]) - alone[0])))
    assert level.weight[name][nearest] == pytest.approx(float(made.ratio(near.features[place])))
    assert made.id.startswith("out-of-fold-119-subjects-weighted-for-28-pictures")
    assert not any(level.asymmetry.values())


def test_scans_like_the_calibrations_leave_it_most_of_its_worth():
    plain, blurred = of_shipped(("none", 0)), of_shipped(("blur", 2.0))
    of_plain, of_blurred = (worth(c.levels[0].weight["hippocampus"]) for c in (plain, blurred))
    assert of_plain > 100
    assert of_blurred < of_plain


def test_scans_unlike_every_case_are_refused_with_what_is_left():
    shipped, near = models.calibrated("unet"), models.familiar("unet").levels[0]
    judged = read_judged(models.place("unet").joinpath("cases.csv"))
    apart = np.full(128, 5, np.float32)
    few_there = near.features + apart * (np.arange(181) >= 170)[:, None].astype(np.float32)
    none_near, far = replace(near, features=few_there), shifted(("none", 0)) + apart
    with pytest.raises(ScanError, match=f"expected scans that leave the calibration worth {LEAST}"):
        weighted(shipped, none_near, judged, far, MM)


def test_a_weighted_calibration_is_read_back():
    made = of_shipped(("contrast", 1.8))
    back = Calibrated.from_json(made.to_json())
    assert back.intervals == WEIGHTED
    assert back.ratio == made.ratio
    assert back.levels[0].weight["hippocampus"] == pytest.approx(
        made.levels[0].weight["hippocampus"], abs=1e-5
    )


def phantom(weight, own):
    """A calibration whose first scores weigh ``weight`` each, and a scan that weighs ``own``."""
    plain = calibrated()
    n = len(plain.levels[0].volume["hippocampus"])
    weights = tuple([weight] * 10 + [1.0] * (n - 10))
    levels = tuple(
        replace(level, weight=dict.fromkeys(level.volume, weights)) for level in plain.levels
    )
    return replace(plain, levels=levels, intervals=WEIGHTED, ratio=Ratio((0.0,), math.log(own)))


def measured(calibration, features):
    side = replace(found(), features=features)
    (record,) = measure([side], ORGAN, WANTED, calibration, MM)
    return record


def test_a_record_says_what_its_weighted_cases_are_worth():
    seen = np.zeros(1, np.float32)
    record = measured(phantom(2.0, 1.0), seen)
    weights = phantom(2.0, 1.0).levels[0].weight["hippocampus"]
    assert record.calibration.n == int(worth(weights)) < len(weights)
    assert record.calibration.id == "phantoms@1mm, weighted"
    scores = calibrated().levels[0].volume["hippocampus"]
    by_hand = volume_interval(record.value, 0.04, Pool(scores, "", weights, 1.0), 0.9)
    assert record.interval.lower == pytest.approx(by_hand.lower)
    assert record.interval.upper == pytest.approx(by_hand.upper)


@pytest.mark.parametrize(
    ("calibration", "features"),
    [
        (phantom(1000.0, 1.0), np.zeros(1, np.float32)),
        (phantom(1.0, 20.0), np.zeros(1, np.float32)),
        (phantom(1.0, 1.0), None),
    ],
    ids=["cases worth too few", "a scan that outweighs them", "a scan without features"],
)
def test_what_too_few_cases_judge_is_withheld(calibration, features):
    record = measured(calibration, features)
    assert (record.reason, record.interval) == (Reason.OUTSIDE_CALIBRATION, None)


def test_weights_that_nobody_made_cannot_be_chosen():
    with pytest.raises(ValueError, match="expected cases that were weighted for scans of yours"):
        Assistant.from_settings(Settings(writer="template", intervals=WEIGHTED))


class Seeing(ThresholdSegmenter):
    """A segmenter of phantoms that sees in each what the networks saw in a validation crop."""

    rows = shifted(("contrast", 1.8)) if read_seen() else None

    def look(self, boxes):
        start = len(self.seen)
        return [Looked(p, self.rows[start + n]) for n, p in enumerate(self(boxes))]


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """Crops that nobody labelled, and a segmenter that needs no weights."""
    made = Seeing()
    monkeypatch.setattr("segment.models.load", lambda name, *given: made)
    folder = tmp_path / "scans"
    folder.mkdir()
    phantom_of = ball(grid(field_mm=40), 9.0)
    for number in range(12):
        noise = np.random.default_rng(number).normal(0, 0.5, phantom_of.volume.array.shape)
        array = (phantom_of.volume.array + noise).astype(np.float32)
        image = nibabel.Nifti1Image(array, phantom_of.geometry.affine)
        image.header.set_xyzt_units("mm")
        image.to_filename(folder / f"crop{number:02d}.nii.gz")
    return tmp_path


def run(scans, *options):
    words = ["calibrate", "--like", scans / "scans", "--crop", "--side", "left"]
    return main([*map(str, words), "-o", str(scans / "out"), *options])


def test_the_command_weighs_for_scans_that_nobody_labelled(scans, capsys):
    assert run(scans) == OK
    told = capsys.readouterr().out
    assert "hippocampus: 181 cases, weighted worth " in told
    files = {path.name for path in (scans / "out").iterdir()}
    assert files == {"weights.safetensors", "calibration.json"}
    table = json.loads((scans / "out" / "calibration.json").read_text(encoding="utf-8"))
    assert table["intervals"] == "weighted"
    shipped = models.place("unet").joinpath("weights.safetensors").read_bytes()
    assert (scans / "out" / "weights.safetensors").read_bytes() == shipped
    crop, out = scans / "scans" / "crop00.nii.gz", scans / "labels.nii.gz"
    words = ["segment", crop, "-o", out, "--json", scans / "m.json", "--crop", "--side", "left"]
    assert main([*map(str, words), "--weights", str(scans / "out")]) == OK
    table = json.loads((scans / "m.json").read_text(encoding="utf-8"))
    record = table["measurements"][0]
    assert record["calibration"]["id"].endswith("weighted-for-12-pictures@1mm, weighted")
    assert LEAST <= record["calibration"]["n"] < 181
    assert table["provenance"]["calibration_n"] == record["calibration"]["n"]
    assert table["provenance"]["intervals"] == "weighted"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--labels", "x"], "--like: expected scans without labels alone, found --labels as well"),
        (["--coverage", "0.8"], "found --coverage as well; leave it out"),
    ],
    ids=str,
)
def test_options_of_labelled_scans_are_refused(scans, options, told, capsys):
    assert run(scans, *options) == REFUSED
    assert told in capsys.readouterr().err


def test_labelled_scans_are_not_weighted(tmp_path):
    with pytest.raises(ValueError, match="found them weighted, which needs no labels"):
        LocalRequest(tmp_path, tmp_path, intervals=WEIGHTED)


def test_too_few_scans_are_refused_before_any_work(scans, capsys):
    for path in sorted((scans / "scans").iterdir())[:3]:
        path.unlink()
    assert run(scans) == REFUSED
    assert "expected 10 scans at least, found 9; add more" in capsys.readouterr().err
    assert not (scans / "out" / "calibration.json").exists()


def test_features_that_nobody_kept_are_refused(scans, monkeypatch, capsys):
    monkeypatch.setattr("segment.models.familiar", lambda name: Familiar())
    assert run(scans) == REFUSED
    assert "expected networks whose calibration cases' features are kept" in capsys.readouterr().err
