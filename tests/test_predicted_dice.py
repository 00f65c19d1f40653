"""What members' agreement says of the overlap with an expert, against the definition."""

import numpy as np
import pytest

from segment import models
from segment.predicted_dice import (
    DiceCurve,
    curves_from_toml,
    curves_to_toml,
    fit_dice,
    out_of_fold,
)

RNG = np.random.default_rng(0)
AGREEMENT = np.sort(RNG.uniform(0.6, 0.98, 60)).round(4).tolist()
DICE = [a - 0.05 + e for a, e in zip(AGREEMENT, RNG.normal(0, 0.02, 60), strict=True)]
SUBJECTS = [n // 2 for n in range(60)]


def pooled(dice):
    """Pool what falls until nothing does, by hand."""
    blocks = [[value] for value in dice]
    while True:
        means = [np.mean(block) for block in blocks]
        falls = [n for n in range(len(means) - 1) if means[n] > means[n + 1]]
        if not falls:
            return [mean for mean, block in zip(means, blocks, strict=True) for _ in block]
        blocks[falls[0] : falls[0] + 2] = [blocks[falls[0]] + blocks[falls[0] + 1]]


def test_a_curve_is_the_pooled_means_at_each_case():
    curve = fit_dice(AGREEMENT, DICE, SUBJECTS)
    expected = pooled(DICE)
    assert [curve(a) for a in AGREEMENT] == pytest.approx(expected, abs=1e-4)


def test_better_agreement_never_predicts_less():
    curve = fit_dice(AGREEMENT, RNG.uniform(0, 1, 60).tolist(), SUBJECTS)
    assert np.all(np.diff([curve(a) for a in np.linspace(0, 1, 200)]) >= 0)


def test_beyond_what_was_seen_the_end_stands():
    curve = fit_dice(AGREEMENT, DICE, SUBJECTS)
    assert curve(0.1) == curve.dice[0]
    assert curve(1.0) == curve.dice[-1]


def test_a_subject_is_predicted_without_its_own_cases():
    dice = [0.9, 0.9, 0.9, 0.9, 0.1, 0.1]
    agreement = [0.8, 0.81, 0.82, 0.83, 0.9, 0.91]
    assert out_of_fold(agreement, dice, list("aabbcc"))[4:] == pytest.approx([0.9, 0.9])


def test_the_error_is_that_of_subjects_left_out():
    curve = fit_dice(AGREEMENT, DICE, SUBJECTS)
    said = out_of_fold(AGREEMENT, DICE, SUBJECTS)
    assert curve.error == pytest.approx(np.abs(np.subtract(said, DICE)).mean(), abs=1e-4)
    assert (curve.subjects, curve.cases) == (30, 60)


def test_cases_of_one_subject_are_refused():
    with pytest.raises(ValueError, match="two subjects or more, found 1"):
        fit_dice([0.8, 0.9], [0.7, 0.8], [1, 1])


@pytest.mark.parametrize(
    ("agreement", "dice"), [((), ()), ((0.8, 0.7), (0.6, 0.7)), ((0.7, 0.8), (0.7, 0.6))]
)
def test_a_curve_that_falls_is_refused(agreement, dice):
    with pytest.raises(ValueError, match="expected agreements that rise"):
        DiceCurve(agreement, dice, 0.1, 2, 2)


def test_curves_come_back_from_their_file():
    curves = {"whole": fit_dice(AGREEMENT, DICE, SUBJECTS)}
    assert curves_from_toml(curves_to_toml(curves)) == curves


def test_a_curve_with_other_keys_is_refused():
    with pytest.raises(ValueError, match="'error'"):
        curves_from_toml("[whole]\nagreement = [0.5]\ndice = [0.5]\nsubjects = 2\ncases = 2\n")


def test_a_model_without_curves_predicts_nothing():
    assert models.dice_curves("threshold") == {}


def test_the_shipped_curves_are_of_the_structures_that_are_measured():
    curves = models.dice_curves("unet")
    assert list(curves) == ["hippocampus", "hippocampus anterior", "hippocampus posterior"]
    assert all(curve.subjects >= 10 and curve.error < 0.1 for curve in curves.values())
