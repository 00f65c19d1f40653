"""Other members than an ensemble's own, from its first network, and what is made of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import prompts
from assistant import Assistant, exams
from assistant.cli import OK, REFUSED, main
from assistant.settings import Settings
from assistant.writers.template.stock import fixed_statements
from segment import models, organs
from segment.infer import segment_crop
from segment.measure import Wanted, measure
from segment.measurement import Reason, Reliability
from segment.models import Box
from segment.models.effort import Bent, spend, thinned
from tests.ledgers import plain_ledger
from tests.phantoms import ThresholdSegmenter, ball, calibrated, ellipsoid, grid
from tests.test_cli import one_sentence

SHAPE = (36, 50, 36)


@pytest.fixture(scope="module")
def ensemble():
    return models.load("unet")


@pytest.fixture(scope="module")
def box():
    bright = ellipsoid(grid(field_mm=50), (6, 14, 8)).volume.array[7:43, :, 7:43]
    noise = np.random.default_rng(0).normal(0, 40, SHAPE)
    return Box((bright + noise).astype(np.float32), np.ones(SHAPE, bool))


@pytest.fixture(scope="module")
def whole(ensemble, box):
    return ensemble([box])[0]


def members(ensemble, effort, box):
    return spend(ensemble, effort)([box])[0]


class Wide(nn.Module):
    """Two layers of which the first has many channels, all one."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv3d(1, 4000, 1)
        self.logits = nn.Conv3d(4000, 2, 1)
        nn.init.zeros_(self.features.weight)
        nn.init.ones_(self.features.bias)

    def forward(self, windows):
        return self.logits(self.features(windows))


def test_the_ensemble_is_the_effort_unless_asked(ensemble):
    assert spend(ensemble, "ensemble") is ensemble


def test_one_network_at_its_temperature_is_the_ensembles_first_member(ensemble, box, whole):
    alone = members(ensemble, "temperature", box)
    assert alone.shape[0] == 1
    assert np.allclose(alone[0], whole[0], atol=1e-4)


def test_augmentation_begins_with_the_first_member_and_goes_on_with_others(ensemble, box, whole):
    found = members(ensemble, "augmentation", box)
    assert found.shape[0] == 5
    assert np.allclose(found[0], whole[0], atol=1e-4)
    assert len({float(member[1:].sum()) for member in found}) == 5


def test_bent_intensities_keep_black_white_and_the_sign():
    bent = Bent(lambda windows: windows, 2.0)
    assert bent(torch.tensor([-0.5, 0.0, 0.5, 1.0]).reshape(1, 1, 4, 1, 1)).flatten().tolist() == [
        -0.25,
        0.0,
        0.25,
        1.0,
    ]


def test_each_member_of_dropout_is_the_same_whenever_it_is_asked(ensemble, box):
    first, again = (members(ensemble, "dropout", box) for _ in range(2))
    assert np.array_equal(first, again)
    assert len({float(member[1:].sum()) for member in first}) == len(first) == 5


def test_dropout_leaves_the_ensembles_own_network_as_it_was(ensemble, box, whole):
    members(ensemble, "dropout", box)
    assert np.array_equal(ensemble([box])[0], whole)


