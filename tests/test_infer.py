"""From a scan to a mask in the same place, whatever grid the scan has and whichever side it is."""

from itertools import permutations, product

import numpy as np
import pytest
import torch

from segment import models, organs
from segment.canonical import canonical, mirrored
from segment.infer import Found, Missing, paint, segment_crop, segment_head
from segment.measurement import Reason
from segment.models import Segmenter
from segment.volume import Volume
from tests.phantoms import (
    ThresholdSegmenter,
    ball,
    ellipsoid,
    grid,
    head,
    registered,
    world_of,
)

ORIENTATIONS = [
    "".join(pair[flip] for pair, flip in zip(order, flips, strict=True))
    for order in permutations(("RL", "AP", "SI"))
    for flips in product((0, 1), repeat=3)
]
GRIDS = {
    "1 mm": (grid(field_mm=44), 0.01),
    "1 mm, reordered": (grid(field_mm=44, axes="IRP"), 0.01),
    "1 mm, oblique": (grid(field_mm=44, rotation_deg=(20, 10, -15)), 0.01),
    "fine": (grid((0.6, 0.5, 0.7), field_mm=42, axes="PSR"), 0.02),
    "thick slices": (grid((1, 1, 3), field_mm=45, axes="LAS"), 0.03),
    "anisotropic and oblique": (grid((0.8, 2.0, 1.3), field_mm=48, rotation_deg=(9, 30, 4)), 0.03),
    "sheared": (grid((1.0, 1.2, 1.5), field_mm=48, shear=0.2), 0.03),
}
ORGAN = organs.load("hippocampus")
CENTRE_MM = ORGAN.centre_mni_mm


def mask_volume_ml(found):
    mask = found.segmentation.labels > 0
    return mask.sum() * found.segmentation.geometry.voxel_volume_mm3 / 1000


def mask_centre_mm(found):
    mask = found.segmentation.labels > 0
    return world_of(found.segmentation.geometry)[mask].mean(axis=0)


def pear(geometry, centre_mm=(0.0, 0.0, 0.0)):
    """A body that is not its own mirror image: a ball with a smaller one to its right and front."""
    large = ball(geometry, 8.0, centre_mm)
    small = ball(geometry, 5.0, np.add(centre_mm, (8.0, 5.0, 2.0)))
    return large.mask | small.mask


def scan_of(geometry, mask):
    return Volume(np.where(mask, 900.0, 300.0).astype(np.float32), geometry, sha256="scan")


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_a_canonical_grid_holds_the_same_voxels_in_the_same_places(axes):
    geometry = grid(field_mm=6, axes=axes).block((0, 1, 2), (6, 5, 4))
    laid = canonical(geometry)
    places = {tuple(point) for point in np.round(world_of(geometry).reshape(-1, 3), 6).tolist()}
    assert {tuple(p) for p in np.round(world_of(laid).reshape(-1, 3), 6).tolist()} == places
    assert np.allclose(laid.affine[:3, :3], np.eye(3))


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("axes", ["RAS", "LPS", "IRP", "SAL"])
def test_a_canonical_grid_of_other_voxels_covers_the_same_field(axes):
    geometry = grid((0.5, 2.0, 1.0), field_mm=20, axes=axes, rotation_deg=(5, 6, 7))
    laid = canonical(geometry)
    corners = laid.to_indices(geometry.to_world(np.array([[-0.5] * 3, [0.0, 0.0, 0.0]])))
    assert np.allclose(laid.spacing_mm, 1)
    assert np.allclose(laid.centre_mm, geometry.centre_mm, atol=1e-6)
    assert laid.shape == (20, 20, 20)
    assert np.allclose(np.abs(corners[0] - 9.5), 10, atol=1e-6)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SAL"])
def test_a_canonical_grid_grows_to_the_right_front_and_head(axes):
    laid = canonical(grid((0.5, 2.0, 1.0), field_mm=20, axes=axes, rotation_deg=(15, -16, 17)))
    assert np.all(np.diag(laid.affine[:3, :3]) > 0.8)


def test_a_mirrored_grid_holds_the_same_places_counted_backwards():
    geometry = grid((1.0, 1.2, 1.5), field_mm=12, rotation_deg=(3, 4, 5), shear=0.1)
    assert np.allclose(world_of(mirrored(geometry)), world_of(geometry)[::-1])
    assert mirrored(mirrored(geometry)).matches(geometry)


def test_the_double_is_a_segmenter():
    assert isinstance(ThresholdSegmenter(), Segmenter)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", GRIDS)
def test_a_ball_keeps_its_volume_and_its_place(name, side):
    geometry, tolerance = GRIDS[name]
    phantom = ball(geometry, 11.0, (1.5, -2.0, 1.0))
    found = segment_crop(phantom.volume, side, ThresholdSegmenter())
    assert mask_volume_ml(found) == pytest.approx(phantom.volume_ml, rel=tolerance)
    assert np.allclose(mask_centre_mm(found), (1.5, -2.0, 1.0), atol=0.2)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["1 mm", "1 mm, reordered", "1 mm, oblique"])
