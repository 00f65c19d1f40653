"""Hospitals are parted by subject, and their table says what its rows hold."""

import json

import nibabel
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import mannwhitneyu

from segment.federated.learning import write_first
from segment.federated.plan import FederationPlan
from segment.federated.site import LEARNT, SENT, Site
from segment.federated.training import training_of
from segment.models.training.local import ensemble_of
from segment.models.training.plan import case_name, subject_of
from tests.benchmarks.federated_sites import FOUR, SPLIT, WHOLE, alike, write_hospitals
from tests.benchmarks.federated_table import (
    ALONE,
    CHANGES,
    PLAN,
    SCALE,
    WAYS,
    compared,
    covered,
    plan_of,
    poison,
    scores,
    table,
)
from tests.benchmarks.few_labels_judged import judged_alone
from tests.benchmarks.membership import Losses, auroc, bounds
from tests.shared_data import shared_data

RNG = np.random.default_rng(0)


def rows_of(count, errors, dice=0.9):
    """Return what judging so many subjects could find."""
    cases = [2 * n for n in range(1, count + 1)]
    parts = ("hippocampus", "hippocampus anterior", "hippocampus posterior")
    return [
        {"case": case, "structure": part, "dice": dice, "volume_error": error}
        for case, error in zip(cases, errors, strict=True)
        for part in parts
    ]


def row_of(way, kept=10, dice=0.9):
    site = {
        "val": rows_of(20, RNG.normal(0, 0.05, 20), dice),
        "kept": rows_of(kept, RNG.normal(0, 0.05, kept)),
    }
    sites = dict.fromkeys(ALONE, site)
    return {"way": way, "sites": sites, "rounds": 3, "mebibytes": 4.5, "seconds": 9.0}


def test_hospitals_share_subjects_out_and_keep_some_from_training(tmp_path):
    data = shared_data()
    plan = plan_of("federated", PLAN, tmp_path)
    whole = json.loads((data / WHOLE / SPLIT).read_text())
    held = {"train": whole["train"][:24], "val": whole["val"][:2]}
    place = tmp_path / "data"
    (place / WHOLE).mkdir(parents=True)
    for kind in ("images", "labels"):
        (place / WHOLE / kind).symlink_to((data / WHOLE / kind).resolve())
    (place / WHOLE / SPLIT).write_text(json.dumps(held))
    files = write_hospitals(FOUR, place, tmp_path / "four", plan)
    splits = [json.loads((Site.read(f).data / WHOLE / SPLIT).read_text()) for f in files]
    cases = [case for split in splits for part in ("train", "kept") for case in split[part]]
    subjects = [subject_of(case) for case in cases]
    assert sorted(subjects) == sorted({subject_of(case) for case in held["train"]})
    assert all(split["kept"] and split["train"] and split["val"] == held["val"] for split in splits)
    seen = [
        np.asarray(nibabel.load(Site.read(f).data / WHOLE / "images" / case_name(c)).dataobj)
        for f in files
        for c in held["val"][:1]
    ]
    plain = np.asarray(nibabel.load(data / WHOLE / "images" / case_name(held["val"][0])).dataobj)
    assert [np.allclose(image, plain, rtol=1e-3) for image in seen] == [False, False, False, True]
    assert all(image.shape == plain.shape for image in seen)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_has_a_plan_that_can_be_read(tmp_path, way):
    plan = FederationPlan.read(plan_of(way, PLAN, tmp_path))
    changes = CHANGES.get(way, {})
    assert plan.combine == changes.get("combine", "mean")
    assert (plan.privately is not None) == ("private" in changes)
    assert plan.sites == changes.get("sites", 4)


def test_sites_that_are_alike_have_the_four_faults_in_turn():
    assert [site.shift for site in alike(6)] == [FOUR[n % 4].shift for n in range(6)]
    assert sum(site.share for site in alike(20)) == pytest.approx(1)


def test_a_network_is_judged_as_the_usual_evaluation_does(tmp_path):
    data = shared_data()
    plan = FederationPlan.read(plan_of("federated", PLAN, tmp_path))
    write_first(plan, tmp_path / "start.safetensors", None)
    ensemble = ensemble_of(training_of(plan), [tmp_path / "start.safetensors"])
    case = json.loads((data / WHOLE / SPLIT).read_text())["val"][0]
    found, wanted = compared(ensemble, [case], data), judged_alone(ensemble, [case], data)
    assert [one["structure"] for one in found] == [one["structure"] for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one["dice"] == pytest.approx(other["dice"])
        assert one["volume_error"] == pytest.approx(other["volume_error"])


def test_a_poisoned_change_points_the_other_way(tmp_path):
    save_file({"a": torch.tensor([1.0, 2.0])}, tmp_path / SENT)
    save_file({"a": torch.tensor([1.5, 1.0])}, tmp_path / LEARNT)
    poison(tmp_path)
    wanted = torch.tensor([1 + SCALE * 0.5, 2 - SCALE])
    torch.testing.assert_close(load_file(tmp_path / LEARNT)["a"], wanted)


def test_a_score_is_positive_where_a_volume_was_too_small():
    small, large, none = scores(rows_of(3, [-0.2, 0.25, -1.0]))[:3]
    assert small > 0 > large
    assert none > small
    assert small == pytest.approx(-large)


def test_a_hospital_with_too_few_subjects_has_no_interval_of_its_own():
    assert covered(row_of("north", kept=10)) == {}
    assert covered(row_of("north", kept=40)).keys() == {"north"}
    assert covered(row_of("federated", kept=10)).keys() == {*ALONE}


def test_the_table_says_what_its_rows_hold():
    rows = [row_of("federated"), row_of("north", dice=0.8), row_of("private", dice=0.5)]
    printed = table(rows, FederationPlan.read(PLAN))
    assert "| federated | 0.900 | 0.900 |" in printed
    assert "| north | 0.800 | 0.800 |" in printed
    assert "| none | 3 | 4.5 | 9 |" in printed
    assert "Of 20 subjects an interval of 90 % holds 15 to 20 (95 %)." in printed
    assert "at delta 0.01, for each subject of a site." in printed


def test_the_attacks_auroc_is_that_of_ranks():
    members, others = RNG.normal(0, 1, 30), RNG.normal(0.5, 1, 20)
    found = auroc([Losses(tuple(members), tuple(others))])
    assert found == pytest.approx(1 - mannwhitneyu(members, others).statistic / 600)
    low, high = bounds([Losses(tuple(members), tuple(others))])
    assert low < found < high


def test_hospitals_of_unlike_losses_are_not_compared_with_each_other():
    hospitals = [Losses((1.0, 2.0), (1.5,)), Losses((11.0, 12.0), (11.5,))]
    assert auroc(hospitals) == 0.5
