"""Which cases judge a count, and bounds on one side: by definition and by simulation."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from assistant.cli import OK, REFUSED, main
from assistant.pipeline import Assistant
from assistant.settings import Settings
from segment import models, organs
from segment.bounds import bounds
from segment.calibration import Calibrated, spread, volume_bound, volume_interval
from segment.crossfit import read_judged, scored
from segment.evaluate import acceptance_band
from segment.intervals import POOLED, SIZE
from segment.measure import Wanted, measure
from segment.pools import LEAST, Pool, of_size, pool_of
from segment.quantiles import bound, cases_needed, most_coverage, quantile
from tests.phantoms import ThresholdSegmenter, ball, calibrated, grid
from tests.test_cli import violations
from tests.test_measure import found

ORGAN = organs.load("hippocampus")
WANTED = Wanted(("hippocampus",), (), 0.9, 5.0)
BALL = ball(grid(field_mm=40), 9.0)
MANY = 3 * LEAST


def sized(n, coverage=0.9):
    """A calibration of n cases: small counts are too large by a u, large ones too small by one."""
    sizes = np.linspace(2.0, 4.0, n)
    scores = sizes - 3.0 + np.random.default_rng(0).normal(0, 0.3, n)
    order = np.argsort(scores)
    pairs = (tuple(scores[order].tolist()), tuple(sizes[order].tolist()))
    plain = calibrated()
    levels = tuple(
        replace(
            level,
            volume=dict.fromkeys(level.volume, pairs[0]),
            size_ml=dict.fromkeys(level.volume, pairs[1]),
        )
        for level in plain.levels
    )
    return replace(plain, levels=levels, intervals=SIZE)


def measured(calibration, wanted=WANTED):
    (record,) = measure([found()], ORGAN, wanted, calibration, (1.0, 1.0, 1.0))
    return record


def test_a_count_is_judged_by_the_third_of_cases_that_counted_as_much():
    sizes = np.linspace(1.0, 4.0, MANY).tolist()
    pools = [of_size(sizes, sizes, value, 0.9) for value in (0.2, 2.5, 9.0)]
    assert [pool.n for pool in pools] == [LEAST] * 3
    assert [score for pool in pools for score in pool.scores] == sizes
    assert [pool.note for pool in pools] == ["up to 2.00 mL", "2.00 to 3.00 mL", "over 3.00 mL"]


def test_a_third_of_too_few_cases_is_not_gone_by_and_that_is_said():
    sizes = np.linspace(1.0, 4.0, MANY - 3).tolist()
    pool = of_size(sizes, sizes, 2.5, 0.9)
    assert pool.scores == tuple(sizes)
    assert pool.note == f"all sizes, since {LEAST - 1} cases of this one are too few"


def test_a_third_that_cannot_support_the_coverage_is_not_gone_by():
    sizes = np.linspace(1.0, 4.0, MANY).tolist()
    assert cases_needed(0.95, is_two_sided=True) > LEAST
    assert of_size(sizes, sizes, 2.5, 0.95).n == MANY


def test_without_a_choice_all_cases_judge_every_count():
    sizes = np.linspace(1.0, 4.0, MANY).tolist()
    assert pool_of(POOLED, sizes, sizes, 2.5, 0.9) == Pool(tuple(sizes))


@pytest.mark.parametrize("third", range(3))
def test_each_size_is_covered_as_promised(third):
    rng = np.random.default_rng(third)
    true = rng.uniform(2, 4, 6000)
    value = true * np.exp(0.1 * (3 - true) + rng.normal(0, 0.05, 6000))
    u = 0.05
    scores = np.log(true / value) / u
    pooled = [scores[:300].tolist(), value[:300].tolist()]
    held = []
    edges = np.quantile(value[:300], (1 / 3, 2 / 3))
    for mine, count in zip(true[300:], value[300:], strict=True):
        if np.searchsorted(edges, count) == third:
            interval = volume_interval(count, u, of_size(*pooled, count, 0.9), 0.9)
            held.append(interval.lower <= mine <= interval.upper)
    assert float(np.mean(held)) in acceptance_band(100, len(held), 0.9, probability=0.99)


def test_a_record_says_by_which_cases_its_interval_was_made():
    calibration = sized(MANY)
    record = measured(calibration)
    assert record.calibration.n == LEAST
    assert record.calibration.id == "phantoms@1mm, 2.67 to 3.33 mL"
    pooled = measured(replace(calibration, intervals=POOLED))
    assert (pooled.calibration.id, pooled.calibration.n) == ("phantoms@1mm", MANY)
    width, wide = (one.interval.upper - one.interval.lower for one in (record, pooled))
    assert width < wide


def test_a_record_says_that_all_sizes_had_to_do():
    record = measured(sized(MANY - 3))
    assert "all sizes, since 29 cases of this one are too few" in record.calibration.id
    assert record.calibration.n == MANY - 3


def test_the_sizes_of_the_shipped_scores_are_those_of_the_cases():
    shipped = models.calibrated("unet")
    judged = read_judged(models.place("unet").joinpath("cases.csv"))
    assert [level.spacing_mm for level in shipped.levels] == [1.0, 2.0, 3.0, 5.0]
    for level in shipped.levels:
        for name, scores in level.volume.items():
            mine = [c for c in judged if (c.structure, c.thickness_mm) == (name, level.spacing_mm)]
            of_cases, sizes = scored(mine, shipped.floor[name])
            assert scores == pytest.approx(of_cases, abs=1e-4)
            assert level.size_ml[name] == pytest.approx(sizes, abs=1e-4)


def test_a_calibration_is_read_back_with_its_sizes_and_its_choice():
    shipped = replace(models.calibrated("unet"), intervals=SIZE)
    assert Calibrated.from_json(shipped.to_json()) == shipped


def test_a_calibration_from_before_is_pooled_and_cannot_be_grouped():
    table = json.loads(models.calibrated("unet").to_json())
    table.pop("intervals")
    for level in table["levels"]:
        level.pop("size_ml")
    old = Calibrated.from_json(json.dumps(table))
    assert old.intervals == POOLED
    with pytest.raises(ValueError, match="expected what each case counted, for intervals size"):
        replace(old, intervals=SIZE).expect_grouped()


def test_an_unknown_choice_is_refused():
    text = calibrated().to_json().replace('"pooled"', '"sideways"')
    with pytest.raises(
        ValueError, match="expected intervals pooled, size, weighted, found 'sideways'"
    ):
        Calibrated.from_json(text)


@pytest.mark.parametrize("options", [{"exam": "ct-organs"}, {"effort": "temperature"}], ids=str)
def test_what_has_no_interval_has_none_to_choose(options):
    settings = Settings(writer="template", intervals=SIZE, **options)
    with pytest.raises(ValueError, match="found none of this exam and effort; leave --intervals"):
        Assistant.from_settings(settings)


def test_a_choice_at_drafting_goes_before_the_calibrations():
    chosen = Assistant.from_settings(Settings(writer="template", intervals=SIZE, coverage=0.95))
    assert (chosen.calibrated.intervals, chosen.exam.coverage) == (SIZE, 0.95)
    usual = Assistant.from_settings(Settings(writer="template"))
    assert usual.calibrated.intervals == models.calibrated("unet").intervals


@pytest.mark.parametrize("coverage", [0.97, 0.99, 0.999])
def test_a_level_is_refused_with_the_cases_that_it_needs_before_any_work(coverage):
    n, needed = 181, cases_needed(coverage, is_two_sided=True)
    settings = Settings(writer="template", coverage=coverage)
    if needed <= n:
        assert Assistant.from_settings(settings).exam.coverage == coverage
        return
    told = f"coverage {coverage:g}: expected {needed} calibration cases, found {n}; ask for at most"
    with pytest.raises(ValueError, match=told):
        Assistant.from_settings(settings)


@pytest.mark.parametrize("is_two_sided", [True, False])
@pytest.mark.parametrize("n", [9, 19, 30, 62, 181])
def test_the_most_that_n_cases_support_is_supported_and_no_more(n, is_two_sided):
    most = most_coverage(n, is_two_sided=is_two_sided)
    assert cases_needed(most, is_two_sided=is_two_sided) <= n
    assert cases_needed(most + 0.001, is_two_sided=is_two_sided) > n


def test_an_asymmetry_whose_pairs_are_too_few_for_the_level_has_no_interval():
    wanted = Wanted(("hippocampus",), ("hippocampus",), 0.95, 5.0)
    plain = calibrated()
    few = dict.fromkeys(plain.levels[0].asymmetry, tuple(np.linspace(0.1, 1, 18).tolist()))
    levels = tuple(replace(level, asymmetry=few) for level in plain.levels)
    sides = [found("left"), found("right")]
    *volumes, index = measure(sides, ORGAN, wanted, replace(plain, levels=levels), (1.0, 1.0, 1.0))
    assert all(volume.interval.coverage == 0.95 for volume in volumes)
    assert (index.value, index.interval, str(index.reason)) == (None, None, "no-interval")


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_a_bound_is_the_quantile_of_its_own_side_and_never_beyond_the_value(coverage):
    scores = np.random.default_rng(3).normal(0.2, 1, 99).tolist()
    assert bound(scores, coverage, "above") == quantile(scores, coverage)
    assert bound(scores, coverage, "below") == -quantile([-score for score in scores], coverage)
    assert bound([score + 9 for score in scores], coverage, "below") == 0


def test_bounds_of_one_side_hold_as_often_as_they_say():
    rng = np.random.default_rng(5)
    true = rng.uniform(2, 4, 4300)
    value = true * np.exp(rng.normal(0.02, 0.08, 4300))
    pool = Pool(tuple((np.log(true / value) / 0.05)[:300].tolist()))
    least = [volume_bound(one, 0.05, pool, 0.9, "below") for one in value[300:]]
    most = [volume_bound(one, 0.05, pool, 0.9, "above") for one in value[300:]]
    band = acceptance_band(300, 4000, 0.9, probability=0.99)
    assert float(np.mean(true[300:] >= least)) in band
    assert float(np.mean(true[300:] <= most)) in band


def test_the_ends_of_an_interval_are_bounds_of_half_its_misses():
    side, calibration = found(), calibrated()
    record = measured(calibration)
    (one,) = bounds([record], [side], ORGAN, calibration, (1.0, 1.0, 1.0), 0.95)
    assert (one.at_least_ml, one.at_most_ml) == (record.interval.lower, record.interval.upper)
    assert (one.record, one.calibration) == (record.id, record.calibration)
    (eighty,) = bounds([record], [side], ORGAN, calibration, (1.0, 1.0, 1.0), 0.8)
    u = spread((3.05, 3.05), calibration.floor["hippocampus"])
    scores = calibration.levels[0].volume["hippocampus"]
    assert np.log(eighty.at_most_ml / record.value) / u == pytest.approx(quantile(scores, 0.8))


def test_what_is_withheld_has_no_bound():
    side = found(is_truncated=True)
    (record,) = measure([side], ORGAN, WANTED, calibrated(), (1.0, 1.0, 1.0))
    assert bounds([record], [side], ORGAN, calibrated(), (1.0, 1.0, 1.0), 0.95) == ()


@pytest.fixture
def crop(tmp_path, monkeypatch):
    """A crop for the command, and a segmenter of phantoms."""
    monkeypatch.setattr("segment.models.load", lambda name, *given: ThresholdSegmenter())
    monkeypatch.setattr("segment.models.calibrated", lambda name, *given: sized(MANY))
    image = nibabel.Nifti1Image(BALL.volume.array, BALL.geometry.affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / "crop.nii.gz")
    return tmp_path


def segmented(crop, *options):
    files = [crop / name for name in ("crop.nii.gz", "labels.nii.gz", "m.json")]
    words = ["segment", files[0], "-o", files[1], "--json", files[2], "--crop", "--side", "left"]
    return main([*map(str, words), *options])


def test_the_command_takes_choice_level_and_bounds(crop, capsys):
    assert segmented(crop, "--intervals", "size", "--one-sided", "0.9") == OK
    table = json.loads((crop / "m.json").read_text(encoding="utf-8"))
    assert table["provenance"]["intervals"] == "size"
    assert violations("measurements", crop / "m.json") == []
    first, *_ = table["measurements"]
    assert first["calibration"] == {"id": "phantoms@1mm, 2.67 to 3.33 mL", "n": LEAST}
    told = table["bounds"][0]
    assert first["interval"]["lower"] < told["at_least_ml"] <= first["value"]
    line = f"m1: at least {told['at_least_ml']:.2f} mL in 0.9 of cases; at most"
    assert line in capsys.readouterr().out
    assert segmented(crop, "--intervals", "pooled", "--coverage", "0.95") == OK
    table = json.loads((crop / "m.json").read_text(encoding="utf-8"))
    assert table["measurements"][0]["interval"]["coverage"] == 0.95
    assert table["measurements"][0]["calibration"]["n"] == MANY
    assert "intervals" not in table["provenance"]
    assert "bounds" not in table


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--one-sided", "0.99"], "coverage 0.99: expected 99 calibration cases, found 90; ask"),
        (["--one-sided", "1"], "coverage is a share between 0 and 1, not 1"),
        (["--coverage", "0.99"], "coverage 0.99: expected 199 calibration cases, found 90; ask"),
    ],
    ids=str,
)
def test_a_level_that_cannot_be_had_is_refused_in_one_sentence(crop, options, told, capsys):
    assert segmented(crop, *options) == REFUSED
    error = capsys.readouterr().err
    assert told in error
    assert error.strip().count("\n") == 0
    assert not (crop / "labels.nii.gz").exists()
