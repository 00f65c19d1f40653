"""A disc with a DICOMDIR, and folders in which other objects and studies lie, become one study."""

import gc
import warnings

import pydicom
import pytest
from pydicom.fileset import FileSet

from assistant.study import read_study
from segment.errors import Refusal, ScanError
from segment.reading import find_series, list_files
from tests.hostile.make import dicom_slice, dicom_slices

OBJECTS = {
    "1.2.840.10008.5.1.4.1.1.88.33": ("SR", "structured report"),
    "1.2.840.10008.5.1.4.1.1.88.59": ("KO", "key object selection"),
    "1.2.840.10008.5.1.4.1.1.11.1": ("PR", "presentation state"),
    "1.2.840.10008.5.1.4.1.1.66.4": ("SEG", "segmentation"),
    "1.2.840.10008.5.1.4.1.1.481.3": ("RTSTRUCT", "structure set"),
    "1.2.840.10008.5.1.4.1.1.104.1": ("DOC", "encapsulated document"),
    "1.2.840.10008.5.1.4.1.1.7": ("MR", "secondary capture"),
}


def disc(folder):
    """Write a disc as scanners do: a DICOMDIR beside folders of plain names.

    pydicom leaves the removal of its temporary folder to the garbage collector, which must not
    find it in a later test.
    """
    write_disc(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return folder / "disc" / "DICOMDIR"


def write_disc(folder):
    files = FileSet()
    for path in dicom_slices(folder / "slices").iterdir():
        data = pydicom.dcmread(path)
        data.StudyTime, data.StudyID, data.InstanceNumber = "101500", "1", 1
        files.add(data)
    files.write(folder / "disc")


def other_object(folder, uid, modality):
    data = dicom_slice()
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = uid
    data.SeriesInstanceUID, data.SeriesNumber, data.Modality = f"1.2.{uid[20:]}", 90, modality
    data.save_as(folder / uid, enforce_file_format=True)


def test_a_dicomdir_is_read_as_the_files_that_it_lists(tmp_path):
    study = read_study(disc(tmp_path))
    assert study.name == "DICOMDIR"
    assert study.volume.geometry.shape == (8, 10, 6)
    assert read_study(tmp_path / "disc").volume.sha256 == study.volume.sha256


def test_a_dicomdir_whose_files_were_left_behind_is_refused(tmp_path):
    path = disc(tmp_path)
    next(file for file in list_files(path.parent) if file.name != "DICOMDIR").unlink()
    with pytest.raises(ScanError, match="1 of them missing") as refusal:
        read_study(path)
    assert refusal.value.code is Refusal.MISSING


def test_a_dicomdir_that_leads_out_of_its_folder_is_refused(tmp_path):
    path = disc(tmp_path)
    with pydicom.config.disable_value_validation():
        data = pydicom.dcmread(path)
        for record in data.DirectoryRecordSequence:
            if "ReferencedFileID" in record:
                record.ReferencedFileID = ["..", "SECRET"]
        data.save_as(path)
    with pytest.raises(ScanError, match="leads out") as refusal:
        read_study(path)
    assert refusal.value.code is Refusal.UNSAFE_ARCHIVE


def test_objects_that_are_no_pictures_are_set_aside(tmp_path):
    folder = dicom_slices(tmp_path / "study")
    for uid, (modality, _) in OBJECTS.items():
        other_object(folder, uid, modality)
    dicom_slices(folder, series=7, ImageType=["ORIGINAL", "PRIMARY", "MOSAIC"])
    assert read_study(folder).volume.geometry.shape == (8, 10, 6)


def test_a_folder_of_other_objects_alone_is_refused_by_their_names(tmp_path):
    for uid, (modality, _) in OBJECTS.items():
        other_object(tmp_path, uid, modality)
    with pytest.raises(ScanError, match="expected a series of slices, found none") as refusal:
        read_study(tmp_path)
    assert refusal.value.code is Refusal.UNSUPPORTED_DICOM
    assert all(name in str(refusal.value) for _, name in OBJECTS.values())


def test_studies_of_several_days_are_listed_by_day(tmp_path):
    for day in ("20240301", "20230115"):
        dicom_slices(tmp_path / "disc" / day, StudyDate=day, StudyInstanceUID=f"1.2.{day}")
    first, second = find_series(list_files(tmp_path / "disc"))
    assert (first.headers[0].date, second.headers[0].date) == ("2023-01-15", "2024-03-01")
    with pytest.raises(ScanError, match=r"of 2023-01-15; series 2: .+ of 2024-03-01"):
        read_study(tmp_path / "disc")
    assert read_study(tmp_path / "disc", series="2").volume.date == "2024-03-01"
