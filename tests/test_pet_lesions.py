"""Lesions of a phantom are outlined as thresholds say, and what blur does to them is known."""

import math

import numpy as np
import pytest
from scipy.ndimage import label

from segment.geometry import Geometry
from segment.measurement import Reason
from segment.pet.grid import Uptake, uptake_of
from segment.pet.lesions import SHARE, outlined_at, outlined_at_share
from tests.pet_phantom import FWHM_PER_SD, Sphere, blurred, cube, phantom

MIDDLE = (0.6, -1.1, 0.3)


def pet(*hot, spacing_mm=2.0, background=1.0, **options):
    return uptake_of(phantom(cube(spacing_mm), hot=hot, background=background, **options))


def line(values):
    """Lay values along a row of voxels of one millilitre, with nothing around it."""
    suv = np.zeros((len(values) + 2, 3, 3), np.float32)
    suv[1:-1, 1, 1] = values
    geometry = Geometry(suv.shape, np.diag([10.0, 10.0, 10.0, 1.0]))
    return Uptake(suv, geometry, np.ones(suv.shape, bool))


def test_a_blurred_ball_keeps_its_activity():
    geometry = cube(1.0)
    for fwhm_mm in (0.0, 4.0, 7.0):
        ball = phantom(geometry, hot=[Sphere(17.0, MIDDLE, 1.0)], background=0.0, fwhm_mm=fwhm_mm)
        assert ball.array.sum() / 1000 == pytest.approx(math.pi * 17**3 / 6000, rel=0.002)


def test_a_blurred_balls_middle_is_that_of_the_formula():
    s, r = 7.0 / FWHM_PER_SD, 6.5
    middle = math.erf(r / (s * math.sqrt(2))) - math.sqrt(2 / math.pi) * r / s * math.exp(
        -(r**2) / (2 * s**2)
    )
    assert blurred(r, 7.0, np.array([0.0])) == pytest.approx(middle, abs=1e-5)


@pytest.mark.parametrize("diameter_mm", [22.0, 28.0, 37.0])
def test_without_blur_all_is_within_two_percent(diameter_mm):
    ball = Sphere(diameter_mm, MIDDLE, 4.0)
    (found,) = outlined_at(pet(ball, spacing_mm=1.0), 2.5, method="fixed").uptakes
    assert found.suv_max == pytest.approx(ball.suv, rel=0.02)
    assert found.suv_peak == pytest.approx(ball.suv, rel=0.02)
    assert found.mtv_ml == pytest.approx(ball.volume_ml, rel=0.02)
    assert found.suv_mean == pytest.approx(ball.suv, rel=0.03)
    assert found.tlg_g == pytest.approx(found.suv_mean * found.mtv_ml)
    assert found.lesion.centre_mm == pytest.approx(MIDDLE, abs=0.1)


def test_blur_takes_a_small_lesions_maximum_by_the_formula():
    ball = Sphere(13.0, MIDDLE, 4.0)
    (found,) = outlined_at(pet(ball, fwhm_mm=7.0, spacing_mm=1.0), 2.5, method="fixed").uptakes
    middle = 1 + 3 * float(blurred(6.5, 7.0, np.array([0.0]))[0])
    assert middle < 0.9 * ball.suv
    assert found.suv_max == pytest.approx(middle, rel=0.02)


def test_a_share_of_the_maximum_makes_volumes_too_large_where_contrast_is_low():
    errors = {}
    for suv in (4.0, 8.0):
        ball = Sphere(28.0, MIDDLE, suv)
        (found,) = outlined_at_share(pet(ball, fwhm_mm=7.0)).uptakes
        errors[suv] = found.mtv_ml / ball.volume_ml - 1
    assert errors[4.0] > errors[8.0] + 0.1 > 0.1


def test_a_share_of_the_maximum_is_of_each_lesions_own():
    hot, cool = Sphere(17.0, (-17.0, 0, 0), 12.0), Sphere(17.0, (17.0, 0, 0), 4.0)
    uptake = pet(hot, cool, background=0.1)
    found = sorted(outlined_at_share(uptake).uptakes, key=lambda one: one.suv_max)
    for one, ball in zip(found, (cool, hot), strict=True):
        values = uptake.suv[uptake.suv >= SHARE * one.suv_max]
        assert one.suv_max == pytest.approx(ball.suv)
        assert one.mtv_ml == pytest.approx(ball.volume_ml, rel=0.1)
        assert one.suv_mean == pytest.approx(one.tlg_g / one.mtv_ml)
        assert values.size >= one.lesion.voxels


