"""A grid knows where its voxels lie, and refuses what has no place."""

import math

import numpy as np
import pytest

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.volume import Volume
from tests.phantoms import ball, ellipsoid, grid

GRIDS = {
    "plain": grid(),
    "anisotropic": grid((0.5, 1.0, 2.0)),
    "reordered": grid((0.5, 1.0, 2.0), axes="SLP"),
    "oblique": grid((1.0, 1.0, 3.0), rotation_deg=(20, -30, 45), centre_mm=(10, -70, 5)),
    "sheared": grid((0.8, 0.8, 2.0), shear=0.35),
}
every_grid = pytest.mark.parametrize("name", GRIDS)


@every_grid
def test_world_and_indices_are_inverse(name):
    indices = np.random.default_rng(0).uniform(-5, 60, size=(50, 3))
    there_and_back = GRIDS[name].to_indices(GRIDS[name].to_world(indices))
    assert there_and_back == pytest.approx(indices, abs=1e-9)


def test_the_affine_is_applied_as_nibabel_applies_it():
    from nibabel.affines import apply_affine

    geometry = GRIDS["oblique"]
    indices = np.random.default_rng(1).uniform(0, 20, size=(20, 3))
    assert geometry.to_world(indices) == pytest.approx(apply_affine(geometry.affine, indices))


@pytest.mark.parametrize("name", ["anisotropic", "reordered"])
def test_spacing_is_the_length_of_each_voxel_edge(name):
    assert GRIDS[name].spacing_mm == pytest.approx((0.5, 1.0, 2.0))


def test_spacing_agrees_with_nibabel_on_an_oblique_grid():
    from nibabel.affines import voxel_sizes

    assert GRIDS["oblique"].spacing_mm == pytest.approx(voxel_sizes(GRIDS["oblique"].affine))


def test_a_sheared_voxel_is_smaller_than_the_product_of_its_edges():
    geometry = GRIDS["sheared"]
    assert geometry.voxel_volume_mm3 == pytest.approx(0.8 * 0.8 * 2.0)
    assert geometry.voxel_volume_mm3 < math.prod(geometry.spacing_mm) * 0.95


def test_a_mirrored_grid_has_a_positive_voxel_volume():
    assert grid((1.0, 2.0, 3.0), axes="LAS").voxel_volume_mm3 == pytest.approx(6)


@every_grid
def test_the_voxels_of_a_ball_add_up_to_its_volume(name):
    phantom = ball(GRIDS[name], 20, GRIDS[name].centre_mm)
    counted = phantom.mask.sum() * phantom.geometry.voxel_volume_mm3 / 1000
    assert counted == pytest.approx(phantom.volume_ml, rel=0.01)


@every_grid
def test_the_voxels_of_an_ellipsoid_add_up_to_its_volume(name):
    phantom = ellipsoid(GRIDS[name], (10, 20, 12), GRIDS[name].centre_mm)
    counted = phantom.mask.sum() * phantom.geometry.voxel_volume_mm3 / 1000
    assert counted == pytest.approx(phantom.volume_ml, rel=0.01)


def test_the_centre_is_the_middle_of_the_grid():
    assert GRIDS["oblique"].centre_mm == pytest.approx(np.array([10, -70, 5]))


@every_grid
def test_a_block_leaves_every_voxel_in_its_place(name):
    whole = GRIDS[name]
    block = whole.block((3, 5, 2), (4, 6, 7))
    inside = np.array([[0.0, 0, 0], [3, 5, 6]])
    assert block.shape == (4, 6, 7)
    assert block.to_world(inside) == pytest.approx(whole.to_world(inside + np.array([3, 5, 2])))


def test_a_block_may_begin_outside():
    block = GRIDS["plain"].block((-2, 0, 0), (4, 4, 4))
    assert block.to_world(np.zeros((1, 3))) == pytest.approx(
        GRIDS["plain"].to_world(np.array([[-2.0, 0, 0]]))
    )


def test_equal_grids_match():
    assert Geometry((2, 3, 4), np.eye(4)).matches(Geometry((2, 3, 4), np.eye(4)))


@pytest.mark.parametrize("shape", [(3, 3, 4), (2, 4, 4), (2, 3, 5)])
def test_grids_of_other_shapes_do_not_match(shape):
    assert not Geometry((2, 3, 4), np.eye(4)).matches(Geometry(shape, np.eye(4)))


@pytest.mark.parametrize("row", [0, 1, 2])
@pytest.mark.parametrize("column", [0, 1, 2, 3])
def test_grids_that_differ_in_one_number_of_the_affine_do_not_match(row, column):
    other = np.eye(4)
    other[row, column] += 0.01
    assert not Geometry((2, 3, 4), np.eye(4)).matches(Geometry((2, 3, 4), other))


def test_a_difference_below_the_tolerance_matches():
    other = np.eye(4)
    other[0, 3] = 5e-4
    assert Geometry((2, 3, 4), np.eye(4)).matches(Geometry((2, 3, 4), other))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_without_voxels_is_refused(axis):
    shape = [2, 2, 2]
    shape[axis] = 0
    with pytest.raises(ScanError, match="three positive numbers") as caught:
        Geometry(tuple(shape), np.eye(4))
    assert caught.value.code is Refusal.WRONG_DIMENSIONS


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_voxel_without_extent_is_refused(axis):
    affine = np.eye(4)
    affine[axis, axis] = 0
    with pytest.raises(ScanError, match="singular") as caught:
        Geometry((2, 2, 2), affine)
    assert caught.value.code is Refusal.SINGULAR_AFFINE


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_affine_that_is_not_finite_is_refused(value):
    affine = np.eye(4)
    affine[1, 3] = value
    with pytest.raises(ScanError, match="not finite"):
        Geometry((2, 2, 2), affine)


def test_the_affine_is_a_read_only_copy():
    affine = np.eye(4)
    geometry = Geometry((2, 2, 2), affine)
    affine[0, 0] = 5
    assert geometry.spacing_mm == (1, 1, 1)
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine[0, 0] = 5


def test_voxels_that_do_not_fill_the_grid_are_refused():
    with pytest.raises(ScanError, match="do not fill") as caught:
        Volume(np.zeros((2, 2, 3), np.float32), Geometry((2, 2, 2), np.eye(4)), sha256="x")
    assert caught.value.code is Refusal.WRONG_GRID


def test_a_volume_is_read_only():
    volume = Volume(np.zeros((2, 2, 2), np.float32), Geometry((2, 2, 2), np.eye(4)), sha256="x")
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 1
    with pytest.raises(TypeError):
        volume.facts["manufacturer"] = "x"
