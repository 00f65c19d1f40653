"""Lesions of known fate are given that fate, and none is lost."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from segment.errors import ScanError
from segment.geometry import Geometry
from segment.lesion_change import Fate, compare_lesions
from segment.objects import lesions_in_mask
from tests.phantoms import ball, ellipsoid, grid

VOXEL_ML = 0.5 * 1.0 * 2.0 / 1000


def lesions(mask, smallest_mm3=0.0):
    geometry = Geometry(mask.shape, np.diag([0.5, 1.0, 2.0, 1.0]))
    return lesions_in_mask(mask, geometry, smallest_mm3=smallest_mm3)


def line(*runs):
    """Draw runs ``(first, last)`` of voxels on a line."""
    mask = np.zeros((120, 1, 1), dtype=bool)
    for first, last in runs:
        mask[first : last + 1] = True
    return mask


def compared(before, after, margin=0.1):
    return compare_lesions(lesions(line(*before)), lesions(line(*after)), margin=margin)


@pytest.mark.parametrize(
    ("before", "after", "fate", "voxels"),
    [
        ([], [(3, 7)], Fate.NEW, (0, 5)),
        ([(3, 7)], [], Fate.RESOLVED, (5, 0)),
        ([(0, 9)], [(0, 11)], Fate.ENLARGED, (10, 12)),
        ([(0, 9)], [(2, 9)], Fate.SHRUNK, (10, 8)),
        ([(0, 9)], [(1, 10)], Fate.STABLE, (10, 10)),
        ([(0, 9)], [(9, 40)], Fate.ENLARGED, (10, 32)),
        ([(0, 3), (6, 9), (12, 14)], [(0, 14)], Fate.MERGED, (11, 15)),
        ([(0, 14)], [(0, 3), (6, 9)], Fate.SPLIT, (15, 8)),
        ([(0, 5), (8, 12)], [(0, 2), (5, 12)], Fate.MERGED_AND_SPLIT, (11, 11)),
    ],
)
def test_a_lesion_of_known_fate_is_given_it_with_both_volumes(before, after, fate, voxels):
    found = compared(before, after)
    (change,) = found.changes
    assert change.fate is fate
    assert len(change.before) == len(before)
    assert len(change.after) == len(after)
    assert (change.before_ml, change.after_ml) == pytest.approx([n * VOXEL_ML for n in voxels])
    assert change.change_ml == pytest.approx((voxels[1] - voxels[0]) * VOXEL_ML)
    assert found.counts == {**dict.fromkeys(Fate, 0), fate: 1}


@pytest.mark.parametrize(
    ("margin", "after", "fate"),
    [
        (0.1, 110, Fate.STABLE),
        (0.1, 111, Fate.ENLARGED),
        (0.1, 90, Fate.STABLE),
        (0.1, 89, Fate.SHRUNK),
        (0.07, 107, Fate.STABLE),
        (0.0, 100, Fate.STABLE),
        (0.0, 101, Fate.ENLARGED),
        (0.29, 71, Fate.STABLE),
        (0.29, 70, Fate.SHRUNK),
    ],
)
def test_a_change_of_just_the_margin_is_none(margin, after, fate):
    assert [c.fate for c in compared([(0, 99)], [(0, after - 1)], margin).changes] == [fate]


def test_all_fates_together_are_counted_and_the_load_is_added_up():
    before = [(0, 9), (20, 24), (40, 42), (50, 52), (60, 69), (90, 99)]
    after = [(0, 14), (30, 31), (40, 52), (60, 63), (66, 69), (90, 99)]
    found = compared(before, after)
    assert found.counts == {
        Fate.ENLARGED: 1,
        Fate.RESOLVED: 1,
        Fate.NEW: 1,
        Fate.MERGED: 1,
        Fate.SPLIT: 1,
        Fate.STABLE: 1,
        Fate.SHRUNK: 0,
        Fate.MERGED_AND_SPLIT: 0,
    }
    assert found.before_ml == pytest.approx(41 * VOXEL_ML)
    assert found.after_ml == pytest.approx(48 * VOXEL_ML)
    assert found.change_ml == pytest.approx(7 * VOXEL_ML)
    assert found.change_percent == pytest.approx(100 * 7 / 41)
    assert found.margin == 0.1
    largest = [max(c.before_ml, c.after_ml) for c in found.changes]
    assert largest == pytest.approx([n * VOXEL_ML for n in (15, 13, 10, 10, 5, 2)])


def test_balls_that_grow_and_touch_have_merged():
    geometry = grid((1.0, 1.0, 1.5), field_mm=40, rotation_deg=(10, 20, 30))

    def pair(radius):
        both = [ellipsoid(geometry, (radius,) * 3, (x, 0.0, 0.0)).mask for x in (-7.0, 7.0)]
        return lesions_in_mask(both[0] | both[1], geometry)

    assert [c.fate for c in compare_lesions(pair(4.0), pair(8.0), margin=0.2).changes] == [
        Fate.MERGED
    ]
    assert [c.fate for c in compare_lesions(pair(8.0), pair(4.0), margin=0.2).changes] == [
        Fate.SPLIT
    ]
    assert [c.fate for c in compare_lesions(pair(4.0), pair(5.0), margin=0.2).changes] == [
        Fate.ENLARGED
    ] * 2


def test_two_empty_masks_hold_no_change():
    found = compared([], [])
    assert (found.changes, found.change_ml, found.change_percent) == ((), 0.0, None)


def test_a_load_that_began_at_nothing_has_no_percentage():
    found = compared([], [(0, 1), (5, 9)])
    assert found.counts[Fate.NEW] == 2
    assert (found.change_ml, found.change_percent) == (pytest.approx(7 * VOXEL_ML), None)


def test_a_load_that_went_to_nothing_has_lost_all():
    assert compared([(0, 1), (5, 9)], []).change_percent == pytest.approx(-100.0)


def test_a_lesion_below_the_smallest_size_has_resolved():
    before, after = lesions(line((0, 9)), 3.0), lesions(line((0, 1)), 3.0)
    found = compare_lesions(before, after, margin=0.1)
    assert [c.fate for c in found.changes] == [Fate.RESOLVED]
    assert found.after_ml == 0.0


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_every_lesion_is_in_one_change_and_fates_turn_round_with_time(seed):
    masks = np.random.default_rng(seed).random((2, 6, 6, 6)) < 0.1
    before, after = (lesions(mask) for mask in masks)
    there = compare_lesions(before, after, margin=0.2)
    assert sorted(x.label for c in there.changes for x in c.before) == [
        x.label for x in before.found
    ]
    assert sorted(x.label for c in there.changes for x in c.after) == [x.label for x in after.found]
    back = compare_lesions(after, before, margin=0.2).counts
    for one, other in (
        (Fate.NEW, Fate.RESOLVED),
        (Fate.MERGED, Fate.SPLIT),
        (Fate.MERGED_AND_SPLIT, Fate.MERGED_AND_SPLIT),
    ):
        assert (there.counts[one], there.counts[other]) == (back[other], back[one])


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_new_and_resolved_are_those_whose_voxels_touch_none_of_the_other_date(seed):
    before, after = np.random.default_rng(seed).random((2, 6, 6, 6)) < 0.1
    counts = compare_lesions(lesions(before), lesions(after), margin=0.2).counts
    for mine, others, fate in ((before, after, Fate.RESOLVED), (after, before, Fate.NEW)):
        parts, n = label(mine, np.ones((3, 3, 3)))
        assert counts[fate] == sum(not others[parts == k].any() for k in range(1, n + 1))


@pytest.mark.parametrize("margin", [-0.1, 1.0, math.nan])
def test_a_margin_that_is_no_share_is_refused(margin):
    with pytest.raises(ValueError, match="margin is a share"):
        compared([(0, 1)], [(0, 1)], margin)


def test_two_grids_are_refused():
    mask = line((0, 3))
    other = lesions_in_mask(mask, Geometry(mask.shape, np.eye(4)))
    with pytest.raises(ScanError, match="on two grids"):
        compare_lesions(lesions(mask), other, margin=0.1)


@pytest.mark.parametrize(
    ("radii_mm", "fate"),
    [
        ((8, 8), Fate.STABLE),
        ((8, 8.5), Fate.STABLE),
        ((8, 10), Fate.ENLARGED),
        ((10, 8), Fate.SHRUNK),
    ],
)
def test_without_a_margin_bounds_that_overlap_are_no_change(radii_mm, fate):
    before, after = (ball(grid(), radius) for radius in radii_mm)
    pair = (lesions_in_mask(one.mask, one.geometry) for one in (before, after))
    (change,) = compare_lesions(*pair).changes
    assert change.fate is fate


def test_the_bounds_of_a_volume_are_those_of_an_outline_half_a_voxel_off():
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[3:6, 3:6, 3:6] = True
    (cube,) = lesions(mask).found  # 27 voxels, 26 of them outermost, 54 beside them
    assert (cube.lower_ml, cube.upper_ml) == pytest.approx((14 * VOXEL_ML, 54 * VOXEL_ML))


def test_a_single_voxel_is_at_least_half_of_one():
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[0, 1, 1] = True
    (lone,) = lesions(mask).found
    assert (lone.lower_ml, lone.upper_ml) == pytest.approx((0.5 * VOXEL_ML, 4 * VOXEL_ML))
