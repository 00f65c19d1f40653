"""The table of fusions says what was judged, on whom, and what two heads cannot say."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from segment import models
from segment.detection import Scan
from segment.models import training
from segment.models.training.plan import TrainingPlan, plan_runs
from segment.objects import lesions_in_mask, lesions_in_probability
from segment.synthetic_lesions import Head
from tests.benchmarks import fusion_crops
from tests.benchmarks.froc import BEGIN, END, told
from tests.benchmarks.fusion import DOCUMENT, FULL, MISSING, NETWORKS, Cell, line_of, table
from tests.benchmarks.fusion_crops import HEADS, RESERVED, Read
from tests.phantoms import grid

CELL = Cell(
    network="fusion_early",
    head=HEADS[0],
    missing=FULL,
    dice=0.5,
    lesions=4,
    found=2,
    predicted=3,
    right=3,
    true_ml=1.5,
    load_ml=1.25,
    seconds=12.4,
    scores=(0.9, 0.8, 0.6),
    is_right=(True, True, True),
)
WORSE = replace(CELL, head=HEADS[1], found=0, predicted=2, right=0, is_right=(False, False, False))


def test_a_row_has_both_heads_in_their_order():
    assert line_of([CELL, WORSE]) == (
        "| early | none | 0.50 / 0.50 | 0.67 / 0.00 | 2 of 4 / 0 of 4 | 0 of 3 / 2 of 2 |"
        " 1.25 for 1.50 / 1.25 for 1.50 | not available | 12 |"
    )


def test_the_table_holds_whole_rows_alone_and_says_that_coverage_is_not_available():
    text = table([WORSE, CELL, replace(CELL, missing="FLAIR")])
    assert sum(line.startswith("| early |") for line in text.splitlines()) == 1
    assert "an interval of 90 % needs 19 heads" in text
    assert "357,170 parameters" in text
    assert "fusion_late: 699,232 parameters; not judged yet" in text


def test_few_objects_give_no_detection_probability_and_the_table_says_so():
    assert "fusion_early: 357,170 parameters; no detection probability: " in table([CELL, WORSE])


def test_enough_objects_give_one_that_is_judged_on_the_other_head():
    scores = tuple(np.linspace(0.5, 1, 20).tolist())
    many = [replace(c, scores=scores, is_right=(False, True) * 10) for c in (CELL, WORSE)]
    assert "from 40 objects of 2 heads is off by" in table(many)


def test_each_sequence_is_missing_once_and_all_but_flair():
    roles = models.roles_of(NETWORKS[0])
    assert {missing for missing in MISSING.values() if len(missing) == 1} == {(r,) for r in roles}
    assert set(roles) - set(MISSING["all but FLAIR"]) == {"FLAIR"}


def test_the_document_has_a_place_for_the_table():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.count("<!-- printed by tests.benchmarks.fusion -->") == 1
    assert text.count("<!-- end of what was printed -->") == 1


def test_recall_precision_and_froc_are_of_both_heads_together():
    geometry = grid(field_mm=12)
    marked, probability = np.zeros((2, *geometry.shape), bool), np.zeros(geometry.shape)
    marked[0, 1:3, 1:3, 1:3] = marked[1, 6:8, 6:8, 6:8] = True
    probability[1:3, 1:3, 1:3], probability[6:8, 6:8, 8:11] = 0.9, 0.95
    scans = [
        Scan(
            lesions_in_mask(one, geometry, smallest_mm3=0.0),
            lesions_in_probability(probability, geometry, threshold=0.5, smallest_mm3=0.0),
        )
        for one in marked
    ]
    lines = list(told({"toy": scans}))
    assert lines[0].startswith("n = 2 heads, patient07 and patient26, with 1 and 1 lesions.")
    assert "| toy | any overlap | 0.50 (1 of 2) | 0.25 (1 of 4) | 1.5 |" in lines
    assert (
        lines[-3] == "| toy | any overlap | 0.00 | 0.00 | 0.50 | 0.50 | 0.50 | 0.50 | 0.50 | 0.50 |"
    )


def test_the_document_has_a_place_for_the_tables_of_single_lesions():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.index(BEGIN) < text.index("FROC: recall at") < text.index(END)


def plan():
    return TrainingPlan.read(Path(str(files(training).joinpath("lesions.toml"))))


def test_the_plan_is_of_these_networks_and_trains_none_on_both_heads():
    split = {"train": [1, 2, 3, 4], "val": [5, 6], "folds": [[1, 2], [3, 4]]}
    first, second = plan_runs(plan(), split)
    assert (first.train, first.held_out) == ((3, 4), (1, 2))
    assert (second.train, second.held_out) == ((1, 2), (3, 4))
    for name in NETWORKS:
        assert plan().structures == tuple(models.describe(name)["structures"])


@pytest.fixture
def shown(monkeypatch):
    """Which masks a head is shown with, by its name, where a mask is a block of its own."""
    shape = (60, 60, 60)
    names = [*HEADS, *RESERVED, "patient01", "patient30"]
    known = {name: np.zeros(shape, bool) for name in names}
    lesions = np.zeros(shape, bool)
    lesions[50:53, 50:53, 50:53] = True
    tissue = np.ones(shape, bool)
    head = Head(np.ones((4, *shape), np.float32) + lesions, lesions, tissue)
    whole = (slice(0, 60),) * 3
    asked = []

    def noted(mask, head, rng):
        asked.append(next(name for name, one in known.items() if np.shares_memory(one, mask)))
        return mask

    monkeypatch.setattr(fusion_crops, "masks", lambda: known)
    monkeypatch.setattr(fusion_crops, "read_head", lambda patient: Read(head, whole, None))
    monkeypatch.setattr(fusion_crops, "placed", noted)
    return asked


@pytest.mark.parametrize("patient", HEADS)
def test_no_head_is_shown_with_the_mask_of_the_one_that_judges(patient, shown):
    crops = list(fusion_crops.crops_of(patient, False))
    assert shown == ["patient01", "patient30"]
    assert len(crops) == 2 * fusion_crops.OF_MASK + fusion_crops.REAL


@pytest.mark.parametrize("patient", HEADS)
def test_reserved_crops_are_of_reserved_masks_alone(patient, shown):
    list(fusion_crops.crops_of(patient, True))
    assert sorted(shown) == sorted(RESERVED)