def test_the_share_that_is_said_is_left_out_and_the_rest_made_up_for_it():
    network = thinned(Wide(), seed=0, dropped=0.25)
    inner = network.features(torch.zeros(2, 1, 2, 2, 2)).detach()
    assert (inner == 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert inner[inner != 0].unique().tolist() == pytest.approx([1 / 0.75])
    assert float(inner.mean()) == pytest.approx(1, abs=0.04)


def test_the_logits_themselves_are_not_thinned():
    network = thinned(Wide(), seed=0, dropped=1 - 1e-9)
    bias = network.logits.bias[None, :, None, None, None].expand(1, 2, 2, 2, 2)
    assert torch.allclose(network(torch.zeros(1, 1, 2, 2, 2)), bias)


def test_dropout_of_networks_that_do_not_run_in_torch_is_refused(ensemble):
    compiled = replace(ensemble, networks=(lambda windows: windows,), runtime="OpenVINO 1")
    with pytest.raises(ValueError, match=r"found OpenVINO 1; choose --runtime torch"):
        spend(compiled, "dropout")


def test_a_rule_without_a_network_has_no_effort_to_spend():
    with pytest.raises(ValueError, match="threshold has no network to spend the effort 'dropout'"):
        models.load("threshold", effort="dropout")


def test_what_was_not_calibrated_has_a_value_and_no_interval():
    found = segment_crop(ball(grid(field_mm=40), 9).volume, "left", ThresholdSegmenter())
    wanted = Wanted(("hippocampus",), ("hippocampus",), 0.9, 0.5)
    organ = organs.load("hippocampus")
    (record,) = measure([found], organ, wanted, calibrated().without_scores(), (1.0, 1.0, 1.0))
    assert record.reliability is Reliability.WITHOUT_INTERVAL
    assert record.reason is Reason.NO_INTERVAL
    assert record.interval is None
    assert record.value == pytest.approx(3.05, rel=0.03)


def test_members_that_differ_are_withheld_by_any_effort():
    found = segment_crop(
        ball(grid(field_mm=40), 9).volume, "left", ThresholdSegmenter(offsets=(0.0, -0.6))
    )
    wanted = Wanted(("hippocampus",), (), 0.9, 0.5)
    organ = organs.load("hippocampus")
    (record,) = measure([found], organ, wanted, calibrated().without_scores(), (1.0, 1.0, 1.0))
    assert record.reason is Reason.MEMBERS_DISAGREE


def test_an_assistant_of_another_effort_has_neither_interval_nor_repeats():
    assistant = Assistant.from_settings(Settings(writer="template", effort="dropout"))
    assert not any(scores for x in assistant.calibrated.levels for scores in x.volume.values())
    assert assistant.calibrated.level((1.0, 1.0, 1.0)) is not None
    assert assistant.repeatability.id == "unknown"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"writer": "vlm"}, "expected the template writer with the effort dropout"),
        ({"exam": "ct-organs", "writer": "template"}, "found dropout, and no network of ours"),
    ],
)
def test_an_effort_that_nothing_can_be_made_of_is_refused(options, told):
    with pytest.raises(ValueError, match=told):
        Assistant.from_settings(Settings(effort="dropout", **options))


def test_an_effort_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match=r"^effort: expected one of temperature, augmentation"):
        Settings(effort="prayer")


@pytest.mark.parametrize(
    ("effort", "told"),
    [("dropout", "technique.one_network"), ("ensemble", "technique.hippocampus")],
)
def test_a_report_calls_one_network_no_ensemble(ensemble, effort, told):
    plain, words = plain_ledger(), prompts.load("en")
    named = spend(ensemble, effort).name
    method = f"voxel count, {named}"
    records = [replace(record, method=method) for record in plain.records]
    said = fixed_statements(
        replace(plain, records=tuple(records)), exams.load("hippocampus"), words
    )
    assert words.phrases[told] in [statement.text for statement in said]


def test_a_draft_is_asked_for_an_effort_by_its_name(capsys):
    assert main(["draft", "sample", "--effort", "dropout"]) == REFUSED
    assert "expected the template writer with the effort dropout" in one_sentence(capsys)


@pytest.mark.slow
def test_a_draft_of_another_effort_has_values_and_maps_and_no_interval(tmp_path):
    given = ("--effort", "dropout", "--writer", "template", "-o", str(tmp_path))
    assert main(["draft", "sample", *given]) == OK
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    volumes = [m for m in report["measurements"] if m["quantity"] == "volume"]
    assert all(m["interval"] is None for m in volumes)
    assert any(m["value"] for m in volumes)
    assert (tmp_path / "mutual_information.nii.gz").is_file()
