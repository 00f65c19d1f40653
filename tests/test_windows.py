"""Windows cover what they must, come together without a seam, and see one scale of intensity."""

import numpy as np
import pytest

from segment.models import Box
from segment.models.windows import (
    CLIP,
    MARGIN,
    SHIFTS,
    SLACK,
    WINDOW,
    around,
    assemble,
    cut,
    largest,
    middle,
    scaled,
    tiles,
)

SHAPES = [(48, 64, 48), (36, 50, 36), (32, 48, 32), (20, 20, 20), (45, 61, 33), (100, 100, 100)]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def covered(shape, starts):
    """Count the windows over each voxel."""
    count = np.zeros(shape, int)
    for start in starts:
        count[
            tuple(slice(max(0, s), max(0, s + w)) for s, w in zip(start, WINDOW, strict=True))
        ] += 1
    return count


def box_of(shape, seed=0):
    array = np.random.default_rng(seed).gamma(2.0, 100.0, shape).astype(np.float32)
    return Box(array, np.ones(shape, bool))


def block(shape, low, high):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def probabilities(shape, seed=0):
    logits = np.random.default_rng(seed).normal(size=(3, *shape))
    return (np.exp(logits) / np.exp(logits).sum(axis=0, keepdims=True)).astype(np.float32)


@every_shape
def test_tiles_cover_a_box_but_for_its_edge(shape):
    edge = tuple(slice(SLACK, max(SLACK, n - SLACK)) for n in shape)
    assert (covered(shape, tiles(shape))[edge] > 0).all()


@every_shape
def test_a_tile_on_a_long_axis_stays_inside_the_box(shape):
    for start in tiles(shape):
        for s, n, w in zip(start, shape, WINDOW, strict=True):
            assert n - w <= 2 * SLACK or 0 <= s <= n - w


def test_a_box_of_one_window_has_one_tile():
    assert tiles(WINDOW) == [(0, 0, 0)]


@pytest.mark.parametrize(
    ("shape", "low", "high"),
    [
        ((48, 64, 48), (15, 12, 14), (33, 50, 34)),
        ((48, 64, 48), (0, 0, 0), (10, 20, 10)),
        ((48, 64, 48), (30, 40, 35), (48, 64, 48)),
        ((48, 64, 48), (2, 3, 4), (45, 60, 44)),
        ((100, 100, 100), (1, 2, 3), (99, 98, 97)),
        ((20, 20, 20), (0, 0, 0), (20, 20, 20)),
        ((48, 64, 48), (10, 10, 10), (38, 54, 38)),
        ((48, 64, 48), (10, 10, 10), (39, 55, 39)),
    ],
)
def test_every_voxel_of_a_mask_lies_inside_a_window(shape, low, high):
    mask = block(shape, low, high)
    placed = around(mask)
    assert (covered(shape, placed.starts)[mask] > 0).all()
    assert np.allclose(placed.centre, (np.array(low) + high) / 2)


def test_a_mask_that_fits_is_seen_once_with_a_margin_around_it():
    (start,) = around(block((48, 64, 48), (10, 12, 11), (30, 50, 33))).starts
    assert np.all(np.array(start) + MARGIN <= (10, 12, 11))
    assert np.all(np.array(start) + WINDOW - MARGIN >= (30, 50, 33))


def test_the_places_that_the_members_look_from_are_balanced():
    assert np.sum(SHIFTS, axis=0).tolist() == [0, 0, 0]
    assert len(set(SHIFTS)) == len(SHIFTS) == 5


@pytest.mark.parametrize("high", [(30, 50, 33), (38, 56, 39), (45, 63, 47)])
def test_shifted_windows_still_hold_the_mask(high):
    mask = block((48, 64, 48), (10, 12, 11), high)
    placed = around(mask)
    for shift in SHIFTS:
        assert (covered(mask.shape, placed.shifted(shift))[mask] > 0).all()


def test_windows_move_as_far_as_asked_where_there_is_room():
    placed = around(block((48, 64, 48), (15, 20, 15), (25, 40, 25)))
    (start,), (moved,) = placed.starts, placed.shifted((3, -3, 3))
    assert np.subtract(moved, start).tolist() == [3, -3, 3]


def test_an_empty_mask_has_a_window_in_the_middle():
    placed = around(np.zeros((48, 64, 48), bool))
    assert len(placed.starts) == 1
    assert np.allclose(placed.centre, (24.5, 32.5, 24.5))


def test_a_window_holds_the_boxs_voxels():
    array = box_of((48, 64, 48)).array
    assert np.array_equal(cut(array, (5, 6, 7)), array[5:37, 6:54, 7:39])


