"""Lesions are told apart and measured as by hand, by brute force and by scikit-image."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label as skimage_label

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.objects import (
    lesions_in_mask,
    lesions_in_probability,
    shared_voxels,
)
from tests.phantoms import ellipsoid, grid

SHEARED = np.array(
    [[0.9, 0.2, 0.3, -7.0], [-0.4, 1.1, 0.1, 3.0], [0.1, 0.5, -2.0, 11.0], [0, 0, 0, 1.0]]
)
MASKS = arrays(bool, st.tuples(*[st.integers(1, 5)] * 3))


def on(shape, spacing_mm=(1.0, 1.0, 1.0)):
    return Geometry(shape, np.diag([*spacing_mm, 1.0]))


def test_a_box_is_described_as_by_hand():
    mask = np.zeros((10, 10, 10), dtype=bool)
    mask[2:5, 1:3, 6:7] = True
    geometry = Geometry((10, 10, 10), np.array(np.diag([2.0, 3.0, 4.0, 1.0])))
    (lesion,) = lesions_in_mask(mask, geometry).found
    assert (lesion.label, lesion.voxels, lesion.score) == (1, 6, None)
    assert (lesion.first, lesion.last) == ((2, 1, 6), (4, 2, 6))
    assert lesion.volume_ml == pytest.approx(6 * 24 / 1000)
    assert lesion.lower_mm == pytest.approx((3.0, 1.5, 22.0))
    assert lesion.upper_mm == pytest.approx((9.0, 7.5, 26.0))
    assert lesion.centre_mm == pytest.approx((6.0, 4.5, 24.0))
    assert lesion.longest_diameter_mm == pytest.approx(math.sqrt(6**2 + 6**2 + 4**2))


def test_one_voxel_is_as_long_as_its_diagonal():
    mask = np.ones((1, 1, 1), dtype=bool)
    (lesion,) = lesions_in_mask(mask, on((1, 1, 1), (1.0, 2.0, 2.0))).found
    assert lesion.longest_diameter_mm == pytest.approx(3.0)


@pytest.mark.parametrize("rotation_deg", [(0, 0, 0), (20, 35, 10)], ids=str)
def test_an_ellipsoid_is_as_long_as_its_axis_within_a_voxel(rotation_deg):
    geometry = grid((0.5, 0.5, 1.0), field_mm=24, rotation_deg=rotation_deg)
    body = ellipsoid(geometry, (9.0, 4.0, 3.0), (0.3, 0.2, -0.1))
    (lesion,) = lesions_in_mask(body.mask, geometry).found
    assert 17.0 <= lesion.longest_diameter_mm <= 18.0 + math.sqrt(1.5)
    assert lesion.centre_mm == pytest.approx((0.3, 0.2, -0.1), abs=0.1)


@settings(max_examples=20)
@given(MASKS)
def test_boxes_and_diameters_are_those_of_all_corners(mask):
    geometry = Geometry(mask.shape, SHEARED)
    lesions = lesions_in_mask(mask, geometry)
    offsets = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    for lesion in lesions.found:
        voxels = np.argwhere(lesions.labels == lesion.label)
        corners = (voxels[:, None] + offsets).reshape(-1, 3) @ SHEARED[:3, :3].T + SHEARED[:3, 3]
        apart = np.linalg.norm(corners[:, None] - corners[None], axis=-1)
        assert lesion.longest_diameter_mm == pytest.approx(apart.max())
        assert lesion.lower_mm == pytest.approx(tuple(corners.min(axis=0)))
        assert lesion.upper_mm == pytest.approx(tuple(corners.max(axis=0)))
        assert lesion.centre_mm == pytest.approx(tuple(corners.mean(axis=0)))
        assert (lesion.first, lesion.last) == (tuple(voxels.min(axis=0)), tuple(voxels.max(axis=0)))


@settings(max_examples=20)
@given(MASKS)
def test_objects_are_those_of_scikit_image(mask):
    lesions = lesions_in_mask(mask, on(mask.shape))
    theirs = skimage_label(mask, connectivity=3)
    pairs = set(zip(lesions.labels.ravel().tolist(), theirs.ravel().tolist(), strict=True))
    assert len(pairs) == len({mine for mine, _ in pairs}) == len({other for _, other in pairs})
    assert {mine for mine, other in pairs if other == 0} <= {0}
    assert [lesion.voxels for lesion in lesions.found] == sorted(
        np.bincount(theirs.ravel())[1:].tolist(), reverse=True
    )


def test_voxels_that_share_a_corner_are_one_object():
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[3, 3, 3] = True
    assert [lesion.voxels for lesion in lesions_in_mask(mask, on(mask.shape)).found] == [2, 1]


def test_the_largest_comes_first_and_of_equals_the_first_in_the_array():
    mask = np.zeros((12, 1, 1), dtype=bool)
    mask[[0, 2, 3, 4, 6, 8, 9, 10]] = True
    lesions = lesions_in_mask(mask, on(mask.shape))
    assert [lesion.first[0] for lesion in lesions.found] == [2, 8, 0, 6]
    assert lesions.labels[:, 0, 0].tolist() == [3, 0, 1, 1, 1, 0, 4, 0, 2, 2, 2, 0]


@pytest.mark.parametrize(
    ("smallest_mm3", "kept", "left_out"), [(0.0, 3, 0), (0.3, 2, 1), (0.31, 1, 2), (1.0, 0, 3)]
)
def test_what_is_below_the_smallest_size_is_left_out_and_counted(smallest_mm3, kept, left_out):
    mask = np.zeros((14, 1, 1), dtype=bool)
    mask[[0, 2, 3, 4, 6, 7, 8, 9]] = True
    geometry = on(mask.shape, (0.1, 1.0, 1.0))
    lesions = lesions_in_mask(mask, geometry, smallest_mm3=smallest_mm3)
    assert (len(lesions.found), lesions.left_out) == (kept, left_out)
    assert lesions.labels.max() == kept
    assert lesions.load_ml == pytest.approx(sum([4, 3, 1][:kept]) * 0.1 / 1000)


def test_the_score_is_the_largest_probability_in_the_object():
    probability = np.zeros((9, 1, 1), dtype=np.float32)
    probability[:, 0, 0] = [0.49, 0.5, 0.75, 0.6, 0.2, 0.99, 0.1, 0.0, 0.3]
    lesions = lesions_in_probability(probability, on(probability.shape), threshold=0.5)
    assert [(lesion.voxels, lesion.score) for lesion in lesions.found] == [
        (3, 0.75),
        (1, pytest.approx(0.99)),
    ]


def test_an_empty_mask_has_no_object():
    lesions = lesions_in_mask(np.zeros((3, 3, 3), dtype=bool), on((3, 3, 3)))
    assert (lesions.found, lesions.left_out, lesions.load_ml) == ((), 0, 0.0)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_shared_voxels_are_those_counted_one_by_one(seed):
    drawn = np.random.default_rng(seed).random((2, 5, 5, 5)) < 0.2
    one, other = (lesions_in_mask(mask, on((5, 5, 5))) for mask in drawn)
    counts = shared_voxels(one, other)
    assert counts.shape == (len(one.found), len(other.found))
    for a, b in itertools.product(one.found, other.found):
        both = (one.labels == a.label) & (other.labels == b.label)
        assert counts[a.label - 1, b.label - 1] == both.sum()


def test_lesions_cannot_be_changed():
    lesions = lesions_in_mask(np.ones((2, 2, 2), dtype=bool), on((2, 2, 2)))
    with pytest.raises(ValueError, match="read-only"):
        lesions.labels[0, 0, 0] = 5


def refusal(call):
    with pytest.raises(ScanError) as caught:
        call()
    return caught.value.code


def test_arrays_on_another_grid_are_refused():
    mask, geometry = np.ones((2, 2, 2), dtype=bool), on((2, 2, 3))
    lesions = lesions_in_mask(mask, on((2, 2, 2)))
    moved = lesions_in_mask(mask, on((2, 2, 2), (1.0, 1.0, 1.1)))
    for call in (
        lambda: lesions_in_mask(mask, geometry),
        lambda: lesions_in_probability(mask.astype(np.float32), geometry, threshold=0.5),
        lambda: replace(lesions, geometry=geometry),
        lambda: shared_voxels(lesions, moved),
    ):
        assert refusal(call) is Refusal.WRONG_GRID


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (math.nan, Refusal.NOT_FINITE),
        (1.5, Refusal.UNSUPPORTED_VOXELS),
        (-0.1, Refusal.UNSUPPORTED_VOXELS),
    ],
)
def test_what_is_no_probability_is_refused(value, code):
    field = np.full((2, 2, 2), 0.7)
    field[1, 0, 1] = value
    assert refusal(lambda: lesions_in_probability(field, on((2, 2, 2)), threshold=0.5)) is code


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.01, math.nan])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold must be above 0"):
        lesions_in_probability(np.zeros((2, 2, 2)), on((2, 2, 2)), threshold=threshold)


@pytest.mark.parametrize("smallest_mm3", [-1.0, math.inf, math.nan])
def test_a_smallest_size_that_is_none_is_refused(smallest_mm3):
    with pytest.raises(ValueError, match="smallest size must be 0 or more"):
        lesions_in_mask(np.zeros((2, 2, 2), dtype=bool), on((2, 2, 2)), smallest_mm3=smallest_mm3)
