"""Key slices lie as they say, whatever grid the volume is stored on."""

import numpy as np
import pytest

from assistant.readers.siglip.slices import (
    NORMAL,
    SIDE_PX,
    cut,
    key_slices,
    positions_mm,
    scaled,
    stacked,
    usable_planes,
)
from segment.geometry import Geometry
from segment.volume import Volume
from tests.phantoms import grid, world_of

# Three balls: towards the patient's left, front and head, smaller in that order.
BALLS = (((-30.0, 0.0, 0.0), 14.0), ((0.0, 30.0, 0.0), 10.0), ((0.0, 0.0, 30.0), 6.0))


def balls(geometry):
    """A head of balls by which every direction is known."""
    world = world_of(geometry)
    body = (world**2).sum(-1) <= 45.0**2
    array = np.where(body, 100.0, 0.0)
    for centre, radius in BALLS:
        array[((world - np.asarray(centre)) ** 2).sum(-1) <= radius**2] = 900.0
    return Volume(array.astype(np.float32), geometry, sha256="phantom")


def brightest(picture):
    """Where the ball lies from the middle: down and to the right."""
    rows, columns = np.nonzero(picture.pixels > 0.8)
    middle = (SIDE_PX - 1) / 2
    return rows.mean() - middle, columns.mean() - middle


@pytest.mark.parametrize("axes", ["RAS", "LPS", "ASR", "SPL", "LAS"])
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (1.0, 1.0, 5.0), (3.0, 2.0, 2.0)])
def test_pictures_are_radiological_on_any_grid(axes, spacing_mm):
    volume = balls(grid(spacing_mm, field_mm=120.0, axes=axes))
    down, right = brightest(cut(volume, "axial", 30.0))
    assert abs(down) < 6
    assert abs(right) < 6
    axial, coronal, sagittal = (cut(volume, p, 0.0) for p in ("axial", "coronal", "sagittal"))
    rows, columns = np.nonzero(axial.pixels > 0.8)
    middle = SIDE_PX / 2
    assert rows.min() < middle - 40  # the front is up
    assert columns.max() > middle + 40  # the patient's left is on the right
    rows, columns = np.nonzero(coronal.pixels > 0.8)
    assert rows.min() < middle - 40  # the head is up
    assert columns.max() > middle + 40  # the patient's left is on the right
    rows, columns = np.nonzero(sagittal.pixels > 0.8)
    assert rows.min() < middle - 40  # the head is up
    assert columns.min() < middle - 40  # the front is on the left


def test_pixels_are_square():
    volume = balls(grid((1.0, 1.0, 5.0), field_mm=120.0))
    for plane in ("axial", "coronal", "sagittal"):
        body = cut(volume, plane, -20.0).pixels > 0.05
        height, width = (np.ptp(np.nonzero(body)[axis]) + 1 for axis in (0, 1))
        assert height == pytest.approx(width, abs=10)


def test_a_narrow_field_is_padded_with_black():
    geometry = Geometry((20, 40, 40), np.diag([1.0, 1.0, 1.0, 1.0]))
    rng = np.random.default_rng(0)
    volume = Volume(rng.uniform(5, 9, geometry.shape).astype(np.float32), geometry, sha256="x")
    picture = cut(volume, "axial", 20.0)
    assert picture.pixels.shape == (SIDE_PX, SIDE_PX)
    assert picture.pixels[:, : SIDE_PX // 4 - 2].max() == 0
    assert picture.pixels[:, SIDE_PX // 3 : -SIDE_PX // 3].mean() > 0.3


def test_key_slices_lie_in_the_tissue():
    volume = balls(grid((2.0, 2.0, 2.0), field_mm=120.0, centre_mm=(40.0, 0.0, 0.0)))
    found = positions_mm(volume, "sagittal", (0.0, 0.5, 1.0))
    assert found[0] == pytest.approx(-20.0, abs=35)
    assert found[0] < found[1] < found[2] <= 46.0


def test_a_whole_field_gives_the_same_number_of_slices_in_every_plane():
    pictures = key_slices(balls(grid((2.0, 2.0, 2.0), field_mm=120.0)))
    assert [picture.plane for picture in pictures] == [p for p in NORMAL for _ in range(3)]
    assert stacked(pictures).shape == (9, SIDE_PX, SIDE_PX)


def test_a_slab_is_cut_in_its_own_plane_alone():
    geometry = Geometry((100, 100, 6), np.diag([1.0, 1.0, 3.0, 1.0]))
    volume = Volume(np.ones(geometry.shape, np.float32), geometry, sha256="x")
    assert usable_planes(volume) == ("axial",)


def test_finer_voxels_are_averaged():
    rng = np.random.default_rng(0)
    geometry = Geometry((480, 480, 8), np.diag([0.25, 0.25, 2.0, 1.0]))
    array = rng.normal(500, 100, geometry.shape).astype(np.float32)
    volume = Volume(array, geometry, sha256="x")
    coarse = Volume(
        array[::4, ::4], Geometry((120, 120, 8), np.diag([1.0, 1.0, 2.0, 1.0])), sha256="x"
    )
    one, other = cut(volume, "axial", 8.0), cut(coarse, "axial", 8.0)
    assert one.native_px == pytest.approx((0.4, 0.4))
    assert other.native_px == pytest.approx((1.6, 1.6))


def test_values_below_a_vacuum_count_as_vacuum_in_ct():
    geometry = Geometry((60, 60, 20), np.diag([1.0, 1.0, 2.0, 1.0]))
    array = np.full(geometry.shape, -1000.0, np.float32)
    array[20:40, 20:40] = 40.0
    padded = array.copy()
    padded[:6] = -3000.0
    one, other = (cut(Volume(a, geometry, sha256="x"), "axial", 20.0) for a in (array, padded))
    inside = np.s_[80:110, 80:110]
    assert one.pixels[inside] == pytest.approx(other.pixels[inside], abs=0.03)


def test_scaling_a_scaled_picture_changes_nothing():
    rng = np.random.default_rng(0)
    pixels = rng.gamma(2.0, 100.0, (64, 64)).astype(np.float32)
    pixels[:20] = np.nan
    once = scaled(pixels)
    assert np.array_equal(scaled(once), once)
    assert (once.min(), once.max()) == (0.0, 1.0)


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_an_even_picture_is_black(value):
    assert scaled(np.full((8, 8), value, np.float32)).max() == 0


def test_an_even_volume_still_has_slices():
    geometry = grid((2.0, 2.0, 2.0), field_mm=40.0)
    volume = Volume(np.zeros(geometry.shape, np.float32), geometry, sha256="x")
    assert np.isfinite(stacked(key_slices(volume))).all()
