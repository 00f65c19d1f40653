"""Stored numbers become real values by each file's own tags, whatever their encoding."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from segment.errors import ScanError
from segment.reading.header import read_header
from segment.reading.pixels import read_slice
from tests.hostile.make import dicom_slice


def written(folder, **tags):
    data = dicom_slice()
    data.SeriesInstanceUID = "1.2.3"
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.save_as(folder / "one", enforce_file_format=True)
    return folder / "one"


def picture_of(path):
    return read_slice(read_header(path))


def stored(values, dtype="<i2"):
    return np.resize(np.array(values, dtype), 80).tobytes()


SIGNED = {"BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1}


@pytest.mark.parametrize(
    ("tags", "values"),
    [
        ({"PixelPaddingValue": -1500}, [-1500, 0, 7]),
        ({"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1500}, [-1700, 0, 7]),
        ({"PixelPaddingValue": -1500, "RescaleSlope": 1, "RescaleIntercept": 0}, [-1500, 0, 7]),
    ],
)
@pytest.mark.parametrize(("modality", "nothing"), [("CT", -1000), ("MR", 0)])
def test_padding_is_nothing_and_no_value(tags, values, modality, nothing, tmp_path):
    path = written(tmp_path, **SIGNED, **tags, Modality=modality, PixelData=stored(values))
    picture = picture_of(path).ravel()
    assert picture[:3].tolist() == [nothing, 0, 7]


def test_padding_is_found_before_rescaling(tmp_path):
    tags = {"PixelPaddingValue": 5, "RescaleSlope": 2, "RescaleIntercept": -3}
    picture = picture_of(written(tmp_path, **SIGNED, **tags, PixelData=stored([5, 1, 4])))
    assert picture.ravel()[:3].tolist() == [0, -1, 5]


def test_padding_is_honoured_where_its_type_depends_on_another_tag(tmp_path):
    path = written(tmp_path, **SIGNED, PixelPaddingValue=-1500, PixelData=stored([-1500, 1]))
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    data.save_as(path, implicit_vr=True, little_endian=True)
    assert picture_of(path).ravel()[:2].tolist() == [0, 1]


def test_bits_outside_the_stored_ones_are_no_part_of_a_value(tmp_path):
    path = written(tmp_path, PixelData=stored([0xF001, 0x0FFF], "<u2"))
    assert picture_of(path).ravel()[:2].tolist() == [1, 4095]


def test_a_sign_is_carried_from_the_highest_stored_bit(tmp_path):
    path = written(tmp_path, PixelRepresentation=1, PixelData=stored([0x0FFF, 0x0001], "<u2"))
    assert picture_of(path).ravel()[:2].tolist() == [-1, 1]


def test_big_endian_pixels_are_those_that_simpleitk_reads(tmp_path):
    data = dicom_slice()
    data.PixelData = np.frombuffer(data.PixelData, "<u2").astype(">u2").tobytes()
    data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    path = tmp_path / "one"
    data.save_as(path, enforce_file_format=True)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path), sitk.sitkFloat32))[0]
    assert np.array_equal(picture_of(path), theirs)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"PixelData": bytes(158)}, "a shorter file"),
        ({"PixelData": bytes(320)}, "more than that"),
        ({"BitsAllocated": 12}, "8, 16 or 32 bits"),
        ({"BitsStored": 20}, "8, 16 or 32 bits"),
    ],
)
def test_pixels_that_are_not_as_promised_are_refused(tags, words, tmp_path):
    with pytest.raises(ScanError, match=words):
        picture_of(written(tmp_path, **tags))
