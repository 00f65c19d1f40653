"""A DICOM series becomes a volume whose voxels lie where the slices' positions say."""

import time

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from segment.errors import Refusal, ScanError
from segment.reading import find_series, list_files, read_dicom_series, read_series
from segment.reading.header import read_headers
from segment.reading.pixels import read_pictures
from segment.reading.tags import READ_TAGS
from tests.hostile.make import dicom_slice, dicom_slices
from tests.shared_data import shared_data

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
READABLE = [
    "mr_t1_whole_head_120slices",
    "mr_t1_head_2mm_jpeg_lossless_fragments",
    "mr_t1_one_person_two_positions/supine",
    "mr_t1_one_person_two_positions/left_side",
    "mr_hippocampus_crop_32slices",
    "ct_jpeg2000_20slices",
]
REFUSED = {
    "mr_diffusion_mosaic": (Refusal.UNSUPPORTED_DICOM, "mosaic"),
    "mr_nine_transfer_syntaxes": (Refusal.UNSUPPORTED_DICOM, "mosaic"),
    "mr_enhanced_multiframe_five_volumes": (Refusal.SEVERAL_VOLUMES, r"5\.5: 63 slices"),
    "mr_epi_many_volumes": (Refusal.SEVERAL_VOLUMES, r"4\.10: 15 slices"),
}


def read(folder):
    return read_dicom_series(list_files(folder))


def test_voxels_lie_where_equation_c_7_6_2_1_1_puts_them(tmp_path):
    orientation = (0, 0.8, -0.6, 0.6, 0.48, 0.64)
    folder = dicom_slices(tmp_path / "study", orientation=orientation, count=5)
    volume = read(folder)
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        row, column = 3, 6
        down_mm, across_mm = data.PixelSpacing
        lps = (
            np.array(data.ImagePositionPatient)
            + np.array(orientation[:3]) * across_mm * column
            + np.array(orientation[3:]) * down_mm * row
        )
        index = volume.geometry.to_indices((lps * (-1, -1, 1))[np.newaxis])[0]
        assert index == pytest.approx(np.round(index), abs=1e-4)
        assert volume.array[tuple(np.round(index).astype(int))] == data.pixel_array[row, column]


def test_spacing_comes_from_positions_and_never_from_slice_thickness(tmp_path):
    volume = read(dicom_slices(tmp_path / "study", spacing_mm=1.75, SliceThickness=9))
    assert volume.geometry.spacing_mm == pytest.approx((0.75, 0.5, 1.75))
    assert volume.facts["slice_thickness_mm"] == "9"
    assert volume.facts["slice_spacing_mm"] == "1.75"


@pytest.mark.parametrize("storage", ["1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2"])
def test_rescale_slope_and_intercept_are_applied_slice_by_slice(storage, tmp_path):
    folder = dicom_slices(tmp_path / "study", SOPClassUID=storage, RescaleIntercept="-7")
    for index, path in enumerate(sorted(folder.iterdir())):
        data = pydicom.dcmread(path)
        data.RescaleSlope = str(1.5 + index)
        data.save_as(path)
    headers = list(read_headers(sorted(folder.iterdir())))
    for header, picture in zip(headers, read_pictures(headers), strict=True):
        data = pydicom.dcmread(header.path)
        expected = data.pixel_array * float(data.RescaleSlope) - 7
        assert picture == pytest.approx(expected, rel=1e-6)


def test_neither_names_nor_order_of_files_change_the_volume(tmp_path):
    files = list_files(dicom_slices(tmp_path / "study"))
    forwards, backwards = read_dicom_series(files), read_dicom_series(files[::-1])
    renamed = [
        path.rename(path.with_name(f"{index}.ima")) for index, path in enumerate(files[::-1])
    ]
    again = read_dicom_series(renamed)
    assert forwards.sha256 == backwards.sha256 == again.sha256
    assert np.array_equal(forwards.array, again.array)
    assert np.array_equal(forwards.array, backwards.array)


def test_only_technical_facts_leave_the_header(tmp_path):
    folder = dicom_slices(
        tmp_path / "study",
        SeriesDescription="Quetzal",
        Manufacturer="Quetzal Imaging",
        ProtocolName="Quetzal",
        InstitutionName="Quetzal",
        MagneticFieldStrength=3,
    )
    volume = read(folder)
    assert dict(volume.facts) == {
        "magnetic_field_t": "3",
        "slice_thickness_mm": "9",
        "slice_spacing_mm": "2.5",
    }
    assert volume.date == "2024-02-29"
    assert {tag for tag in READ_TAGS if tag.startswith(("Patient", "Institution", "Study"))} == {
        "StudyDate",
        "StudyTime",
        "StudyInstanceUID",
        "PatientWeight",  # for the uptake values of PET
    }