@pytest.mark.parametrize("start", [(-4, -5, -6), (30, 40, 30), (-2, 40, 3)])
def test_a_window_over_the_edge_is_filled_with_zeros(start):
    array = box_of((48, 64, 48)).array + 1
    window = cut(array, start)
    padded = np.pad(array, [(50, 50)] * 3)
    assert window.shape == WINDOW
    assert np.array_equal(
        window, padded[tuple(slice(s + 50, s + 50 + w) for s, w in zip(start, WINDOW, strict=True))]
    )


@every_shape
def test_a_box_cut_into_windows_and_put_together_is_itself(shape):
    whole = probabilities(shape)
    starts = around(np.ones(shape, bool)).starts
    windows = [np.stack([cut(channel, start) for channel in whole]) for start in starts]
    assert np.allclose(assemble(shape, starts, windows), whole, atol=1e-6)


def test_windows_that_overlap_are_averaged():
    one, other = probabilities(WINDOW, 1), probabilities(WINDOW, 2)
    starts = [(0, 0, 0), (8, 0, 0)]
    together = assemble((40, 48, 32), starts, [one, other])
    assert np.allclose(together[:, :8], one[:, :8])
    assert np.allclose(together[:, 32:], other[:, 24:])
    assert np.allclose(together[:, 8:32], (one[:, 8:] + other[:, :24]) / 2)


def test_what_no_window_covers_is_background():
    together = assemble((48, 64, 48), [(0, 0, 0)], [probabilities(WINDOW)])
    assert (together[0, 32:] == 1).all()
    assert (together[1:, 32:] == 0).all()


@every_shape
def test_probabilities_sum_to_one_everywhere(shape):
    starts = tiles(shape)
    windows = [probabilities(WINDOW, seed) for seed in range(len(starts))]
    assert np.allclose(assemble(shape, starts, windows).sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-4, 0.5, 30.0, 1e4])
@pytest.mark.parametrize("offset", [0.0, 50.0, -1000.0])
def test_intensities_have_no_unit(scale, offset):
    box = box_of((40, 56, 40))
    moved = Box(
        (box.array.astype(np.float64) * scale + offset * scale).astype(np.float32), box.inside
    )
    centre = middle(box.array.shape)
    assert np.allclose(scaled(moved, centre), scaled(box, centre), atol=2e-3)


def test_scaled_intensities_run_from_0_to_1_between_the_percentiles():
    box = box_of((36, 50, 36))
    values = scaled(box, middle(box.array.shape))
    assert np.percentile(values, [1, 99]) == pytest.approx([0, 1], abs=1e-5)
    assert values.min() >= CLIP[0]
    assert values.max() <= CLIP[1]
    assert values.dtype == np.float32


def test_what_lies_outside_the_field_is_zero_and_changes_no_scale():
    box = box_of((36, 50, 36))
    inside = box.inside.copy()
    inside[:10] = False
    filled = box.array.copy()
    filled[:10] = 1e6
    centre = middle(box.array.shape)
    values = scaled(Box(filled, inside), centre)
    assert not values[:10].any()
    assert np.array_equal(values, scaled(Box(box.array, inside), centre))


def test_the_scale_is_that_of_the_place_and_not_of_the_whole_box():
    box = box_of((60, 80, 60))
    bright = box.array.copy()
    bright[:8] *= 50
    near = (40.0, 50.0, 38.0)
    assert np.array_equal(scaled(Box(bright, box.inside), near)[8:], scaled(box, near)[8:])


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (60.0, 80.0, 60.0)])
def test_a_place_at_the_edge_still_has_a_scale(place):
    values = scaled(box_of((60, 80, 60)), place)
    assert values.std() > 0.05


def test_a_box_outside_the_field_is_zero():
    box = Box(np.full((36, 50, 36), 5, np.float32), np.zeros((36, 50, 36), bool))
    assert not scaled(box, middle(box.array.shape)).any()


def test_a_flat_place_beside_something_bright_is_scaled_without_a_warning():
    array = np.full((60, 80, 60), 5, np.float32)
    array[0, 0, 0] = 1e6
    values = scaled(Box(array, np.ones(array.shape, bool)), (30.0, 40.0, 30.0))
    assert np.isfinite(values).all()


def test_the_largest_part_of_a_mask_is_kept():
    mask = block((30, 30, 30), (2, 2, 2), (8, 8, 8)) | block(
        (30, 30, 30), (15, 15, 15), (18, 18, 18)
    )
    assert np.array_equal(largest(mask), block((30, 30, 30), (2, 2, 2), (8, 8, 8)))


def test_parts_that_touch_at_a_corner_are_one():
    mask = block((30, 30, 30), (2, 2, 2), (8, 8, 8)) | block((30, 30, 30), (8, 8, 8), (10, 10, 10))
    assert np.array_equal(largest(mask), mask)


@pytest.mark.parametrize("mask", [np.zeros((4, 5, 6), bool), np.ones((4, 5, 6), bool)])
def test_a_mask_of_one_part_or_none_is_kept(mask):
    assert np.array_equal(largest(mask), mask)
