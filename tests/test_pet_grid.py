"""A PET on another grid keeps its places, its maximum as a bound, and its activity."""

import numpy as np
import pytest

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.pet.grid import Uptake, carried, uptake_of, uptake_on
from segment.volume import Volume
from tests.pet_phantom import Sphere, cube, phantom
from tests.phantoms import grid, world_of

SPHERE = Sphere(22.0, (1.3, -0.7, 0.4), 4.0)


def pet(array, geometry):
    return Volume(np.asarray(array, np.float32), geometry, sha256="p", modality="PT")


def test_a_linear_field_is_carried_without_any_error():
    source = grid((3.0, 4.0, 5.0), rotation_deg=(10, 5, 20))
    x, y, z = np.moveaxis(world_of(source), -1, 0)
    finer = grid((1.5, 2.0, 1.0), field_mm=30.0)
    found = uptake_on(pet(100 + x - 2 * y + 3 * z, source), finer)
    x, y, z = np.moveaxis(world_of(finer), -1, 0)
    assert found.inside.all()
    assert found.suv == pytest.approx(100 + x - 2 * y + 3 * z, abs=1e-3)


def test_a_grid_of_its_own_changes_no_voxel():
    volume = phantom(cube(4.0), hot=[SPHERE])
    assert uptake_on(volume, volume.geometry).suv == pytest.approx(volume.array, abs=1e-6)
    assert uptake_of(volume).inside.all()


def test_activity_is_kept_and_no_value_passes_the_highest():
    volume = phantom(cube(4.0), hot=[SPHERE], fwhm_mm=4.0)
    found = carried(volume, uptake_on(volume, cube(1.0)))
    assert found.covered == 1.0
    assert found.kept == pytest.approx(1.0, abs=0.002)
    assert 0.95 * found.own_max < found.carried_max <= found.own_max


def test_only_what_both_fields_show_is_compared():
    volume = phantom(cube(4.0), hot=[SPHERE])
    half = Geometry((32, 64, 64), cube(1.0).affine)
    found = carried(volume, uptake_on(volume, half))
    assert found.covered == pytest.approx(0.5)
    assert found.kept == pytest.approx(1.0, abs=0.02)


def test_voxels_outside_of_the_pets_field_hold_nothing():
    found = uptake_on(phantom(cube(4.0, field_mm=32.0), hot=[]), cube(2.0))
    assert found.inside.sum() == 16**3
    assert set(found.suv[~found.inside]) == {0.0}
    assert found.total_g == pytest.approx(32**3 / 1000)


def test_no_activity_has_no_share():
    zero = pet(np.zeros((8, 8, 8)), cube(4.0, field_mm=32.0))
    assert carried(zero, uptake_of(zero)).kept is None


def test_fields_that_do_not_meet_are_refused():
    with pytest.raises(ScanError, match="expected one that overlaps the PET") as refusal:
        uptake_on(phantom(cube(4.0), hot=[]), cube(4.0, centre_mm=(500, 0, 0)))
    assert refusal.value.code is Refusal.WRONG_GRID


def test_uptake_fills_its_grid():
    with pytest.raises(ScanError, match="does not fill the grid"):
        Uptake(np.zeros((2, 2, 2), np.float32), cube(4.0), np.ones((2, 2, 2), bool))