def test_a_value_that_breaks_its_rules_is_left_out_without_a_warning(tmp_path):
    folder = dicom_slices(tmp_path / "study", RepetitionTime=1234)
    for path in folder.iterdir():
        content = path.read_bytes()
        path.write_bytes(content.replace(b"1234", b"many").replace(b"20240229", b"not_a_d*"))
    volume = read(folder)
    assert volume.date is None
    assert "repetition_time_ms" not in volume.facts


@pytest.mark.parametrize(
    ("tags", "sequence"),
    [
        ({"ScanningSequence": ["GR", "IR"], "EchoTime": 3, "InversionTime": 900}, "T1"),
        ({"ScanningSequence": "SE", "EchoTime": 12, "RepetitionTime": 500}, "T1"),
        ({"ScanningSequence": "SE", "EchoTime": 90, "RepetitionTime": 4000}, "unknown"),
        ({"ScanningSequence": ["SE", "IR"], "EchoTime": 12, "RepetitionTime": 500}, "unknown"),
        ({"ScanningSequence": "EP", "EchoTime": 30, "RepetitionTime": 3000}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_a_sequence_is_named_only_where_its_timing_leaves_no_doubt(tags, sequence, tmp_path):
    assert read(dicom_slices(tmp_path / "study", **tags)).sequence == sequence


def test_other_objects_and_localisers_make_series_of_their_own(tmp_path):
    folder = dicom_slices(tmp_path / "study", series=3)
    dicom_slices(folder, series=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (folder / "notes.txt").write_text("no DICOM")
    report = dicom_slice()
    report.SeriesInstanceUID = pydicom.dcmread(next(folder.glob("*-3-*"))).SeriesInstanceUID
    del report.Rows, report.Columns, report.PixelData
    report.save_as(folder / "report", enforce_file_format=True)
    assert [series.is_scan for series in find_series(list_files(folder))].count(True) == 1


@pytest.mark.slow
@pytest.mark.parametrize("folder", READABLE)
def test_real_series_agree_with_simpleitk_in_voxels_and_places(folder):
    path = shared_data("dicom", *folder.split("/"))
    (series,) = find_series(list_files(path))
    volume = read_series(series)

    names = [str(header.path) for header in series.headers]
    along = {n: sitk_position(n) for n in names}
    image = sitk.ReadImage(sorted(names, key=along.get), sitk.sitkFloat32)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) @ np.diag(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()

    assert volume.geometry.affine == pytest.approx(LPS_TO_RAS @ affine, abs=2e-3)
    assert np.array_equal(volume.array, sitk.GetArrayFromImage(image).T)


def sitk_position(name):
    """Return a slice's distance along the normal from SimpleITK's own reading of its header."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    reader.ReadImageInformation()
    return float(np.reshape(reader.GetDirection(), (3, 3))[:, 2] @ reader.GetOrigin())


@pytest.mark.parametrize("folder", REFUSED)
def test_a_kind_that_cannot_be_read_is_refused_by_name(folder):
    first, *_ = find_series(list_files(shared_data("dicom", folder)))
    code, words = REFUSED[folder]
    with pytest.raises(ScanError, match=words) as refusal:
        read_series(first, name=folder)
    assert refusal.value.code is code


def test_nine_transfer_syntaxes_give_the_same_pixels(capfd):
    headers = list(read_headers(list_files(shared_data("dicom", "mr_nine_transfer_syntaxes"))))
    first, *others = read_pictures(headers)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(headers[0].path), sitk.sitkFloat32))[0]
    assert np.array_equal(first, theirs)
    assert len(others) == 8
    assert np.ptp(first) > 100
    assert all(np.array_equal(first, other) for other in others)
    assert capfd.readouterr() == ("", "")


def test_a_head_of_120_slices_is_read_in_seconds():
    files = list_files(shared_data("dicom", "mr_t1_whole_head_120slices"))
    start_s = time.perf_counter()
    volume = read_dicom_series(files)
    assert time.perf_counter() - start_s < 20  # 1.2 s on two quiet cores; the machine may be busy
    assert volume.array.shape == (512, 512, 120)
    assert volume.sequence == "T1"