def test_a_mask_of_1_mm_voxels_is_the_scans_own(name, side):
    geometry, _ = GRIDS[name]
    mask = pear(geometry)
    found = segment_crop(scan_of(geometry, mask), side, ThresholdSegmenter())
    assert np.array_equal(paint(geometry, [found]) > 0, mask)


@pytest.mark.parametrize("name", ["fine", "thick slices", "anisotropic and oblique", "sheared"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_mask_lies_where_its_asymmetric_body_lies(name, side):
    geometry, _ = GRIDS[name]
    mask = pear(geometry)
    found = segment_crop(scan_of(geometry, mask), side, ThresholdSegmenter())
    painted = paint(geometry, [found]) > 0
    assert 2 * (painted & mask).sum() / (painted.sum() + mask.sum()) > 0.94


def test_a_right_side_is_shown_as_the_left_one_of_its_mirror_image():
    geometry = grid(field_mm=40)
    scan = scan_of(geometry, pear(geometry))
    image = scan_of(geometry, pear(geometry)[::-1])
    network = ThresholdSegmenter()
    segment_crop(scan, "right", network)
    segment_crop(image, "left", network)
    assert np.array_equal(network.seen[0].array, network.seen[1].array)


def test_a_left_side_is_shown_as_it_lies():
    geometry = grid(field_mm=40, axes="SPL")
    network = ThresholdSegmenter()
    segment_crop(scan_of(geometry, pear(geometry)), "left", network)
    assert np.array_equal(network.seen[0].array > 600, pear(grid(field_mm=40)))


@pytest.mark.parametrize("side", ["left", "right"])
def test_anterior_is_in_front_of_posterior(side):
    phantom = ellipsoid(grid((1, 1.4, 1), field_mm=42, axes="PLI"), (6, 12, 6))
    segmentation = segment_crop(phantom.volume, side, ThresholdSegmenter()).segmentation
    y_mm = world_of(segmentation.geometry)[..., 1]
    assert y_mm[segmentation.labels == 1].min() > y_mm[segmentation.labels == 2].max()


def test_a_mask_inside_its_field_is_whole():
    found = segment_crop(ball(grid(field_mm=40), 10).volume, "left", ThresholdSegmenter())
    assert not found.is_truncated


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (0.7, 0.8, 0.5)])
def test_a_mask_that_touches_its_field_is_truncated(axis, sign, spacing_mm):
    centre = np.zeros(3)
    centre[axis] = sign * 13.0
    found = segment_crop(
        ball(grid(spacing_mm, field_mm=40), 8, centre).volume, "left", ThresholdSegmenter()
    )
    assert found.is_truncated


def test_a_crop_expects_its_structure_nowhere_in_particular():
    phantom = ball(grid((0.5, 1.0, 2.0), field_mm=60), 8.0, (0.0, 12.0, -9.0))
    found = segment_crop(phantom.volume, "left", ThresholdSegmenter())
    assert found.shift_mm == 0


def test_a_crop_without_anything_bright_gives_an_empty_mask():
    array = np.full((40, 40, 40), 300, np.float32)
    array[0, 0, 0] = 310
    found = segment_crop(Volume(array, grid(field_mm=40), "dark"), "left", ThresholdSegmenter())
    assert mask_volume_ml(found) == 0
    assert found.shift_mm == 0
    assert not found.is_truncated


def test_a_segmentation_names_its_segmenter_side_and_structures():
    network = ThresholdSegmenter()
    segmentation = segment_crop(ball(grid(field_mm=40), 9).volume, "right", network).segmentation
    assert segmentation.model == network.name
    assert segmentation.side == "right"
    assert segmentation.structures == network.structures
    assert len(segmentation.probability) == len(network.seeds)


@pytest.mark.parametrize(
    "options",
    [{}, {"spacing_mm": (1.0, 1.0, 1.0)}, {"axes": "IPL"}, {"rotation_deg": (20, 5, -9)}],
    ids=["2 mm", "1 mm", "reordered", "oblique"],
)
def test_both_sides_of_a_head_are_found_where_they_lie(options):
    phantom = head(field_mm=110, **options)
    found = segment_head(phantom.volume, ORGAN, registered(), ThresholdSegmenter())
    assert [side.side for side in found] == ["left", "right"]
    for side in found:
        assert mask_volume_ml(side) == pytest.approx(phantom.volume_ml, rel=0.04)
        assert np.allclose(mask_centre_mm(side), CENTRE_MM[side.side], atol=0.4)
        assert side.shift_mm < 1


