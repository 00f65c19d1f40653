"""Scores are probabilities with a calibration; a reader is found by its folder."""

import math
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files

import pytest

from assistant import readers
from assistant.readers import UNCALIBRATED, Score

SCORE = Score("s1", "part.head", 0.9, "held-out", "siglip-1")


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


def test_a_finding_is_a_fact_and_its_value():
    assert (SCORE.fact, SCORE.value) == ("part", "head")


def test_the_reader_is_found_by_its_folder():
    assert readers.available() == ("siglip",)


def test_an_unknown_reader_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown reader 'palmist'; there are siglip"):
        readers.load("palmist")


def test_scores_and_the_gate_load_no_framework():
    code = (
        "import sys, assistant.readers, assistant.gate, assistant.quality;"
        "print({'torch', 'open_clip', 'timm', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


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
