"""Reading one grid from another: exact where grids coincide, a ramp elsewhere, marked outside."""

import numpy as np
import pytest

from segment.geometry import Geometry
from segment.resample import block_around, carry, sample
from segment.volume import Volume
from tests.phantoms import ball, grid, world_of

SLOPE = np.array([1.5, -2.0, 0.7])
SOURCES = {
    "plain": grid(field_mm=60),
    "reordered": grid(field_mm=60, axes="PSL"),
    "anisotropic": grid((0.8, 1.6, 2.5), field_mm=60, axes="LIA"),
    "oblique": grid((1.0, 1.0, 1.4), field_mm=70, rotation_deg=(12, -20, 35)),
    "sheared": grid((1.0, 1.2, 1.5), field_mm=70, shear=0.3),
    "fine": grid((0.4, 0.3, 0.5), field_mm=42, rotation_deg=(5, 0, 20)),
}
INNER = grid((1.0, 1.0, 1.0), field_mm=24, rotation_deg=(0, 10, -7))
every_source = pytest.mark.parametrize("name", SOURCES)


def noise(geometry):
    array = np.random.default_rng(0).normal(size=geometry.shape).astype(np.float32)
    return Volume(array, geometry, sha256="noise")


def ramp(geometry):
    array = (world_of(geometry) @ SLOPE).astype(np.float32)
    return Volume(array, geometry, sha256="ramp")


@every_source
def test_a_volume_is_read_exactly_on_its_own_grid(name):
    volume = noise(SOURCES[name])
    values, inside = sample(volume, volume.geometry)
    assert np.array_equal(values, volume.array)
    assert inside.all()


def test_the_same_voxels_in_another_order_are_read_exactly():
    volume = noise(grid((1.0, 2.0, 3.0), field_mm=36, axes="RAS"))
    values, inside = sample(volume, grid((1.0, 2.0, 3.0), field_mm=36, axes="LPI"))
    assert np.array_equal(values, volume.array[::-1, ::-1, ::-1])
    assert inside.all()


def test_a_block_of_the_volumes_own_voxels_is_read_exactly():
    volume = noise(SOURCES["oblique"])
    values, _ = sample(volume, volume.geometry.block((5, 6, 7), (10, 11, 12)))
    assert np.array_equal(values, volume.array[5:15, 6:17, 7:19])


@every_source
def test_a_linear_ramp_is_reproduced_on_any_grid(name):
    values, inside = sample(ramp(SOURCES[name]), INNER)
    assert inside.all()
    assert np.allclose(values, world_of(INNER) @ SLOPE, atol=0.01)


@every_source
def test_a_ramp_is_reproduced_on_a_sheared_and_anisotropic_grid(name):
    target = grid((1.3, 0.9, 2.0), field_mm=20, rotation_deg=(30, 5, 0), shear=0.4)
    values, inside = sample(ramp(SOURCES[name]), target)
    assert inside.all()
    assert np.allclose(values, world_of(target) @ SLOPE, atol=0.01)


def test_a_small_part_reads_like_the_whole():
    volume = noise(SOURCES["oblique"])
    large, _ = sample(volume, INNER)
    small, _ = sample(volume, INNER.block((8, 9, 10), (3, 3, 3)))
    assert np.allclose(small, large[8:11, 9:12, 10:13], atol=1e-3)


def test_a_small_part_of_fine_voxels_reads_like_the_whole():
    volume = noise(SOURCES["fine"])
    large, _ = sample(volume, INNER)
    small, _ = sample(volume, INNER.block((8, 9, 10), (3, 3, 3)))
    assert np.allclose(small, large[8:11, 9:12, 10:13], atol=1e-3)


def test_what_lies_outside_the_field_is_marked_and_zero():
    volume = Volume(np.full((10, 10, 10), 7, np.float32), grid(field_mm=10), sha256="full")
    wide = grid((1.0, 1.0, 1.0), field_mm=15, centre_mm=(0.0, 0.0, 0.3))
    values, inside = sample(volume, wide)
    within = np.abs(world_of(wide)) < 5
    assert np.array_equal(inside, within.all(axis=-1))
    assert np.array_equal(values != 0, inside)