def test_objects_at_a_level_are_those_of_counting():
    uptake = pet(
        Sphere(17.0, (-15.0, 3, 0), 6.0), Sphere(13.0, (15.0, 0, 4), 4.0), fwhm_mm=4.0, noise=1.0
    )
    found = outlined_at(uptake, 2.5, method="fixed", smallest_ml=0.0)
    labels, n = label(uptake.suv >= 2.5, np.ones((3, 3, 3)))
    counted = sorted(
        (float(uptake.suv[labels == i].max()), (labels == i).sum() * 0.008) for i in range(1, n + 1)
    )
    assert n == 2
    measured = sorted((one.suv_max, one.mtv_ml) for one in found.uptakes)
    assert np.array(measured) == pytest.approx(np.array(counted))


def test_what_is_too_small_is_left_out_and_counted():
    found = outlined_at(line([3, 0, 3, 3]), 2.5, method="fixed", smallest_ml=1.5)
    assert [one.mtv_ml for one in found.uptakes] == pytest.approx([2.0])
    assert found.left_out == 1
    assert outlined_at_share(line([3, 0, 3, 3]), smallest_ml=1.5).left_out == 1


def test_a_level_counts_what_lies_on_it():
    assert len(outlined_at(line([2.5, 2.4]), 2.5, method="fixed").uptakes) == 1


def test_a_spot_in_the_outline_of_a_hotter_one_is_a_part_of_it():
    found = outlined_at_share(line([0, 4, 2, 3.9, 0]))
    assert [one.mtv_ml for one in found.uptakes] == pytest.approx([3.0])
    assert (found.joined, found.unclear) == (1, ())


def test_an_outline_that_runs_into_a_hotter_lesion_is_not_measured():
    found = outlined_at_share(line([0, 20, 2, 4, 0]))
    assert [one.suv_max for one in found.uptakes] == [20.0]
    (spot,) = found.unclear
    assert (spot.suv_max, spot.reason) == (4.0, Reason.HOTTER_NEIGHBOUR)
    assert spot.at_mm == (40.0, 10.0, 10.0)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_an_outline_that_leaks_into_the_background_is_not_measured(noise):
    ball = Sphere(17.0, MIDDLE, 3.0)
    found = outlined_at_share(pet(ball, background=1.5, spacing_mm=4.0, noise=noise))
    assert found.uptakes == ()
    assert {spot.reason for spot in found.unclear} == {Reason.OUTLINE_LEAKS}


def test_an_outline_may_grow_far_along_a_thin_lesion():
    suv = np.zeros((60, 13, 13), np.float32)
    suv[2:-2, 5:8, 5:8] = 2.0
    suv[28:31, 5:8, 5:8] = 4.0
    uptake = Uptake(suv, Geometry(suv.shape, np.diag([3.0, 3.0, 3.0, 1.0])), suv >= 0)
    (found,) = outlined_at_share(uptake).uptakes
    assert found.lesion.voxels == 56 * 9


def test_a_lesion_at_the_edge_is_cut():
    whole = Sphere(17.0, MIDDLE, 4.0)
    cut = Sphere(17.0, (31.0, 0, 0), 4.0)
    assert [u.is_cut for u in outlined_at(pet(whole), 2.5, method="fixed").uptakes] == [False]
    assert [u.is_cut for u in outlined_at(pet(cut), 2.5, method="fixed").uptakes] == [True]


def test_a_lesion_that_touches_what_the_pet_does_not_show_is_cut():
    uptake = line([3, 3, 3, 3])
    inside = uptake.inside.copy()
    inside[4:] = False
    shown = Uptake(np.where(inside, uptake.suv, 0), uptake.geometry, inside)
    (found,) = outlined_at(shown, 2.5, method="fixed").uptakes
    assert (found.is_cut, found.mtv_ml) == (True, pytest.approx(3.0))


def test_where_nothing_is_hot_nothing_is_found():
    assert outlined_at_share(pet()).uptakes == ()
    assert outlined_at(pet(), 2.5, method="fixed").uptakes == ()


@pytest.mark.parametrize("level", [0.0, -1.0, math.inf, math.nan])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(ValueError, match=r"2\.5 is usual"):
        outlined_at(line([3]), level, method="fixed")


@pytest.mark.parametrize("share", [0.0, 1.0, 41.0])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=r"0\.41 is usual"):
        outlined_at_share(line([3]), share=share)
