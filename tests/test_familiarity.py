"""How far pictures lie from the calibration cases: by formulas, by simulation, in the product."""

import hashlib
import json

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

import prompts
from assistant.building import familiar_of
from assistant.pipeline import Assistant
from assistant.settings import Settings
from assistant.steps import Segmented
from assistant.study import Study
from assistant.verify import verify_report
from assistant.writers.template.stock import CAUTION
from segment import models, organs
from segment.familiarity import (
    CAUTION_FROM,
    Cloud,
    Familiar,
    FamiliarLevel,
    Standing,
    is_cautious,
    shrunk,
    withheld,
)
from segment.infer import crop_box, segment_crop
from segment.measure import Wanted, measure
from segment.measurement import Reason
from segment.models import Box, Looked, place
from segment.models.bottleneck import Bottleneck
from segment.models.network import layers_of
from segment.models.training.plan import case_name, subject_of
from segment.reading import read_nifti
from tests.benchmarks.unlike import read_seen
from tests.phantoms import ThresholdSegmenter, ball, calibrated, grid, head, registered
from tests.shared_data import shared_data
from tests.test_measure import found
from tests.test_pipeline import assistant_of

ORGAN = organs.load("hippocampus")
MM = (1.0, 1.0, 1.0)


def drawn(n, features=6, seed=0):
    return np.random.default_rng(seed).normal(0, 1, (n, features)).astype(np.float32)


def level(n=200, spacing_mm=1.0, features=6):
    return FamiliarLevel(spacing_mm, drawn(n, features), np.arange(n), np.arange(n))


def test_the_distance_is_that_of_the_formula():
    features = drawn(500)
    cloud = Cloud.of(features)
    apart = mahalanobis(features[3] / cloud.scale, cloud.middle / cloud.scale, cloud.precision)
    assert cloud.distance(features[3]) == pytest.approx(apart / np.sqrt(6))
    assert cloud.distance(features)[3] == pytest.approx(cloud.distance(features[3]))


def test_many_cases_leave_the_covariance_alone_and_few_draw_it_to_a_ball():
    rng = np.random.default_rng(1)
    mixed = rng.normal(0, 1, (20000, 4)) @ rng.normal(0, 1, (4, 4))
    assert shrunk(mixed) == pytest.approx(np.cov(mixed.T), rel=0.02, abs=0.02)
    few = shrunk(mixed[:6])
    assert np.linalg.cond(few) < np.linalg.cond(np.cov(mixed[:6].T))
    assert np.trace(few) == pytest.approx(np.trace(np.cov(mixed[:6].T, bias=True)))


def test_a_covariance_of_more_features_than_cases_can_be_inverted():
    distance = Cloud.of(drawn(20, 50)).distance(drawn(20, 50, seed=1))
    assert np.isfinite(distance).all()


def test_a_twentieth_of_new_cases_like_these_is_told_with_caution():
    one = level()
    standings = [one.standing(float(d)) for d in one.cloud.distance(drawn(4000, seed=2))]
    shares = [np.mean([s is wanted for s in standings]) for wanted in Standing]
    assert shares[0] == pytest.approx(CAUTION_FROM, abs=0.03)
    assert shares[2] < 0.02


def test_what_lies_beyond_every_case_is_withheld_and_so_is_no_number():
    one = level()
    assert one.standing(float(one.distances[-1])) is Standing.CAUTION
    assert one.standing(float(one.distances[-1]) * 1.001) is Standing.WITHHOLD
    assert one.standing(float("nan")) is Standing.WITHHOLD


def test_no_case_is_judged_by_its_own_subject():
    twins = np.repeat(drawn(60, 40), 2, axis=0)
    both = FamiliarLevel(1.0, twins, np.repeat(np.arange(60), 2), np.arange(120))
    leaking = FamiliarLevel(1.0, twins, np.arange(120), np.arange(120))
    assert np.median(both.distances) > 1.1 * np.median(leaking.distances)


def test_features_are_read_back_as_they_were_written(tmp_path):
    path = tmp_path / "features.safetensors"
    Familiar((level(30, 1.0), level(40, 3.0))).write(path)
    back = Familiar.read(path)
    assert [(one.spacing_mm, len(one.subjects)) for one in back.levels] == [(1.0, 30), (3.0, 40)]
    assert back.levels[1].features == pytest.approx(drawn(40), abs=2e-3)


def test_a_scan_is_held_against_cases_of_its_own_slices():
    familiar = Familiar((level(100, 1.0), level(50, 3.0)))
    seen = {"left": drawn(1, seed=4)[0]}
    assert familiar.of(seen, MM)[0].n == 100
    assert familiar.of(seen, (1.0, 1.0, 3.0))[0].n == 50
    assert familiar.of(seen, (1.0, 1.0, 6.0)) == ()
    assert Familiar().of(seen, MM) == ()


def test_an_unlike_side_is_withheld_and_the_other_is_not():
    familiar = Familiar((level(),))
    near, far = np.zeros(6, np.float32), np.full(6, 30, np.float32)
    likeness = familiar.of({"left": far, "right": near}, MM)
    assert withheld(likeness) == {"left"}
    assert not is_cautious(likeness)
    wanted = Wanted(("hippocampus",), ("hippocampus",), 0.9, 5.0)
    sides = [found("left"), found("right")]
    left, right, index = measure(sides, ORGAN, wanted, calibrated(), MM, None, {"left"})
    assert (left.reason, left.interval, left.calibration) == (
        Reason.OUTSIDE_CALIBRATION,
        None,
        None,
    )
    assert right.reason is None
    assert index.reason is Reason.DEPENDS_ON_UNRELIABLE


