"""A PET goes in as DICOM, alone or with its CT, and its tables and records come out."""

import json
import re

import jsonschema
import nibabel
import numpy as np
import pytest
from pydicom.uid import generate_uid

from assistant.cli import NOTHING_MEASURED, OK, REFUSED, main
from assistant.records import schema
from tests.pet_phantom import (
    LIVER_MM,
    LIVER_RADIUS_MM,
    Sphere,
    ball_mask,
    cube,
    pet_grid,
    phantom,
    spheres,
)
from tests.pet_series import ct_grid, write_ct, write_pet

LIVER, SPLEEN = 5, 1  # TotalSegmentator's numbers
SMALL = ct_grid((8.0, 8.0, 8.0), field_mm=(64.0, 64.0, 64.0), middle_z_mm=0.0)
MILD = Sphere(28.0, (0.6, 0.0, 0.3), 2.0)
FAR = ct_grid((8.0, 8.0, 8.0), field_mm=(64.0, 64.0, 64.0), middle_z_mm=900.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Write the phantom as PET and CT, and its liver on the CT's voxels."""
    folder = tmp_path_factory.mktemp("pet")
    write_pet(folder / "pet", phantom(pet_grid(), fwhm_mm=4.0))
    write_ct(folder / "ct", ct_grid())
    write_labels(folder / "liver.nii.gz", LIVER, ct_grid())
    return folder


def write_labels(path, value, geometry, radius_mm=LIVER_RADIUS_MM):
    """Label the liver, and the largest sphere as a spleen."""
    labels = np.where(ball_mask(geometry, radius_mm, LIVER_MM), value, 0)
    largest = spheres()[-1]
    labels[ball_mask(geometry, largest.diameter_mm / 2, largest.centre_mm)] = SPLEEN
    image = nibabel.Nifti1Image(labels.astype(np.uint8), geometry.affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return path


def small(folder, **changes):
    """Write a PET of few voxels, for what is refused."""
    return write_pet(folder / "pet", phantom(SMALL, hot=[MILD]), **changes)


def run(capsys, *arguments):
    code = main(["pet", *map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def values(path, method, quantity):
    """Return a quantity of each lesion of one method, from the records."""
    records = json.loads(path.read_text())["measurements"]
    return [
        record["value"]
        for record in records
        if record["quantity"] == quantity
        and re.search(method, record["method"])
        and record["structure"].startswith("lesion")
    ]


def test_a_pet_alone_is_measured_on_its_own_voxels(folders, capsys, tmp_path):
    output = tmp_path / "out" / "measurements.json"
    x, y, z = LIVER_MM
    code, out, err = run(
        capsys, folders / "pet", "--liver-centre", x, y, z, "-o", output, "--method", "fixed",
        "--method", "liver",
    )  # fmt: skip
    assert (code, err) == (OK, "")
    assert "Measured on the PET's own voxels, 60×55×55, 4.00×4.00×4.00 mm." in out
    assert "mean SUV 2.00, SD 0.00" in out
    assert "Prediction intervals: not available" in out
    largest = spheres()[-1]
    assert values(output, "at least 2.5", "SUVmax")[0] == pytest.approx(largest.suv, rel=0.02)
    assert values(output, "of the liver, 3.0", "SUVpeak")[0] == pytest.approx(largest.suv, rel=0.02)
    table = json.loads(output.read_text())
    jsonschema.validate(table, schema("measurements"))
    assert table["provenance"]["liver"]["threshold"] == pytest.approx(3.0, abs=0.01)
    assert {record["interval"] for record in table["measurements"]} == {None}


def test_on_a_ct_the_organs_are_measured_too(folders, capsys, tmp_path):
    output = tmp_path / "measurements.json"
    code, out, err = run(
        capsys, folders / "pet", "--ct", folders / "ct", "--segmentation",
        folders / "liver.nii.gz", "-o", output,
    )  # fmt: skip
    assert (code, err) == (OK, "")
    assert "Measured on the CT's voxels, 70×60×82, 3.00×3.00×2.50 mm" in out
    assert "one frame of reference" not in out
    assert re.search(r"\| spleen \(100 %\) \|", out)
    made = json.loads(output.read_text())
    jsonschema.validate(made, schema("measurements"))
    assert made["provenance"]["carried"]["kept"] == pytest.approx(1, abs=0.01)
    (mean,) = (
        record["value"]
        for record in made["measurements"]
        if (record["structure"], record["quantity"]) == ("liver", "SUVmean")
    )
    assert mean == pytest.approx(1.95, abs=0.06)  # of 2, and the blurred rim
    largest = spheres()[-1]
    assert values(output, "at least 2.5", "SUVmax")[0] == pytest.approx(largest.suv, rel=0.02)
    assert values(output, "at least 2.5", "metabolic tumour volume")[0] == pytest.approx(
        largest.volume_ml, rel=0.1
    )


def test_a_nifti_of_uptake_is_taken_where_somebody_vouches_for_it(capsys, tmp_path):
    path = tmp_path / "suv.nii.gz"
    volume = phantom(cube(4.0), hot=[])
    volume_with = volume.array.copy()
    volume_with[4:8, 4:8, 4:8] = 5.0
    image = nibabel.Nifti1Image(volume_with, volume.geometry.affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    code, _, err = run(capsys, path)
    assert (code, "[no-suv]" in err, "--suv" in err) == (REFUSED, True, True)
    code, out, _ = run(capsys, path, "--suv", "--language", "zh")
    assert code == OK
    assert "在 PET 自身的体素上测量" in out
    assert "PERCIST 阈值：不可用" in out


def test_a_pet_without_anything_hot_says_so(capsys, tmp_path):
    code, out, _ = run(capsys, small(tmp_path))
    assert code == NOTHING_MEASURED
    assert "Nothing is at this level." in out


@pytest.mark.parametrize(
    ("changes", "words", "code"),
    [
        ({"Modality": "MR"}, "expected PET, found MR", "not-pet"),
        ({"Units": "CNTS"}, "Units BQML", "no-suv"),
    ],
)
def test_what_is_no_pet_is_refused(changes, words, code, capsys, tmp_path):
    status, _, err = run(capsys, small(tmp_path, **changes))
    assert (status, words in err, f"[{code}]" in err) == (REFUSED, True, True)


@pytest.mark.parametrize(
    ("changes", "geometry", "words", "code"),
    [
        ({"PatientID": "QZ-2"}, SMALL, "another patient identifier", "other-patient"),
        ({"FrameOfReferenceUID": generate_uid()}, SMALL, "found another one", "other-frame"),
        ({}, FAR, "elsewhere in space", "wrong-grid"),
        ({"Modality": "MR"}, SMALL, "expected CT, found MR", "not-ct"),
    ],
)
def test_a_ct_that_does_not_belong_to_the_pet_is_refused(
    changes, geometry, words, code, capsys, tmp_path
):
    ct = write_ct(tmp_path / "ct", geometry, **changes)
    status, _, err = run(capsys, small(tmp_path), "--ct", ct)
    assert (status, words in err, f"[{code}]" in err) == (REFUSED, True, True)


def test_another_identifier_passes_where_somebody_vouches_for_the_person(capsys, tmp_path):
    ct = write_ct(tmp_path / "ct", SMALL, PatientID="QZ-2", FrameOfReferenceUID="")
    code, out, _ = run(capsys, small(tmp_path), "--ct", ct, "--same-patient")
    assert code == NOTHING_MEASURED
    assert "do not say that PET and CT lie in one frame" in out


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (["--method", "liver"], "expected a liver, found none", "no-liver"),
        (["--liver-centre", "500", "0", "0"], "outside of the PET's field", "no-liver"),
        (["--liver", "x.nii.gz", "--liver-centre", "0", "0", "0"], "found two", "bad-option"),
        (["--labels", "x.csv"], "--labels and --resample", "bad-option"),
        (["--ct-series", "2"], "give the CT as well", "bad-option"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, words, code, capsys, tmp_path):
    status, _, err = run(capsys, small(tmp_path), *options)
    assert (status, words in err, f"[{code}]" in err) == (REFUSED, True, True)


@pytest.mark.parametrize(
    ("value", "radius_mm", "words"),
    [(0, 40.0, "found no voxel"), (1, 12.0, "found one that holds none")],
)
def test_a_liver_mask_without_room_for_the_sphere_is_refused(
    value, radius_mm, words, capsys, tmp_path
):
    labels = np.where(ball_mask(SMALL, radius_mm, (0, 0, 0)), value, 0).astype(np.uint8)
    image = nibabel.Nifti1Image(labels, SMALL.affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / "liver.nii.gz")
    status, _, err = run(capsys, small(tmp_path), "--liver", tmp_path / "liver.nii.gz")
    assert (status, words in err, "[no-liver]" in err) == (REFUSED, True, True)


def test_a_liver_is_looked_at_only_for_its_own_method(capsys, tmp_path):
    pet = small(tmp_path)
    thin = write_labels(tmp_path / "labels.nii.gz", LIVER, SMALL, radius_mm=9.0)
    asked = (pet, "--segmentation", thin, "--method")
    code, _, err = run(capsys, *asked, "liver")
    assert (code, "[no-liver]" in err) == (REFUSED, True)
    code, out, err = run(capsys, *asked, "fixed", "--level", "1.5")
    assert (code, err) == (OK, "")
    assert "mean SUV" not in out


def test_a_pet_is_not_its_own_segmentation_and_no_picture_a_liver(capsys, tmp_path):
    pet = small(tmp_path)
    grey = np.arange(np.prod(SMALL.shape)).reshape(SMALL.shape) % 300
    image = nibabel.Nifti1Image(grey.astype(np.uint16), SMALL.affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / "grey.nii.gz")
    for option in ("--segmentation", "--liver"):
        status, _, err = run(capsys, pet, option, tmp_path / "grey.nii.gz")
        assert (status, "found 299 values, as in a picture" in err) == (REFUSED, True)


def test_a_level_that_is_none_is_refused(capsys, tmp_path):
    status, _, err = run(capsys, small(tmp_path), "--level", "0")
    assert (status, "2.5 is usual" in err) == (REFUSED, True)


def test_the_tables_name_no_patient(folders, capsys):
    _, out, err = run(capsys, folders / "pet", "--method", "fixed")
    assert "Quetzal" not in out + err
    assert "QZ-1" not in out + err
