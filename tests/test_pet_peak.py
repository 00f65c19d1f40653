"""SUVpeak is the highest mean of a millilitre, as counted voxel by voxel."""

import numpy as np
import pytest

from segment.geometry import Geometry
from segment.pet.grid import Uptake, uptake_of
from segment.pet.peak import RADIUS_MM, suv_peak
from tests.pet_phantom import Sphere, ball_mask, cube, phantom
from tests.phantoms import world_of

SHEARED = np.array(
    [[3.0, 0.4, 0.0, 5.0], [-0.3, 2.5, 0.2, 0.0], [0.1, 0.0, 4.0, 9.0], [0, 0, 0, 1]]
)


def counted(uptake, mask):
    """Average every sphere by measuring every distance."""
    places = world_of(uptake.geometry)
    return max(
        uptake.suv[
            (np.linalg.norm(places - places[tuple(at)], axis=-1) <= RADIUS_MM) & uptake.inside
        ].mean(dtype=np.float64)
        for at in np.argwhere(mask)
    )


def boxed(mask):
    (i, j, k) = (np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    box = tuple(slice(int(side[0]), int(side[-1]) + 1) for side in (i, j, k))
    return box, mask[box]


@pytest.mark.parametrize(
    "affine", [np.diag([2.0, 2.0, 3.0, 1.0]), SHEARED], ids=["even", "sheared"]
)
@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_counting_every_sphere_gives(affine, seed):
    rng = np.random.default_rng(seed)
    shape = (9, 8, 7)
    inside = rng.random(shape) < 0.8
    suv = np.where(inside, rng.gamma(2.0, 2.0, shape), 0).astype(np.float32)
    uptake = Uptake(suv, Geometry(shape, affine), inside)
    mask = inside & (rng.random(shape) < 0.2)
    assert suv_peak(uptake, *boxed(mask)) == pytest.approx(counted(uptake, mask), rel=1e-6)


def test_its_sphere_is_a_millilitre():
    geometry = cube(0.5, field_mm=20.0)
    assert ball_mask(geometry, RADIUS_MM, (0.1, 0, 0)).sum() / 8000 == pytest.approx(1, rel=0.01)


def test_a_large_uniform_sphere_peaks_at_its_uptake():
    ball = Sphere(28.0, (0.6, -1.1, 0.3), 4.0)
    uptake = uptake_of(phantom(cube(2.0), hot=[ball]))
    assert suv_peak(uptake, *boxed(uptake.suv > 2.5)) == pytest.approx(4.0, rel=1e-5)


def test_what_is_smaller_than_its_sphere_peaks_below_its_uptake():
    ball = Sphere(10.0, (0.6, -1.1, 0.3), 4.0)
    uptake = uptake_of(phantom(cube(1.0, field_mm=32.0), hot=[ball]))
    share = (10 / (2 * RADIUS_MM)) ** 3
    within = 1 + 3 * share  # the whole ball lies in a sphere around its middle
    assert suv_peak(uptake, *boxed(uptake.suv > 2.5)) == pytest.approx(within, rel=0.02)


def test_voxels_larger_than_the_sphere_are_their_own_peak():
    suv = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    uptake = Uptake(suv, cube(10.0, field_mm=30.0), np.ones((3, 3, 3), bool))
    assert suv_peak(uptake, (slice(0, 3),) * 3, suv < 20) == pytest.approx(19.0)
