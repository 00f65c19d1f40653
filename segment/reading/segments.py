"""One DICOM segmentation becomes its frames and names. Runs in a process of its own, with limits.

Knows nothing of organs: what the codes mean is for the process that asked to say.
"""

import warnings
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from segment.reading.parse import UnreadableError

SEGMENTATION, LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
LONGEST_NAME = 64


def segments(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return where each frame lies and of which segment it is, the segments, and the stored bits.

    Raises UnreadableError for another object, for fractions and for compressed pixels.
    """
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(path)
        if data.SOPClassUID not in (SEGMENTATION, LABEL_MAP):
            raise UnreadableError("no-segmentation")
        if data.SOPClassUID == SEGMENTATION and data.SegmentationType != "BINARY":
            raise UnreadableError("fractional")
        if data.file_meta.TransferSyntaxUID not in PLAIN:
            raise UnreadableError("compressed")
        shared = data.SharedFunctionalGroupsSequence[0]
        said = {
            "rows": int(data.Rows),
            "columns": int(data.Columns),
            "bits": int(data.BitsAllocated),
            "frames": [_frame(frame, shared) for frame in data.PerFrameFunctionalGroupsSequence],
            "segments": [_segment(item) for item in data.SegmentSequence],
        }
        return said, bytes(data.PixelData)


def _frame(frame: Dataset, shared: Dataset) -> dict[str, Any]:
    """Say where a frame lies, in which steps, and of which segment it is; 0 is of several."""

    def group(name: str) -> Dataset:
        found: Dataset = (frame if name in frame else shared)[name].value[0]
        return found

    measures = group("PixelMeasuresSequence")
    number = 0
    if "SegmentIdentificationSequence" in frame or "SegmentIdentificationSequence" in shared:
        number = int(group("SegmentIdentificationSequence").ReferencedSegmentNumber)
    between = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 0
    return {
        "segment": number,
        "position": _floats(group("PlanePositionSequence").ImagePositionPatient),
        "orientation": _floats(group("PlaneOrientationSequence").ImageOrientationPatient),
        "spacing": [*_floats(measures.PixelSpacing), float(between)],
    }


def _segment(item: Dataset) -> dict[str, Any]:
    """Say how a segment is called and coded, and of which side it is."""
    (kind,) = item.SegmentedPropertyTypeCodeSequence
    modifiers = kind.get("SegmentedPropertyTypeModifierCodeSequence", [])
    return {
        "number": int(item.SegmentNumber),
        "name": str(item.get("SegmentLabel", ""))[:LONGEST_NAME],
        "code": str(kind.get("CodeValue", "")),
        "modifiers": [str(code.get("CodeValue", "")) for code in modifiers],
    }


def _floats(values: Any) -> list[float]:  # noqa: ANN401  pydicom's values are not annotated
    return [float(value) for value in values]
