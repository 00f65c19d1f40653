"""The labels of a draft as a DICOM Segmentation, on the slices they were drawn in: highdicom."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from jaxtyping import Bool, UInt8
from pydicom.dataset import Dataset

from assistant.exports.dicom.codes import AI, CATEGORY, SIDES, modifier_of, snomed
from assistant.exports.dicom.instance import (
    MAKER,
    Uids,
    called,
    finished,
    labelled,
    marked,
    parameters,
    quietly,
    stated,
    version,
)
from assistant.exports.dicom.segments import Drawn, Segment, occupied, record_of
from assistant.exports.sheet import Sheet, sheet
from assistant.exports.source import Source
from assistant.report import Report
from segment.errors import Refusal, ScanError
from segment.organs import Organ

SERIES_NUMBER = 9001


@dataclass(frozen=True)
class DicomSeg:
    """Writes a BINARY segmentation, marked as a draft while nobody signed its report."""

    source: Source
    suffix: str = ".seg.dcm"

    def __call__(self, report: Report, pictures: Sequence[Path], created: str) -> bytes:
        """Write the instance; raises ScanError where the source is not the report's."""
        del pictures
        drawn = Drawn.of(report, self.source)
        if not drawn.segments:
            msg = "expected labels with a voxel, found none; a segmentation holds at least one"
            raise ScanError(Refusal.EMPTY_FOLDER, msg)
        shown = sheet(report, [], created)
        with quietly():
            instance = _instance(drawn, report, shown, created)
            return finished(instance, drawn.series, created)


def _instance(drawn: Drawn, report: Report, shown: Sheet, created: str) -> Dataset:
    """Build the instance, without a patient."""
    uids = Uids.of(report, created, drawn.series)
    held = occupied(drawn.labels)
    instance = Segmentation(
        source_images=drawn.series.slices[held],
        pixel_array=_frames(drawn.labels[:, :, held], drawn.segments),
        segmentation_type="BINARY",
        segment_descriptions=[
            _description(one, drawn.organ, report, uids) for one in drawn.segments
        ],
        **called("seg", SERIES_NUMBER, report, shown, uids),
        **labelled(report, shown),
    )
    marked(instance, shown, uids.uid("dimensions"))
    return instance


def _frames(
    labels: UInt8[np.ndarray, "i j k"], segments: tuple[Segment, ...]
) -> Bool[np.ndarray, "slice row column segment"]:
    """Stack the masks as frames: i runs along a row, j down a column, k through the slices."""
    return np.stack([segment.mask(labels).transpose(2, 1, 0) for segment in segments], axis=-1)


def _description(segment: Segment, organ: Organ, report: Report, uids: Uids) -> SegmentDescription:
    """Say what a segment is, of which side, and by which algorithm it was drawn."""
    record = record_of(segment, report)
    algorithm = AlgorithmIdentificationSequence(
        name=stated(report, "segmenter"),
        family=AI,
        version=version(report),
        source=MAKER,
        parameters=parameters(report),
    )
    description = SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.name,
        segmented_property_category=CATEGORY,
        segmented_property_type=snomed(organ.code, organ.name.capitalize()),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_uid=uids.uid(segment.name),
        tracking_id=segment.name if record is None else record.id,
    )
    modifier = segment.structure.modifier
    codes = [SIDES[segment.side]]
    if modifier is not None:
        codes.append(modifier_of(modifier, segment.structure.name))
    (kind,) = description.SegmentedPropertyTypeCodeSequence
    kind.SegmentedPropertyTypeModifierCodeSequence = codes
    return description
