"""Slices of a tilted gantry or at uneven distances are resampled to where they were, or refused."""

import numpy as np
import pytest
from scipy import ndimage

from segment.errors import Refusal, ScanError
from segment.reading import find_series, list_files, read_dicom_series, read_series
from segment.reading.pixels import read_pictures
from segment.reading.slices import order_slices
from tests.balls import VOLUME_MM3, ball_mm3, ball_series
from tests.shared_data import shared_data

EVEN = np.arange(-36.0, 36.1, 2.0)
TWO_DISTANCES = np.r_[np.arange(-36.0, 0, 2.0), np.arange(0.0, 36.1, 3.0)]
JITTERED = EVEN + np.random.default_rng(0).uniform(-0.4, 0.4, len(EVEN))


def read(folder):
    return read_dicom_series(list_files(folder))


@pytest.mark.slow
@pytest.mark.parametrize("distances_mm", [EVEN, TWO_DISTANCES, JITTERED])
@pytest.mark.parametrize("tilt_degrees", [0, 18.5, -30])
def test_a_ball_keeps_its_volume_within_one_percent(tilt_degrees, distances_mm, tmp_path):
    volume = read(ball_series(tmp_path / "ball", distances_mm, tilt_degrees=tilt_degrees))
    assert ball_mm3(volume) == pytest.approx(VOLUME_MM3, rel=0.01)
    centre = np.argwhere(volume.array > 550).mean(axis=0)
    assert volume.geometry.to_world(centre[None])[0] == pytest.approx((0, 0, 0), abs=0.6)


def test_a_tilted_series_comes_upright_and_says_so(tmp_path):
    volume = read(ball_series(tmp_path / "ball", EVEN, tilt_degrees=18.5))
    axes = volume.geometry.affine[:3, :3]
    assert abs(axes[:, 1] @ axes[:, 2]) < 1e-6
    assert volume.geometry.spacing_mm == pytest.approx((1, 1, 2))
    assert volume.facts["resampled_from_tilt_degrees"] == "18.5"
    assert "resampled_from_distances_mm" not in volume.facts


def test_uneven_distances_come_even_and_say_so(tmp_path):
    volume = read(ball_series(tmp_path / "ball", TWO_DISTANCES))
    assert volume.geometry.spacing_mm[2] == pytest.approx(2.0, rel=0.05)
    assert volume.facts["resampled_from_distances_mm"] == "2 to 3"


def test_slices_at_even_distances_are_not_touched(tmp_path):
    volume = read(ball_series(tmp_path / "ball", EVEN))
    assert set(np.unique(volume.array)) == {100, 1000}
    assert not [fact for fact in volume.facts if fact.startswith("resampled")]


@pytest.mark.parametrize(
    ("distances_mm", "named"),
    [
        (np.delete(EVEN, 10), "4 mm from -18 to -14 mm"),
        (np.delete(EVEN, 1), "4 mm from -36 to -32 mm"),
        (np.delete(EVEN, [10, 12]), "4 mm from -18 to -14 mm, 4 mm from -14 to -10 mm"),
        (np.r_[EVEN, 40.0], "4 mm from 36 to 40 mm"),
    ],
)
def test_missing_slices_are_refused_and_their_place_named(distances_mm, named, tmp_path):
    with pytest.raises(ScanError, match=named) as refusal:
        read(ball_series(tmp_path / "ball", distances_mm))
    assert refusal.value.code is Refusal.UNEVEN_SLICES


def test_a_slice_beside_the_line_of_the_others_is_refused(tmp_path):
    beside_mm = np.where(np.arange(len(EVEN)) == 9, 0.8, 0.0)
    with pytest.raises(ScanError, match=r"one 0\.8 mm beside it") as refusal:
        read(ball_series(tmp_path / "ball", EVEN, sideways_mm=beside_mm))
    assert refusal.value.code is Refusal.UNEVEN_SLICES


def test_the_real_tilted_series_has_its_own_values_where_its_slices_lay():
    files = list_files(shared_data("dicom", "ct_gantry_tilt_variable_spacing"))
    (series,) = find_series(files)
    volume = read_series(series)
    layout = order_slices(series.headers, "tilted")
    down, across = np.meshgrid(np.arange(100, 412, 4), np.arange(100, 412, 4), indexing="ij")
    errors = []
    for header, picture in zip(layout.headers, read_pictures(layout.headers), strict=True):
        axes = np.reshape(header.vectors["ImageOrientationPatient"], (2, 3))
        dy, dx = header.vectors["PixelSpacing"]
        lps = (
            np.array(header.vectors["ImagePositionPatient"])
            + across.reshape(-1, 1) * axes[0] * dx
            + down.reshape(-1, 1) * axes[1] * dy
        )
        points = volume.geometry.to_indices(lps * (-1, -1, 1))
        read_back = ndimage.map_coordinates(volume.array, points.T, order=1)
        errors.append(np.median(np.abs(read_back - picture[down, across].ravel())))
    assert volume.geometry.spacing_mm[2] == pytest.approx(4.0, abs=0.01)
    assert volume.facts["resampled_from_distances_mm"] == "1.081 to 6.999"
    assert np.median(errors) < 10  # HU, of a field from -1000 to 2000
