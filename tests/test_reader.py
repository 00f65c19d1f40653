"""Scores are probabilities with a calibration; a reader is found by its folder."""

import math
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files

import pytest

from assistant import exams, readers
from assistant.readers import UNCALIBRATED, Score
from assistant.readers.contradiction import LARGEST_CONTRADICTED, contradiction

EXAM = exams.load("hippocampus")
SCORE = Score("s1", "part.head", 0.9, "held-out", "siglip-1")
HEAD = {"kind.mr_t1": 0.9, "kind.ct": 0.1, "part.head": 0.95, "part.trunk": 0.05}
CHEST_CT = {"kind.mr_t1": 0.01, "kind.ct": 0.99, "part.head": 0.02, "part.trunk": 0.98}


def scores(probabilities, calibration="held-out"):
    return tuple(
        Score(f"s{n}", finding, p, calibration, "siglip-1")
        for n, (finding, p) in enumerate(probabilities.items(), start=1)
    )


@pytest.mark.parametrize("probability", [-0.01, 1.01, math.nan, math.inf])
def test_a_probability_outside_of_0_and_1_is_refused(probability):
    with pytest.raises(ValueError, match="between 0 and 1"):
        replace(SCORE, probability=probability)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_a_probability_may_be_0_or_1(probability):
    assert replace(SCORE, probability=probability).probability == probability


def test_a_score_without_a_calibration_and_not_marked_so_is_refused():
    with pytest.raises(ValueError, match="mark it 'uncalibrated'"):
        replace(SCORE, calibration="")


def test_a_score_that_is_marked_uncalibrated_says_so():
    assert SCORE.is_calibrated
    assert not replace(SCORE, calibration=UNCALIBRATED).is_calibrated


@pytest.mark.parametrize(
    "wrong",
    [{"id": ""}, {"reader": ""}, {"finding": "head"}, {"finding": "part."}, {"finding": ""}],
)
def test_a_score_names_itself_its_finding_and_its_reader(wrong):
    with pytest.raises(ValueError, match="expected an id, a reader and a finding"):
        replace(SCORE, **wrong)


def test_the_reader_is_found_by_its_folder():
    assert readers.available() == ("siglip",)


def test_an_unknown_reader_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown reader 'palmist'; there are siglip"):
        readers.load("palmist")


def test_scores_and_contradictions_load_no_framework():
    code = (
        "import sys, assistant.readers.contradiction;"
        "print({'torch', 'open_clip', 'timm', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_head_in_t1_contradicts_nothing():
    assert contradiction(scores(HEAD), EXAM) is None


def test_a_chest_ct_contradicts_an_mr_of_the_head():
    assert contradiction(scores(CHEST_CT), EXAM) == "the picture looks like ct (probability 0.99)"


def test_a_t2_contradicts_an_exam_that_needs_t1():
    found = contradiction(scores({"kind.mr_t1": 0.02, "kind.mr_t2": 0.98}), EXAM)
    assert found == "the picture looks like mr t2 (probability 0.98)"


def test_contrast_does_not_contradict_t1():
    found = {"kind.mr_t1": 0.02, "kind.mr_t1_contrast": 0.97, "kind.mr_t2": 0.01}
    assert contradiction(scores(found), EXAM) is None


def test_a_trunk_in_t1_contradicts_an_exam_of_the_head():
    found = contradiction(scores({"kind.mr_t1": 1.0, "part.head": 0.03, "part.trunk": 0.97}), EXAM)
    assert found == "the picture looks like trunk (probability 0.97)"


def test_a_crop_of_the_hippocampus_shows_the_hippocampus():
    found = {"kind.mr_t1": 1.0, "part.head": 0.0, "part.hippocampus": 1.0, "part.trunk": 0.0}
    assert contradiction(scores(found), EXAM) is None


@pytest.mark.parametrize(("p", "is_refused"), [(0.05, True), (0.06, False)])
def test_what_is_improbable_but_may_be_is_not_refused(p, is_refused):
    found = contradiction(scores({"kind.mr_t1": p, "kind.ct": 1 - p}), EXAM)
    assert (found is not None) == is_refused == (p <= LARGEST_CONTRADICTED)


def test_an_uncalibrated_score_is_no_ground_for_a_refusal():
    assert contradiction(scores(CHEST_CT, UNCALIBRATED), EXAM) is None


def test_no_scores_contradict_nothing():
    assert contradiction((), EXAM) is None


def test_an_organ_without_known_parts_is_not_checked_for_them():
    exam = replace(EXAM, organ="spleen")
    assert contradiction(scores({"kind.mr_t1": 1.0, "part.head": 0.01}), exam) is None


def test_the_card_has_its_sections():
    text = files(readers).joinpath("siglip", "CARD.md").read_text(encoding="utf-8").lower()
    wanted = (
        "data",
        "who is missing",
        "split",
        "calibration",
        "fail",
        "licence",
        "sha256",
        "figures",
    )
    assert [word for word in wanted if word not in text] == []
