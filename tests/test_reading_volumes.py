"""Several volumes in one series are told apart, listed, and one is chosen; never guessed."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from assistant.study import read_study
from segment.errors import Refusal, ScanError
from segment.reading import find_series, list_files, read_series
from tests.hostile.make import dicom_slices
from tests.shared_data import shared_data

ENHANCED = "mr_enhanced_multiframe_five_volumes"
EPI = "mr_epi_many_volumes"


def volumes_of(folder):
    (series,) = find_series(list_files(folder))
    return series.volumes


@pytest.mark.slow
def test_each_enhanced_volume_lies_where_its_frames_say():
    (series,) = find_series(list_files(shared_data("dicom", ENHANCED)))
    assert len(series.volumes) == 5
    for place, part in enumerate(series.volumes, start=1):
        volume = read_series(part)
        data = pydicom.dcmread(part.headers[0].path)
        frames = data.PerFrameFunctionalGroupsSequence
        assert part.mark == f"time point {place}"
        for index in (0, 31, 62):
            lps = np.array(frames[index].PlanePositionSequence[0].ImagePositionPatient)
            i, j, k = np.round(volume.geometry.to_indices((lps * (-1, -1, 1))[None])[0]).astype(int)
            assert volume.geometry.to_world(np.array([[i, j, k]], dtype=float))[0] == pytest.approx(
                lps * (-1, -1, 1), abs=1e-3
            )
            assert np.array_equal(volume.array[:, :, k], data.pixel_array[index].T)
        assert volume.date == "2024-10-15"
    assert np.prod(volume.geometry.spacing_mm) == pytest.approx(2.23256**2 * 2.2, rel=1e-5)


def test_a_series_of_single_slices_is_parted_in_the_scanners_order():
    folder = shared_data("dicom", EPI)
    parts = volumes_of(folder)
    assert [len(part.headers) for part in parts] == [15] * 10
    volume = read_series(parts[3])
    names = sorted(
        (str(header.path) for header in parts[3].headers),
        key=lambda name: float(pydicom.dcmread(name).ImagePositionPatient[2]),
    )
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(names, sitk.sitkFloat32))
    assert np.array_equal(volume.array, theirs.T)


@pytest.mark.slow
def test_one_volume_is_chosen_by_series_and_number():
    folder = shared_data("dicom", ENHANCED)
    with pytest.raises(
        ScanError, match=r"5\.2: 63 slices, time point 2;.+--series 5\.N"
    ) as refusal:
        read_study(folder)
    assert refusal.value.code is Refusal.SEVERAL_VOLUMES
    assert read_study(folder, series="5.2").volume.geometry.shape == (86, 86, 63)


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["5.0", "5.6", "5.x", "6.1", "5.-1"])
def test_a_volume_that_is_not_there_is_a_bad_option(choice):
    with pytest.raises(ScanError, match="asked for") as refusal:
        read_study(shared_data("dicom", ENHANCED), series=choice)
    assert refusal.value.code is Refusal.BAD_OPTION


def test_echoes_at_the_same_positions_are_told_apart(tmp_path):
    for echo in (1, 2):
        dicom_slices(tmp_path / "study" / str(echo), EchoNumbers=echo)
    for path in list_files(tmp_path / "study"):
        data = pydicom.dcmread(path)
        data.SeriesInstanceUID = "1.2.3"
        data.save_as(path)
    assert [part.mark for part in volumes_of(tmp_path / "study")] == ["echo 1", "echo 2"]


def test_a_tag_that_differs_within_one_volume_does_not_part_it(tmp_path):
    folder = dicom_slices(tmp_path / "study")
    for index, path in enumerate(sorted(folder.iterdir())):
        data = pydicom.dcmread(path)
        data.AcquisitionNumber, data.EchoTime = index, 3 + index / 10
        data.save_as(path)
    assert len(volumes_of(folder)) == 1
