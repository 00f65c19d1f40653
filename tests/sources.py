"""DICOM series that reports were made from, with labels that fit what a report counts."""

import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import nibabel
import numpy as np

from assistant import exports
from assistant.exports.source import Source
from assistant.folder import ENTROPY
from assistant.maps import STEPS, map_sha256
from assistant.study import read_study
from tests.hostile.make import dicom_slices

LABELS = {("left", "anterior"): 1, ("left", "posterior"): 2}
LABELS |= {("right", "anterior"): 3, ("right", "posterior"): 4}
PATIENT = {
    "PatientName": "Quetzal^Rare",
    "PatientID": "QZ-1",
    "PatientBirthDate": "19500607",
    "PatientSex": "F",
    "AccessionNumber": "ACC-77",
    "StudyID": "7",
    "StudyTime": "101112",
    "FrameOfReferenceUID": "2.25.4711",
}
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)


def series(folder, **options):
    """Write a small oblique series of a patient whose name occurs nowhere else."""
    given = {"orientation": OBLIQUE, "count": 9, "shape": (10, 8)} | PATIENT | options
    return dicom_slices(folder, **given)


def labels_of(shape, sides=("left", "right")):
    """Label some voxels of each side, a different count for each label, none in the first slice."""
    labels = np.zeros(shape, np.uint8)
    for (side, part), number in LABELS.items():
        if side in sides:
            start = 0 if part == "anterior" else shape[1] // 2
            labels[number, start : start + number + 1, number : number + 3] = number
    return labels


def disagreement(labels):
    """Let networks disagree about some voxels that have a label, each a little differently."""
    return np.where(labels > 0, 100 + 20 * labels, 0).astype(np.uint8)


def written(labels, geometry, path, slope=1.0):
    """Write labels or another map as a draft does."""
    image = nibabel.Nifti1Image(labels, np.asarray(geometry.affine))
    image.header.set_slope_inter(slope, 0)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return path


def count(labels, record):
    """Count the voxels of a record."""
    parts = [part for part in ("anterior", "posterior") if part in record.structure]
    wanted = [
        number
        for (side, part), number in LABELS.items()
        if side == record.side and part in (parts or (part,))
    ]
    return int(np.isin(labels, wanted).sum())


def fitted(report, scan, path):
    """Fit a report to a series: its hash, and labels with the voxels that its records count."""
    return fitted_to(read_study(scan), report, scan, path)


def fitted_to(study, report, scan, path):
    """Fit a report to a series that was read already."""
    assessed = {r.side for r in report.measurements if r.value is not None}
    labels = labels_of(study.volume.geometry.shape, assessed)
    written(labels, study.volume.geometry, path)
    entropy = disagreement(labels)
    written(entropy, study.volume.geometry, path.with_name(ENTROPY), 1 / STEPS)
    records = [
        replace(r, voxels=count(labels, r)) if r.value is not None and r.side != "none" else r
        for r in report.measurements
    ]
    hashes = {"segmentation_sha256": map_sha256(labels), "entropy_sha256": map_sha256(entropy)}
    provenance = {**report.provenance, "input_sha256": study.volume.sha256, **hashes}
    changed = replace(report, measurements=tuple(records), provenance=provenance)
    return changed, Source(scan, path)


@cache
def folder():
    """Keep one folder for as long as the tests run."""
    return tempfile.TemporaryDirectory(prefix="voxcite-tests-")


@cache
def kept_study():
    """Write a series into that folder and read it once."""
    scan = Path(folder().name) / "scan"
    series(scan)
    return scan, read_study(scan)


@dataclass(frozen=True)
class Fitted:
    """An export of a report to whose hash and counts a series and labels are made to fit."""

    name: str
    suffix: str

    def __call__(self, report, pictures, created):
        scan, study = kept_study()
        changed, source = fitted_to(study, report, scan, scan.parent / "segmentation.nii.gz")
        return exports.load(self.name, source)(changed, pictures, created)