class Seeing(ThresholdSegmenter):
    """A segmenter of phantoms whose features are told to it."""

    features = np.zeros(6, np.float32)

    def look(self, boxes):
        return [Looked(probability, self.features) for probability in self(boxes)]


def drafted(language, features, monkeypatch):
    monkeypatch.setattr("assistant.pipeline.register", lambda volume: registered())
    segmenter = Seeing()
    segmenter.features = features
    familiar = Familiar(tuple(level(200, mm) for mm in (1.0, 2.0, 3.0)))
    assistant = assistant_of(segmenter, language, familiar=familiar)
    return assistant(Study(head(field_mm=110).volume, "head.nii.gz"))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_report_says_that_it_is_to_be_taken_with_caution(language, monkeypatch):
    one = level()
    edge = (one.caution_from + one.distances[-1]) / 2
    direction = np.ones(6, np.float32)
    middle = one.cloud.middle.astype(np.float32)
    unit = float(one.cloud.distance(middle + direction))
    report = drafted(language, middle + direction * np.float32(edge / unit), monkeypatch)
    sentence = prompts.load(language).phrases[CAUTION]
    assert sentence in [line.text for line in report.lines]
    assert {one["standing"] for one in report.provenance["likeness"]} == {"report with caution"}
    assert all(record.reason is None for record in report.measurements)
    table = report.to_json()
    assert verify_report(table) == ()
    table["lines"] = [line for line in table["lines"] if line["text"] != sentence]
    assert "no line says that the scan is reported with caution" in verify_report(table)


def test_a_usual_report_says_nothing_of_caution_and_keeps_the_distance(monkeypatch):
    report = drafted("en", level().cloud.middle.astype(np.float32), monkeypatch)
    assert prompts.load("en").phrases[CAUTION] not in [line.text for line in report.lines]
    assert [one["standing"] for one in report.provenance["likeness"]] == ["report"] * 2


def test_a_segmenter_without_features_is_judged_as_before():
    volume = ball(grid(field_mm=40), 9.0).volume
    assert segment_crop(volume, "left", ThresholdSegmenter()).features is None
    assistant = Assistant.from_settings(Settings(writer="template"))
    side = segment_crop(volume, "left", ThresholdSegmenter())
    assert assistant.likeness(volume, Segmented((side,), None)) == ()


@pytest.mark.parametrize("changed", [{"effort": "dropout"}, {"weights": "elsewhere"}], ids=str)
def test_of_other_members_than_the_shipped_nobody_knows_what_is_familiar(changed):
    assert familiar_of("unet", Settings(writer="template", **changed)).levels == ()
    assert familiar_of("unet", Settings(writer="template")).levels != ()


def test_the_features_are_the_means_of_the_coarsest_layer():
    ensemble = models.load("unet")
    network = ensemble.networks[0]
    kept = []
    hooks = [
        layer.register_forward_hook(lambda layer, given, found: kept.append(found))
        for layer in layers_of(network)
    ]
    windows = torch.rand(2, 1, 32, 48, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        network(windows)
        found = Bottleneck(network)(windows)
    for hook in hooks:
        hook.remove()
    coarsest = min((one for one in kept if one.ndim == 5), key=lambda one: one[0, 0].numel())
    assert found.numpy() == pytest.approx(coarsest.mean(dim=(2, 3, 4)).numpy(), abs=1e-5)


def test_a_look_finds_what_a_call_finds_and_features_of_each_box():
    ensemble = models.load("unet")
    noise = np.random.default_rng(0).uniform(0, 100, (2, 36, 50, 36)).astype(np.float32)
    boxes = [Box(array, np.ones(array.shape, bool)) for array in noise]
    looks, called = ensemble.look(boxes), ensemble(boxes)
    assert all((a.probability == b).all() for a, b in zip(looks, called, strict=True))
    alone = [ensemble.features([box])[0] for box in boxes]
    assert np.stack([look.features for look in looks]) == pytest.approx(np.stack(alone), abs=1e-4)


def test_the_shipped_features_are_of_the_cases_of_the_calibration():
    familiar, shipped = models.familiar("unet"), models.calibrated("unet")
    assert [one.spacing_mm for one in familiar.levels] == [1.0, 2.0, 3.0, 5.0]
    for one, scores in zip(familiar.levels, shipped.levels, strict=True):
        assert len(one.subjects) == len(scores.volume["hippocampus"])


def test_shipped_features_are_what_the_shipped_networks_see():
    data = shared_data("hippocampus")
    case = json.loads((data / "split.json").read_text())["train"][0]
    _, box = crop_box(read_nifti(data / "images" / case_name(case)), "left")
    kept = models.familiar("unet").levels[0]
    row = kept.features[kept.subjects.tolist().index(subject_of(case))]
    assert models.load("unet").features([box])[0] == pytest.approx(row, abs=0.02)


def test_crops_that_no_network_has_seen_are_as_near_as_those_it_was_trained_on():
    one = models.familiar("unet").levels[0]
    plain = [seen.features for seen in read_seen() if seen.shift.name == "none"]
    distances = one.cloud.distance(np.stack(plain))
    assert np.median(distances) < 1.1 * np.median(one.distances)
    assert distances.max() < one.distances[-1]


def test_the_weights_are_those_that_the_card_names():
    weights = place("unet").joinpath("weights.safetensors").read_bytes()
    card = place("unet").joinpath("CARD.md").read_text(encoding="utf-8")
    assert hashlib.sha256(weights).hexdigest() in card
