"""A parametric map holds the entropy of a draft, in its places, read back by other programs."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest

from assistant import exports
from segment.errors import Refusal, ScanError
from segment.measurement import Reason, Reliability
from tests.exported import MADE, exporter, instance_of
from tests.shared_data import shared_data
from tests.sources import fitted, series
from tests.test_dicom_exports import dciodvfy, dcmqi, exported
from tests.test_report import drafted


@pytest.fixture
def fits(tmp_path):
    """A report and the source that it fits."""
    exporter("dicom_pm")
    return fitted(drafted(), series(tmp_path / "scan"), tmp_path / "segmentation.nii.gz")


@pytest.fixture
def made(tmp_path):
    """A map of a small oblique series, and what it was made from."""
    instance, _, source = exported("dicom_pm", drafted(), tmp_path)
    return instance, nibabel.load(source.entropy)


def test_values_are_those_of_the_draft_and_lie_where_they_did(made):
    instance, image = made
    values = np.asarray(image.dataobj)
    stored = np.frombuffer(instance.FloatPixelData, "<f4")
    stored = stored.reshape(-1, instance.Rows, instance.Columns)
    found = np.zeros_like(values)
    for frame, pixels in zip(instance.PerFrameFunctionalGroupsSequence, stored, strict=True):
        lps = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        index = nibabel.affines.apply_affine(np.linalg.inv(image.affine), lps * (-1, -1, 1))
        slice_number = int(np.round(index[2]))
        assert index == pytest.approx((0, 0, slice_number), abs=1e-3)
        found[:, :, slice_number] = pixels.T
    assert values.max() > 0.4
    assert found == pytest.approx(values, abs=1e-6)


@pytest.mark.slow
def test_dcmqi_reads_the_same_values_in_the_same_places(made, tmp_path):
    instance, image = made
    instance.save_as(tmp_path / "pm.dcm")
    dcmqi("paramap2itkimage", "-t", "nii", "--outputDirectory", tmp_path, "-n", "pm",
          "--inputDICOM", tmp_path / "pm.dcm")  # fmt: skip
    (path,) = tmp_path.glob("pm*.nii.gz")
    theirs, ours = nibabel.load(path), np.asarray(image.dataobj)
    assert sum_by_place(theirs, np.asarray(theirs.dataobj)) == pytest.approx(
        sum_by_place(image, ours), abs=1e-3
    )


def sum_by_place(image, values):
    """Return the total and the centre of some values in the world."""
    voxels = np.argwhere(values > 0)
    weights = values[tuple(voxels.T)]
    world = nibabel.affines.apply_affine(image.affine, voxels)
    return [float(weights.sum()), *np.average(world, axis=0, weights=weights)]


@pytest.mark.slow
@pytest.mark.parametrize("name", [None, "mr_hippocampus_crop_32slices"])
def test_a_validator_finds_no_error(name, tmp_path):
    exporter("dicom_pm")
    scan = series(tmp_path / "scan") if name is None else shared_data("dicom", name)
    report, source = fitted(drafted(), scan, tmp_path / "segmentation.nii.gz")
    instance = instance_of(exports.load("dicom_pm", source)(report, [], MADE))
    assert dciodvfy(instance, tmp_path / "pm.dcm") == []


@pytest.mark.parametrize(
    ("sides", "laterality"),
    [(("left", "right", "none"), "B"), (("left",), "L"), (("right",), "R")],
)
def test_the_frames_are_of_the_sides_that_were_found(sides, laterality, tmp_path):
    exporter("dicom_pm")
    never = {"reliability": Reliability.NOT_ASSESSED, "reason": Reason.OUTSIDE_FIELD}
    gone = dict.fromkeys(("value", "interval", "voxels", "mask_sha256")) | never
    report = drafted()
    records = [r if r.side in sides else replace(r, **gone) for r in report.measurements]
    one_sided = replace(report, measurements=tuple(records))
    one_sided, source = fitted(one_sided, series(tmp_path / "scan"), tmp_path / "labels.nii.gz")
    instance = instance_of(exports.load("dicom_pm", source)(one_sided, [], MADE))
    (shared,) = instance.SharedFunctionalGroupsSequence
    assert shared.FrameAnatomySequence[0].FrameLaterality == laterality


def test_a_draft_without_its_entropy_is_refused_by_name(fits):
    report, source = fits
    source.entropy.unlink()
    with pytest.raises(ScanError, match=r"entropy\.nii\.gz: expected it beside") as refused:
        exports.load("dicom_pm", source)(report, [], MADE)
    assert refused.value.code is Refusal.MISSING


def test_a_map_of_another_draft_is_refused(fits):
    report, source = fits
    image = nibabel.load(source.entropy)
    values = np.asarray(image.dataobj)[::-1]
    nibabel.Nifti1Image(values, image.affine).to_filename(source.entropy)
    with pytest.raises(ScanError, match="whose hash the report states") as refused:
        exports.load("dicom_pm", source)(report, [], MADE)
    assert refused.value.code is Refusal.WRONG_GRID


@pytest.mark.slow
def test_a_map_on_another_grid_is_refused(fits):
    report, source = fits
    image = nibabel.load(source.entropy)
    moved = image.affine + np.diag([0, 0, 0.5, 0])
    nibabel.Nifti1Image(np.asarray(image.dataobj), moved).to_filename(source.entropy)
    with pytest.raises(ScanError, match="grid of the series") as refused:
        exports.load("dicom_pm", source)(report, [], MADE)
    assert refused.value.code is Refusal.WRONG_GRID


@pytest.mark.slow
def test_numbers_that_are_no_shares_are_refused(fits):
    report, source = fits
    image = nibabel.load(source.entropy)
    for wrong, said in ((1000.0, "from 0 to 1"), (0.0, "found none; nothing to write")):
        values = np.asarray(image.dataobj, dtype=np.float32) * wrong
        nibabel.Nifti1Image(values, image.affine).to_filename(source.entropy)
        with pytest.raises(ScanError, match=said):
            exports.load("dicom_pm", source)(report, [], MADE)