def test_a_head_that_is_turned_is_cut_along_its_own_axes():
    phantom = head(field_mm=110, rotation_deg=(0, 0, 0))
    turn = grid(rotation_deg=(0, 0, 25), field_mm=10).affine[:3, :3]
    template_to_scan = np.eye(4)
    template_to_scan[:3, :3] = turn
    turned = template_to_scan @ phantom.geometry.affine
    volume = Volume(
        phantom.volume.array, type(phantom.geometry)(phantom.geometry.shape, turned), ""
    )
    straight, network = ThresholdSegmenter(), ThresholdSegmenter()
    segment_head(phantom.volume, ORGAN, registered(), straight)
    segment_head(volume, ORGAN, registered(template_to_scan=template_to_scan), network)
    assert np.allclose(network.seen[0].array, straight.seen[0].array, atol=0.5)
    assert np.allclose(network.seen[1].array, straight.seen[1].array, atol=0.5)


def test_a_head_is_never_scaled():
    phantom = head(field_mm=120)
    larger = np.diag([1.2, 0.9, 1.1, 1.0])
    found = segment_head(
        phantom.volume, ORGAN, registered(template_to_scan=larger), ThresholdSegmenter()
    )
    assert [mask_volume_ml(side) for side in found] == pytest.approx(
        [phantom.volume_ml] * 2, rel=0.04
    )


def test_the_distance_from_where_the_registration_expects_it_is_stated():
    phantom = head(field_mm=120)
    moved = np.eye(4)
    moved[:3, 3] = (0.0, 8.0, 6.0)
    found = segment_head(
        phantom.volume, ORGAN, registered(template_to_scan=moved), ThresholdSegmenter()
    )
    assert [side.shift_mm for side in found] == pytest.approx([10.0, 10.0], abs=0.5)


@pytest.mark.parametrize(("side", "x_mm"), [("left", 45.0), ("right", -45.0)])
def test_a_side_outside_the_field_is_missing_and_the_other_is_found(side, x_mm):
    phantom = head(field_mm=110, centre_mm=(x_mm, -20.0, -10.0))
    found = segment_head(phantom.volume, ORGAN, registered(), ThresholdSegmenter())
    missing = [entry for entry in found if isinstance(entry, Missing)]
    assert missing == [Missing(side, Reason.OUTSIDE_FIELD)]
    assert sum(isinstance(entry, Found) for entry in found) == 1


def test_where_no_side_lies_in_the_field_the_segmenter_is_not_asked():
    phantom = head(field_mm=110)
    away = np.eye(4)
    away[2, 3] = 500.0
    network = ThresholdSegmenter()
    found = segment_head(phantom.volume, ORGAN, registered(template_to_scan=away), network)
    assert found == tuple(Missing(side, Reason.OUTSIDE_FIELD) for side in ("left", "right"))
    assert network.seen == []


def test_two_sides_are_painted_with_labels_of_their_own():
    phantom = head(field_mm=110)
    found = segment_head(phantom.volume, ORGAN, registered(), ThresholdSegmenter())
    labels = paint(phantom.geometry, found)
    x_mm = world_of(phantom.geometry)[..., 0]
    assert labels.dtype == np.uint8
    assert set(np.unique(labels[x_mm < 0])) == {0, 1, 2}
    assert set(np.unique(labels[x_mm > 0])) == {0, 3, 4}


def test_a_right_side_keeps_its_labels_where_the_left_is_missing():
    phantom = head(field_mm=110)
    _, right = segment_head(phantom.volume, ORGAN, registered(), ThresholdSegmenter())
    labels = paint(phantom.geometry, [Missing("left", Reason.OUTSIDE_FIELD), right])
    assert set(np.unique(labels)) == {0, 3, 4}


@pytest.mark.parametrize("side", ["left", "right"])
def test_one_side_is_painted_with_the_segmenters_labels(side):
    phantom = ball(grid(field_mm=40), 9)
    found = segment_crop(phantom.volume, side, ThresholdSegmenter())
    assert set(np.unique(paint(phantom.geometry, [found]))) == {0, 1, 2}


def test_what_is_painted_has_the_volume_that_was_segmented():
    phantom = head(field_mm=110)
    found = segment_head(phantom.volume, ORGAN, registered(), ThresholdSegmenter())
    painted = (paint(phantom.geometry, found) > 0).sum() * phantom.geometry.voxel_volume_mm3 / 1000
    assert painted == pytest.approx(sum(mask_volume_ml(side) for side in found))


def test_nothing_found_is_painted_as_background():
    missing = [Missing(side, Reason.OUTSIDE_FIELD) for side in ("left", "right")]
    assert not paint(grid(field_mm=10), missing).any()


def test_weights_are_whole_whatever_another_thread_makes_of_torchs_default_type():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)  # as transformers does while it builds a model
    try:
        made = models.load("unet")
    finally:
        torch.set_default_dtype(before)
    expected = models.load("unet").networks[0].state_dict()
    found = made.networks[0].state_dict()
    assert {value.dtype for value in found.values()} == {v.dtype for v in expected.values()}
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
