"""The series that a report was made from, as its DICOM exports refer to it.

Who the patient is passes through here and nowhere else; knows nothing of segments or of reports.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.valuerep import DSfloat

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.reading import extracted, file_kind, file_name, find_series, list_files
from segment.reading.deidentify import METHOD
from segment.reading.dicom import series_sha256
from segment.reading.header import Header
from segment.reading.pseudonym import Pseudonyms
from segment.reading.slices import Layout, order_slices
from segment.reading.source import file_bytes

# PS3.3 C.7.1.1 Patient, C.7.2.1 General Study and C.7.2.2 Patient Study. No free text but the
# study's description, which is its name in every list of studies.
PATIENT_AND_STUDY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("PatientIdentityRemoved", "DeidentificationMethod", "PatientAge"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyDescription"),
)
REFERENCES = ("SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
# In place of the patient until the bytes are written, so that no library can quote one.
NOBODY = {
    **{"PatientName": "^", "PatientID": "", "PatientBirthDate": None, "PatientSex": ""},
    **{"AccessionNumber": "", "StudyID": "", "StudyDate": None, "StudyTime": None},
}


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """The slices in the order of k, without a patient, and their grid; the patient apart."""

    slices: tuple[Dataset, ...] = field(repr=False)
    geometry: Geometry
    patient_and_study: Mapping[str, str] = field(repr=False)

    @property
    def uid(self) -> str:
        """The SeriesInstanceUID."""
        return str(self.slices[0].SeriesInstanceUID)


def read_source_series(path: Path, input_sha256: object) -> SourceSeries:
    """Read the series whose files have the hash that a report states; refuse every other."""
    name = file_name(path)
    with _files(path) as files:
        found = find_series(files, asked=(*PATIENT_AND_STUDY, *REFERENCES))
        for volume in (volume for series in found for volume in series.volumes):
            if series_sha256(volume.headers) == input_sha256:
                return _referred(order_slices(volume.headers, name), name)
    msg = (
        f"{name}: expected the DICOM series of the report, found none of its hash; give its folder"
    )
    raise ScanError(Refusal.BAD_OPTION, msg)


def without_patient(series: SourceSeries, pseudonyms: Pseudonyms) -> SourceSeries:
    """Refer to the series as `voxcite deidentify` writes it with the same key."""
    slices = tuple(deepcopy(one) for one in series.slices)
    for one in slices:
        for tag in ("SeriesInstanceUID", *REFERENCES):
            setattr(one, tag, pseudonyms.uid(str(one[tag].value)))
    known = {
        "PatientID": pseudonyms.patient(series.patient_and_study.get("PatientID", "")),
        "StudyInstanceUID": pseudonyms.uid(series.patient_and_study["StudyInstanceUID"]),
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": METHOD,
    }
    return replace(series, slices=slices, patient_and_study=known)


@contextmanager
def _files(path: Path) -> Iterator[tuple[Path, ...]]:
    """List the files of a folder, or of a zip for as long as they are read."""
    if os.path.isdir(path):  # noqa: PTH112  pathlib's raises on a name that is too long
        yield list_files(path)
        return
    file_bytes(path)
    if file_kind(path) == "zip":
        with extracted(path) as folder:
            yield list_files(folder)
    else:
        yield (path,)


def _referred(layout: Layout, name: str) -> SourceSeries:
    """Refuse what has no slice of its own for each k; refer to the rest."""
    headers, geometry = layout.headers, layout.geometry
    if not layout.is_stacked:
        msg = f"{name}: expected even slices to refer to, found a tilt or gaps; no file is written"
        raise ScanError(Refusal.UNSUPPORTED_DICOM, msg)
    if any(header.frame is not None for header in headers):
        msg = f"{name}: expected single slices to refer to, found an enhanced file; export slices"
        raise ScanError(Refusal.UNSUPPORTED_DICOM, msg)
    known = {tag: value for tag in PATIENT_AND_STUDY if (value := headers[0].asked[tag])}
    return SourceSeries(
        tuple(_slice(header, geometry, name) for header in headers), geometry, known
    )


def _slice(header: Header, geometry: Geometry, name: str) -> Dataset:
    """Say of one slice what an instance that is derived from it must state."""
    data = Dataset()
    for tag, value in NOBODY.items():
        setattr(data, tag, value)
    for tag in ("SOPClassUID", "SeriesInstanceUID", "Modality"):
        setattr(data, tag, header.text[tag])
    for tag in REFERENCES:
        if not header.asked[tag]:
            msg = f"{name}: expected {tag} in every slice, found one without; export it again"
            raise ScanError(Refusal.UNSUPPORTED_DICOM, msg)
        setattr(data, tag, header.asked[tag])
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        setattr(data, tag, [DSfloat(v, auto_format=True) for v in header.vectors[tag]])
    thickness_mm = DSfloat(geometry.spacing_mm[2], auto_format=True)  # a counted voxel's own
    data.SliceThickness = data.SpacingBetweenSlices = thickness_mm
    data.Rows, data.Columns = header.count("Rows"), header.count("Columns")
    return data
