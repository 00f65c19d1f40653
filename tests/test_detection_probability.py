"""Scores become probabilities as by pooling adjacent violators by hand, and are judged unseen."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segment.detection_probability import (
    LEAST_PAIRS,
    expected_calibration_error,
    fit_probability,
)

SEEDS = st.integers(0, 2**32 - 1)


def pool_adjacent_violators(x, y):
    """Isotonic regression by its textbook algorithm, at each distinct score."""
    blocks = []
    for score in np.unique(x):
        blocks.append([float(y[x == score].sum()), int((x == score).sum()), 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, n, scores = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + n, blocks[-1][2] + scores]
    return [total / n for total, n, scores in blocks for _ in range(scores)]


def drawn(seed, n=60, scans=4):
    rng = np.random.default_rng(seed)
    x = np.round(rng.random(n), 1)
    y = rng.random(n) < x
    y[:2] = [True, False]
    return x, y, [int(scan) for scan in np.arange(n) % scans]


@settings(max_examples=20)
@given(SEEDS)
def test_probabilities_are_those_of_pooled_adjacent_violators(seed):
    x, y, scans = drawn(seed)
    fitted = fit_probability(x.tolist(), y.tolist(), scans)
    mine = [fitted.of(score) for score in np.unique(x)]
    assert mine == pytest.approx(pool_adjacent_violators(x, y))


@settings(max_examples=10)
@given(SEEDS)
def test_the_error_is_that_of_scans_left_out_of_the_fit(seed):
    x, y, scans = drawn(seed)
    unseen = np.zeros(len(x))
    for scan in range(4):
        out = np.array(scans) == scan
        levels = pool_adjacent_violators(x[~out], y[~out])
        unseen[out] = np.interp(x[out], np.unique(x[~out]), levels)
    fitted = fit_probability(x.tolist(), y.tolist(), scans)
    assert fitted.expected_calibration_error == pytest.approx(expected_calibration_error(unseen, y))


def test_the_error_is_the_one_added_up_by_hand():
    probabilities = np.array([0.1, 0.15, 0.15, 0.82, 0.88, 1.0])
    is_true = np.array([False, True, False, True, True, False])
    # Bins 0.1-0.2: |0.4 - 1|; 0.8-0.9: |1.7 - 2|; 0.9-1: |1 - 0|
    hand = (0.6 + 0.3 + 1.0) / 6
    assert expected_calibration_error(probabilities, is_true) == pytest.approx(hand)


def test_a_score_beyond_all_others_has_the_probability_of_the_nearest():
    x, y, scans = drawn(3)
    fitted = fit_probability(x.tolist(), y.tolist(), scans)
    assert fitted.of(-5.0) == fitted.of(float(x.min()))
    assert fitted.of(5.0) == fitted.of(float(x.max()))


def test_scores_that_tell_nothing_have_the_share_of_true_objects():
    is_true = [True, False, False] * 20
    fitted = fit_probability([0.5] * 60, is_true, list(range(60)))
    assert fitted.of(0.5) == pytest.approx(1 / 3)
    assert (fitted.n, fitted.scans) == (60, 60)


def test_the_error_is_whole_where_each_scan_tells_the_wrong_thing_of_the_other():
    # Left out, the true ones are called false after the other scan, and the false ones true.
    fitted = fit_probability([0.5] * 40, [True] * 20 + [False] * 20, ["a"] * 20 + ["b"] * 20)
    assert fitted.expected_calibration_error == pytest.approx(1.0)


def of_pairs(n, **changed):
    arguments = {
        "scores": [i / n for i in range(n)],
        "is_true": [i % 3 == 0 for i in range(n)],
        "scans": [i % 2 for i in range(n)],
    }
    return fit_probability(**{**arguments, **changed})


def test_thirty_objects_are_enough_and_one_less_is_refused():
    assert of_pairs(LEAST_PAIRS).n == LEAST_PAIRS == 30
    with pytest.raises(ValueError, match="needs 30 objects, not 29"):
        of_pairs(29)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"is_true": [True] * 29}, "not 30, 29 and 30"),
        ({"scans": [0, 1]}, "not 30, 30 and 2"),
        ({"scans": ["one"] * 30}, "needs two scans"),
        ({"scores": [math.nan] + [0.5] * 29}, "not finite"),
        ({"is_true": [True] * 30}, "all 30 objects are true"),
        ({"is_true": [False] * 30}, "all 30 objects are false"),
    ],
)
def test_pairs_that_no_calibration_can_rest_on_are_refused(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        of_pairs(30, **changed)
