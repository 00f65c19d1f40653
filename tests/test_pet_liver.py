"""PERCIST's threshold comes from a sphere in the right of the liver, or from none."""

from dataclasses import replace

import numpy as np
import pytest

from segment.errors import Refusal, ScanError
from segment.pet.liver import liver_centre, liver_reference
from segment.volume import Volume
from tests.pet_phantom import ball_mask, cube
from tests.phantoms import ball, grid, world_of

GEOMETRY = cube(4.0, field_mm=160.0)
LIVER = ball_mask(GEOMETRY, 40.0, (30.0, 0, 0)) | ball_mask(GEOMETRY, 25.0, (-30.0, 0, 0))


def pet(array, geometry=GEOMETRY):
    return Volume(np.asarray(array, np.float32), geometry, sha256="p", modality="PT")


def test_the_sphere_lies_deep_in_the_right():
    assert liver_centre(LIVER, GEOMETRY) == pytest.approx((30.0, 0.0, 0.0), abs=4.0)


def test_the_right_is_the_patients_whatever_the_order_of_voxels():
    turned = grid((4.0, 4.0, 4.0), field_mm=160.0, axes="LPS")
    mask = ball(turned, 40.0, (30.0, 0, 0)).mask | ball(turned, 25.0, (-30.0, 0, 0)).mask
    assert liver_centre(mask, turned) == pytest.approx((30.0, 0.0, 0.0), abs=4.0)


def test_a_deeper_left_is_left_alone():
    mask = ball_mask(GEOMETRY, 22.0, (50.0, 0, 0)) | ball_mask(GEOMETRY, 35.0, (-30.0, 0, 0))
    x, _, _ = liver_centre(mask, GEOMETRY)
    assert x > np.argwhere(mask)[:, 0].mean() * 4 - 80


def test_the_threshold_is_that_of_wahl():
    values = np.random.default_rng(0).normal(2.0, 0.2, GEOMETRY.shape)
    found = liver_reference(pet(values), (30.0, 1.0, 2.0))
    away = np.linalg.norm(world_of(GEOMETRY) - (30.0, 1.0, 2.0), axis=-1)
    sphere = values.astype(np.float32)[away <= 15.0].astype(float)
    assert found.voxels == len(sphere)
    assert found.threshold == pytest.approx(1.5 * sphere.mean() + 2 * np.std(sphere, ddof=1))


def test_a_factor_for_the_patient_moves_threshold_and_uptake_alike():
    values = np.random.default_rng(0).normal(2.0, 0.2, GEOMETRY.shape)
    one = liver_reference(pet(values), (30.0, 0.0, 0.0))
    lean = liver_reference(pet(0.7 * values), (30.0, 0.0, 0.0))
    assert lean.threshold == pytest.approx(0.7 * one.threshold, rel=1e-5)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros(GEOMETRY.shape, bool), "found no voxel"),
        (ball_mask(GEOMETRY, 12.0, (0, 0, 0)), "found one that holds none"),
        (ball_mask(GEOMETRY, 40.0, (95.0, 0, 0)), "found one that holds none"),
    ],
    ids=["empty", "smaller than the sphere", "cut by the field"],
)
def test_a_liver_without_room_for_the_sphere_is_refused(mask, words):
    with pytest.raises(ScanError, match=words) as refusal:
        liver_centre(mask, GEOMETRY)
    assert refusal.value.code is Refusal.NO_LIVER


@pytest.mark.parametrize("centre_mm", [(70.0, 0.0, 0.0), (900.0, 0.0, 0.0)], ids=["cut", "far"])
def test_a_sphere_that_leaves_the_field_is_refused(centre_mm):
    with pytest.raises(ScanError, match="outside of the PET's field"):
        liver_reference(pet(np.ones(GEOMETRY.shape)), centre_mm)


def test_a_place_without_uptake_is_refused():
    with pytest.raises(ScanError, match="found no uptake"):
        liver_reference(pet(np.zeros(GEOMETRY.shape)), (0.0, 0.0, 0.0))


def test_voxels_larger_than_the_sphere_are_refused():
    coarse = cube(40.0, field_mm=200.0)
    with pytest.raises(ScanError, match="found voxels too large"):
        liver_reference(pet(np.ones(coarse.shape), coarse), (20.0, 20.0, 20.0))


def test_the_reference_is_a_value():
    found = liver_reference(pet(np.full(GEOMETRY.shape, 2.0)), (30.0, 0.0, 0.0))
    assert (found.mean, found.sd) == (2.0, 0.0)
    assert replace(found, sd=0.1).threshold == pytest.approx(3.2)