def test_a_grid_beside_the_volume_is_all_outside():
    values, inside = sample(noise(grid(field_mm=20)), grid(field_mm=20, centre_mm=(100, 0, 0)))
    assert not inside.any()
    assert not values.any()


def test_fine_voxels_are_averaged():
    fine = noise(grid((0.25, 0.25, 0.25), field_mm=12))
    coarse, _ = sample(fine, grid((1.0, 1.0, 1.0), field_mm=12))
    means = fine.array.reshape(12, 4, 12, 4, 12, 4).mean(axis=(1, 3, 5))
    assert coarse.std() == pytest.approx(fine.array.std() / 8, rel=0.15)
    assert (
        np.corrcoef(coarse[2:-2, 2:-2, 2:-2].ravel(), means[2:-2, 2:-2, 2:-2].ravel())[0, 1] > 0.9
    )


def test_a_ball_keeps_its_place_through_averaging():
    fine = ball(grid((0.3, 0.4, 0.25), field_mm=40), 8.0, (1.0, -2.0, 3.0))
    target = grid((1.0, 1.0, 1.0), field_mm=30)
    values, _ = sample(fine.volume, target)
    weight = np.clip((values - 300) / 600, 0, 1)
    centre = (world_of(target) * weight[..., None]).sum(axis=(0, 1, 2)) / weight.sum()
    assert np.allclose(centre, (1.0, -2.0, 3.0), atol=0.02)
    assert weight.sum() / 1000 == pytest.approx(fine.volume_ml, rel=0.01)


def test_probabilities_are_carried_linearly():
    source = grid((1.0, 1.0, 1.0), field_mm=30, rotation_deg=(3, 4, 5))
    target = grid((1.5, 0.7, 2.0), field_mm=14, shear=0.2)
    rising = ((world_of(source) @ SLOPE) / 200 + 0.5).astype(np.float32)
    carried = carry(np.stack([rising, 1 - rising]), source, target)
    assert np.allclose(carried[0], (world_of(target) @ SLOPE) / 200 + 0.5, atol=1e-5)
    assert np.allclose(carried.sum(axis=0), 1, atol=1e-5)


def test_probabilities_are_carried_unchanged_to_their_own_grid():
    source = grid((1.0, 1.0, 1.0), field_mm=12, rotation_deg=(3, 4, 5))
    probability = np.random.default_rng(0).random((2, *source.shape)).astype(np.float32)
    assert np.allclose(
        carry(probability, source, source)[:, 1:-1, 1:-1, 1:-1],
        probability[:, 1:-1, 1:-1, 1:-1],
        atol=1e-5,
    )


def test_carried_probabilities_are_zero_outside_their_box():
    source, target = grid(field_mm=10), grid(field_mm=20)
    carried = carry(np.ones((1, *source.shape), np.float32), source, target)
    beyond = (np.abs(world_of(target)) > 5.5).any(axis=-1)
    assert not carried[0][beyond].any()


@every_source
def test_a_block_around_a_box_holds_all_of_its_voxels(name):
    outer = SOURCES[name]
    start, block = block_around(INNER, outer)
    corners = outer.to_indices(world_of(INNER).reshape(-1, 3))
    assert np.all(corners >= np.array(start) - 0.5)
    assert np.all(corners <= np.array(start) + np.array(block.shape) - 0.5)
    assert block.matches(outer.block(start, block.shape))


def test_a_block_is_no_larger_than_it_must_be():
    _, block = block_around(grid(field_mm=10), grid(field_mm=40))
    assert max(block.shape) <= 12


def test_a_block_never_leaves_the_grid():
    outer = grid(field_mm=20)
    start, block = block_around(grid(field_mm=30, centre_mm=(8.0, 0.0, -14.0)), outer)
    assert min(start) >= 0
    assert np.all(np.array(start) + np.array(block.shape) <= outer.shape)


def test_a_block_around_a_box_beside_the_grid_is_a_part_of_the_grid():
    outer = grid(field_mm=20)
    start, block = block_around(grid(field_mm=4, centre_mm=(90.0, 0.0, 0.0)), outer)
    assert Geometry(block.shape, block.affine).matches(outer.block(start, block.shape))
    assert min(block.shape) >= 1
