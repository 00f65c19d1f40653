"""Which segments a draft's labels hold: one a structure and side, in the series of its report.

Knows nothing of how a segment or a report is written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt8

from assistant import exams
from assistant.exports.dicom.series import SourceSeries, read_source_series, without_patient
from assistant.exports.source import Source
from assistant.maps import map_sha256
from assistant.report import Report
from segment import organs
from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.measurement import Measurement
from segment.organs import Organ, Structure, label_numbers
from segment.reading import file_name, read_nifti
from segment.segmentation import Side

VOLUME = "volume"


@dataclass(frozen=True)
class Segment:
    """A structure of one side: its number, the labels that make it up, and how many voxels."""

    number: int
    structure: Structure
    side: Side
    labels: tuple[int, ...]
    voxels: int

    @property
    def name(self) -> str:
        """What the segment is called."""
        return self.structure.name if self.side == "none" else f"{self.side} {self.structure.name}"

    def mask(self, labels: UInt8[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
        """Mark the voxels of the segment."""
        return np.isin(labels, self.labels)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn in the series of a report: labels on its grid, and their segments."""

    organ: Organ
    series: SourceSeries
    labels: UInt8[np.ndarray, "i j k"]
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, report: Report, source: Source) -> "Drawn":
        """Read them from the source, once for all exports of a report.

        Raises ScanError where the source is not the report's.
        """
        return source.once(report, lambda: cls._read(report, source))

    @classmethod
    def _read(cls, report: Report, source: Source) -> "Drawn":
        exam = exams.load(report.exam)
        if exam.segmenter == exams.SUPPLIED:
            msg = "expected a report of structures drawn here, found one of a supplied segmentation"
            raise ScanError(Refusal.BAD_OPTION, f"{msg}; export to another format")
        organ = organs.load(exam.organs[0])
        series = read_source_series(source.series, report.provenance.get("input_sha256"))
        if source.pseudonyms is not None:
            series = without_patient(series, source.pseudonyms)
        labels = read_labels(source.labels, series.geometry)
        segments = find_segments(labels, organ, report)
        expected = report.provenance.get("segmentation_sha256")
        if expected is not None:  # a draft of before counts its voxels alone
            check_map(labels, expected, source.labels)
        return cls(organ, series, labels, segments)


def read_labels(path: Path, geometry: Geometry) -> UInt8[np.ndarray, "i j k"]:
    """Read the labels of a draft, which lie on the scan's own grid; refuse another grid."""
    return read_map(path, geometry, "labels").astype(np.uint8)


def read_map(path: Path, geometry: Geometry, what: str) -> Float32[np.ndarray, "i j k"]:
    """Read a map that a draft keeps on the scan's own grid; refuse another grid."""
    try:
        volume = read_nifti(path)
    except ScanError as error:
        if error.code is Refusal.CONSTANT:  # nothing was found: every voxel is 0
            return np.zeros(geometry.shape, np.float32)
        raise
    if not volume.geometry.matches(geometry):
        name = file_name(path)
        msg = f"{name}: expected {what} on the grid of the series, found another; draft again"
        raise ScanError(Refusal.WRONG_GRID, msg)
    return volume.array


def check_map(array: UInt8[np.ndarray, "i j k"], expected: object, path: Path) -> None:
    """Refuse a map that is not the one whose hash a report states."""
    if map_sha256(array) != expected:
        name = file_name(path)
        msg = f"{name}: expected the map whose hash the report states, found another; draft again"
        raise ScanError(Refusal.WRONG_GRID, msg)


def occupied(array: Shaped[np.ndarray, "i j k"]) -> slice:
    """Return the slices from the first to the last that hold anything but 0."""
    (places,) = np.nonzero(array.any(axis=(0, 1)))
    return slice(int(places[0]), int(places[-1]) + 1)


def find_segments(
    labels: UInt8[np.ndarray, "i j k"], organ: Organ, report: Report
) -> tuple[Segment, ...]:
    """List the structures that have a voxel, parts before what they make up.

    A whole is a segment of its own beside its parts, since TID 1411 refers to a single segment.
    Raises ScanError where the labels are not those that the report counted.
    """
    numbers = label_numbers(organ, organ.sides)
    counts = {number: int(np.count_nonzero(labels == number)) for number in numbers.values()}
    wanted = sorted(_wanted(organ, numbers), key=lambda one: (len(one[2]), one[2]))
    held = [one for one in wanted if any(counts[number] for number in one[2])]
    segments = tuple(
        Segment(place, structure, side, found, sum(counts[number] for number in found))
        for place, (structure, side, found) in enumerate(held, start=1)
    )
    for record in report.measurements:
        _check_count(record, segment_of(record, segments))
    return segments


def segment_of(record: Measurement, segments: tuple[Segment, ...]) -> Segment | None:
    """Return the segment whose voxels a record counts; a value entered by hand counts none."""
    if record.quantity != VOLUME or record.basis == "entered":
        return None
    key = (record.structure, record.side)
    return next((s for s in segments if (s.structure.name, s.side) == key), None)


def record_of(segment: Segment, report: Report) -> Measurement | None:
    """Return the record that counts a segment's voxels."""
    return next((r for r in report.measurements if segment_of(r, (segment,)) is segment), None)


def _wanted(
    organ: Organ, numbers: Mapping[tuple[Side, str], int]
) -> Iterator[tuple[Structure, Side, tuple[int, ...]]]:
    for side in organ.sides:
        for structure in organ.structures:
            yield structure, side, tuple(numbers[side, label] for label in structure.labels)


def _check_count(record: Measurement, segment: Segment | None) -> None:
    """Refuse labels that are not those that a record counted."""
    found, expected = 0 if segment is None else segment.voxels, record.voxels or 0
    if record.quantity != VOLUME or found == expected:
        return
    msg = (
        f"expected labels with {expected} voxels of {record.id}, found {found};"
        " give the report and the segmentation of one draft"
    )
    raise ScanError(Refusal.WRONG_GRID, msg)
