"""Lesions are matched and counted as by hand and as by trying every pairing."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from segment.detection import (
    LUNA16_RATES,
    AnyOverlap,
    AtLeastIou,
    Froc,
    FrocPoint,
    Scan,
    froc,
    rates,
)
from segment.errors import ScanError
from segment.geometry import Geometry
from segment.objects import lesions_in_mask, lesions_in_probability

LENGTH = 40
SEEDS = st.integers(0, 2**32 - 1)


def line(*runs):
    """Draw runs ``(first, last, score)`` of voxels on a line of 1 mm3 voxels."""
    field = np.zeros((LENGTH, 1, 1), dtype=np.float32)
    for first, last, score in runs:
        field[first : last + 1] = score
    return field


def grid_of(array):
    return Geometry(array.shape, np.eye(4))


def scan(true, predicted):
    """Take two fields; what is above 0 in the first is true."""
    return Scan(
        lesions_in_mask(true > 0, grid_of(true)),
        lesions_in_probability(predicted, grid_of(predicted), threshold=0.1),
    )


# Largest first: true A 0-9, B 20-25, C 35-36; predicted P 4-12 touches A, Q 22-27 touches B,
# R 30-32 touches none, S 0-1 touches A again.
TRUE = line((0, 9, 1), (20, 25, 1), (35, 36, 1))
PREDICTED = line((4, 12, 0.9), (22, 27, 0.5), (30, 32, 0.7), (0, 1, 0.25))
HAND = scan(TRUE, PREDICTED)


def test_any_overlap_finds_a_lesion_twice_and_counts_both_objects_as_right():
    matches = HAND.matches(AnyOverlap())
    assert matches.found == (True, True, False)
    assert matches.right == (True, True, False, True)


@pytest.mark.parametrize(
    ("threshold", "found", "right"),
    [
        (0.1, (True, True, False), (True, True, False, False)),
        (0.5, (False, True, False), (False, True, False, False)),  # A-P: 6/13, B-Q: 4/8
        (0.51, (False, False, False), (False, False, False, False)),
    ],
)
def test_an_intersection_over_union_pairs_one_to_one(threshold, found, right):
    matches = HAND.matches(AtLeastIou(threshold))
    assert (matches.found, matches.right) == (found, right)


def test_one_object_over_two_lesions_finds_both_by_overlap_and_one_by_pairs():
    merged = scan(line((0, 4, 1), (6, 12, 1)), line((0, 12, 0.8)))
    assert merged.matches(AnyOverlap()).found == (True, True)
    assert merged.matches(AtLeastIou(0.3)).found == (True, False)


def test_pairs_are_as_many_as_can_be_though_a_greedy_choice_makes_fewer():
    # Hand-made counts: the best single pair (10 of 11) would leave the other two without one.
    shared = np.array([[10, 5], [5, 0]])
    matches = AtLeastIou(0.2).match(shared, np.array([11, 10]), np.array([15, 10]))
    assert matches.found == matches.right == (True, True)


def test_rates_are_those_of_the_counts_over_scans():
    empty = scan(line(), line((0, 1, 0.4)))
    found = rates([HAND, empty], AnyOverlap())
    assert (found.scans, found.lesions, found.found) == (2, 3, 2)
    assert (found.predicted, found.right) == (5, 3)
    assert found.recall == pytest.approx(2 / 3)
    assert found.precision == pytest.approx(3 / 5)
    assert found.false_positives_per_scan == pytest.approx(1.0)


def test_rates_over_nothing_are_none():
    found = rates([scan(line(), line())], AtLeastIou(0.5))
    assert (found.recall, found.precision, found.false_positives_per_scan) == (None, None, 0.0)


def test_the_curve_is_the_one_drawn_by_hand():
    curve = froc([HAND, scan(line(), line((0, 1, 0.75)))], AnyOverlap())
    rows = [(p.threshold, p.sensitivity, p.false_positives_per_scan) for p in curve.points]
    hand = [(0.9, 1, 0), (0.75, 1, 1), (0.7, 1, 2), (0.5, 2, 2), (0.25, 2, 2)]
    assert rows == [pytest.approx((score, n / 3, false / 2)) for score, n, false in hand]
    assert curve.sensitivity_at(0.99) == pytest.approx(1 / 3)
    assert curve.sensitivity_at(1.0) == pytest.approx(2 / 3)


def test_no_threshold_reaches_fewer_false_positives_than_the_first():
    curve = froc([scan(line((0, 1, 1)), line((0, 1, 0.5), (5, 6, 0.5)))], AnyOverlap())
    assert curve.sensitivity_at(0.5) == 0.0


def curve_of(rows, scans=8):
    return Froc(scans, 10, tuple(FrocPoint(*row) for row in rows))


def test_the_average_is_over_the_seven_rates_of_luna16():
    rows = [(0.9 - i / 10, (i + 1) / 10, rate) for i, rate in enumerate(LUNA16_RATES)]
    assert curve_of(rows).average_sensitivity == pytest.approx((1 + 2 + 3 + 4 + 5 + 6 + 7) / 70)
    assert curve_of([*rows[:6], (0.3, 0.7, 8.01)]).average_sensitivity == pytest.approx(
        (1 + 2 + 3 + 4 + 5 + 6 + 6) / 70
    )


def test_there_is_no_average_where_the_rates_cannot_be_told_apart():
    rows = [(0.9 - i / 10, (i + 1) / 10, rate) for i, rate in enumerate(LUNA16_RATES)]
    assert curve_of(rows, scans=7).average_sensitivity is None
    assert curve_of(rows[:6]).average_sensitivity is None


def random_scan(rng):
    """Draw small blobs, with scores of few distinct values so that thresholds tie."""
    true = (rng.random((6, 5, 4)) < 0.15).astype(np.float32)
    predicted = (rng.random((6, 5, 4)) < 0.2) * rng.choice([0.25, 0.5, 0.75], (6, 5, 4))
    return scan(true, predicted.astype(np.float32))


def best_pairing(one):
    """Try every pairing of true and predicted objects at an overlap of 0.2."""
    masks = [[s.labels == lesion.label for lesion in s.found] for s in (one.true, one.predicted)]
    few, many = sorted(masks, key=len)
    best = (0, 0.0)
    for chosen in itertools.permutations(range(len(many)), len(few)):
        ious = [(a & many[n]).sum() / (a | many[n]).sum() for a, n in zip(few, chosen, strict=True)]
        enough = [iou for iou in ious if iou >= 0.2]
        best = max(best, (len(enough), sum(enough)))
    return best


@settings(max_examples=20)
@given(SEEDS)
def test_there_are_as_many_pairs_as_the_best_of_all_pairings_has(seed):
    rng = np.random.default_rng(seed)
    one = random_scan(rng)
    sizes = sorted((len(one.true.found), len(one.predicted.found)), reverse=True)
    assume(math.perm(*sizes) <= 5000)
    matches = one.matches(AtLeastIou(0.2))
    assert sum(matches.found) == sum(matches.right) == best_pairing(one)[0]


@settings(max_examples=20)
@given(SEEDS)
def test_each_point_of_the_curve_is_counted_in_the_voxels(seed):
    rng = np.random.default_rng(seed)
    scans = [random_scan(rng) for _ in range(2)]
    assume(any(one.true.found for one in scans))
    for point in froc(scans, AnyOverlap()).points:
        lesions = found = false = 0
        for one in scans:
            true, n = label(one.true.labels > 0, np.ones((3, 3, 3)))
            kept = [p.label for p in one.predicted.found if p.score >= point.threshold]
            predicted = np.where(np.isin(one.predicted.labels, kept), one.predicted.labels, 0)
            lesions += n
            found += len(set(true[predicted > 0].tolist()) - {0})
            false += len(set(kept) - set(predicted[true > 0].tolist()))
        assert point.sensitivity == pytest.approx(found / lesions)
        assert point.false_positives_per_scan == pytest.approx(false / 2)


def test_a_curve_may_match_by_pairs():
    points = froc([HAND], AtLeastIou(0.5)).points
    assert [(p.threshold, p.sensitivity) for p in points] == [
        pytest.approx(row) for row in [(0.9, 0), (0.7, 0), (0.5, 1 / 3), (0.25, 1 / 3)]
    ]
    assert points[-1].false_positives_per_scan == 3.0


@pytest.mark.parametrize("threshold", [0.0, 1.1, math.nan])
def test_an_overlap_that_is_none_is_refused(threshold):
    with pytest.raises(ValueError, match="intersection over union is above 0"):
        AtLeastIou(threshold)


@pytest.mark.parametrize("count", [rates, froc])
def test_rates_over_no_scan_are_refused(count):
    with pytest.raises(ValueError, match="need at least one scan"):
        count([], AnyOverlap())


def test_a_curve_without_a_lesion_is_refused():
    with pytest.raises(ValueError, match="hold none"):
        froc([scan(line(), PREDICTED)], AnyOverlap())


def test_a_curve_without_scores_is_refused():
    bare = Scan(HAND.true, HAND.true)
    assert rates([bare], AnyOverlap()).recall == 1.0
    with pytest.raises(ValueError, match="some objects have none"):
        froc([bare], AnyOverlap())


def test_two_grids_are_refused():
    other = np.zeros((LENGTH + 1, 1, 1), dtype=bool)
    with pytest.raises(ScanError, match="on two grids"):
        rates([Scan(HAND.true, lesions_in_mask(other, grid_of(other)))], AnyOverlap())
