"""Whatever holds a scan is read as one study, under its own name and no other."""

import dataclasses
import zipfile

import numpy as np
import pytest

from assistant.study import Identifiers, read_study
from segment.errors import Refusal, ScanError
from tests.hostile.make import archive, dicom_slices, nifti, two_series, voxels
from tests.shared_data import shared_data


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as target:
        for file in sorted(folder.rglob("*")):
            target.write(file, file.relative_to(folder.parent))
    return path


def test_a_nifti_file_is_a_study_without_identifiers(tmp_path):
    study = read_study(nifti(tmp_path, "head.nii.gz"))
    assert np.array_equal(study.volume.array, voxels())
    assert (study.name, study.identifiers, study.is_template) == ("head.nii.gz", None, False)


def test_a_dicom_folder_is_read_whatever_else_lies_in_it(tmp_path):
    folder = dicom_slices(tmp_path / "study" / "deep" / "deeper")
    (tmp_path / "study" / "notes.txt").write_text("no scan")
    dicom_slices(folder, series=9, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    study = read_study(str(tmp_path / "study"))
    assert study.name == "study"
    assert study.volume.geometry.shape == (8, 10, 6)


def test_a_zip_of_a_folder_gives_the_same_volume(tmp_path):
    folder = dicom_slices(tmp_path / "study")
    plain, packed = read_study(folder), read_study(zipped(folder, tmp_path / "packed.zip"))
    assert packed.name == "packed.zip"
    assert packed.volume.sha256 == plain.volume.sha256
    assert np.array_equal(packed.volume.array, plain.volume.array)
    assert packed.identifiers == plain.identifiers


def test_a_zip_of_a_nifti_file_is_read_whatever_its_name(tmp_path):
    path = archive(tmp_path, [("a/head.nii.gz", nifti(tmp_path).read_bytes())], "upload")
    assert np.array_equal(read_study(path).volume.array, voxels())


def test_nothing_of_a_zip_stays_on_disk(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    read_study(zipped(dicom_slices(tmp_path / "study"), tmp_path / "packed.zip"))
    assert not list(scratch.iterdir())


def test_the_one_series_of_the_modality_is_read_among_others(tmp_path):
    folder = dicom_slices(tmp_path / "study", series=2)
    dicom_slices(folder, series=5, count=4, Modality="CT")
    dicom_slices(folder, series=6, count=3, Modality="PT")
    study = read_study(folder, modality="MR")
    assert (study.volume.modality, study.volume.geometry.shape[2]) == ("MR", 6)
    assert read_study(folder, series="5", modality="MR").volume.modality == "CT"
    with pytest.raises(ScanError, match="found 3"):
        read_study(folder)
    dicom_slices(folder, series=7, count=3)
    with pytest.raises(ScanError, match=r"found 2 \(series 2: .*; series 7: ") as refusal:
        read_study(folder, modality="MR")
    assert refusal.value.code is Refusal.SEVERAL_SERIES


def test_several_series_are_listed_and_one_can_be_chosen(tmp_path):
    folder = two_series(tmp_path)
    with pytest.raises(ScanError) as refusal:
        read_study(folder)
    message = str(refusal.value)
    assert refusal.value.code is Refusal.SEVERAL_SERIES
    assert "series 2: MR, 6 files of 8 x 10; series 5: MR, 4 files of 8 x 10" in message
    assert message.endswith("choose one with --series N")
    assert read_study(folder, series="5").volume.geometry.shape == (8, 10, 4)


def test_series_without_numbers_of_their_own_are_counted(tmp_path):
    dicom_slices(tmp_path / "study" / "first", series=4, count=3)
    dicom_slices(tmp_path / "study" / "second", series=4, count=5)
    with pytest.raises(ScanError, match=r"series 1: .+; series 2: "):
        read_study(tmp_path / "study")
    counts = {
        read_study(tmp_path / "study", series=label).volume.geometry.shape[2] for label in "12"
    }
    assert counts == {3, 5}


def test_a_series_that_is_not_there_is_a_bad_option(tmp_path):
    with pytest.raises(ScanError, match="series '3' asked for") as refusal:
        read_study(two_series(tmp_path), series="3")
    assert refusal.value.code is Refusal.BAD_OPTION


def test_a_series_cannot_be_chosen_from_a_nifti_file(tmp_path):
    with pytest.raises(ScanError, match="leave --series out"):
        read_study(nifti(tmp_path), series="1")


def test_one_of_several_nifti_files_is_chosen_by_its_place(tmp_path):
    nifti(tmp_path, "a.nii", array=voxels((5, 6, 7)))
    nifti(tmp_path, "b.nii", array=voxels((8, 9, 10)))
    assert read_study(tmp_path, series="2").volume.geometry.shape == (8, 9, 10)
    with pytest.raises(ScanError, match="series '3' asked for") as refusal:
        read_study(tmp_path, series="3")
    assert "found series 1: a.nii; series 2: b.nii" in str(refusal.value)
    assert refusal.value.code is Refusal.BAD_OPTION


def test_identifiers_stand_apart_and_are_never_printed(tmp_path):
    study = read_study(dicom_slices(tmp_path / "study", AccessionNumber="A77"))
    assert study.identifiers is not None
    assert study.identifiers.patient_id == "QZ-1"
    assert study.identifiers.accession_number == "A77"
    assert "QZ-1" not in repr(study)
    assert "QZ-1" not in repr(study.identifiers)
    assert "QZ-1" not in str(study.volume.facts)
    assert dataclasses.replace(study, identifiers=None).identifiers is None
    assert Identifiers().patient_id == ""


def test_the_sample_is_the_template_and_no_person():
    study, again = read_study("sample"), read_study("sample")
    assert study.is_template
    assert study.name == "MNI152 template"
    assert study.volume.geometry.shape == (197, 233, 189)
    assert study.volume.geometry.spacing_mm == (1, 1, 1)
    assert (study.volume.modality, study.volume.sequence) == ("MR", "T1")
    assert study.volume.sha256 == again.volume.sha256


def test_two_real_series_of_one_person_ask_for_a_choice():
    folder = shared_data("dicom", "mr_t1_one_person_two_positions")
    with pytest.raises(ScanError, match="series 2: MR, 35 files of 256 x 256; series 3: "):
        read_study(folder)
    assert read_study(folder, series="3").volume.sequence == "T1"
