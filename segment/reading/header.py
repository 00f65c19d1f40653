"""What is read of one DICOM file before its pixels: an allow-list of tags that name no person.

Knows nothing of series. Strangers' files are parsed here and nowhere else.
"""

import math
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from segment.errors import Refusal, ScanError
from segment.reading.source import file_bytes, file_name

# One value each, as text; none of them names a person, a place or a device's serial number.
TEXT_TAGS = (
    "SOPClassUID",
    "SeriesInstanceUID",
    "Modality",
    "PhotometricInterpretation",
    "AcquisitionDate",
    "StudyDate",
    "Manufacturer",
)
WORD_TAGS = ("ImageType", "ScanningSequence", "SequenceVariant")
NUMBER_TAGS = (
    "SeriesNumber",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "EchoNumbers",
    "TemporalPositionIdentifier",
    "DiffusionBValue",
    "MagneticFieldStrength",
    "SliceThickness",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
)
VECTOR_TAGS = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
READ_TAGS = [*TEXT_TAGS, *WORD_TAGS, *NUMBER_TAGS, *VECTOR_TAGS]


@dataclass(frozen=True)
class Header:
    """The allowed tags of one file: numbers are finite or absent, text is as it was found."""

    path: Path
    transfer_syntax: str
    text: dict[str, str]
    words: dict[str, frozenset[str]]
    numbers: dict[str, float]
    vectors: dict[str, tuple[float, ...]]

    def number(self, tag: str) -> float | None:
        """Return a number, or None where the file has none."""
        return self.numbers.get(tag)

    def count(self, tag: str, default: int = 0) -> int:
        """Return a whole number, or the default where the file has none."""
        return int(self.numbers.get(tag, default))

    @property
    def modality(self) -> str:
        """The modality's code, safe to print."""
        modality = self.text["Modality"]
        return modality if re.fullmatch("[A-Z]{2,12}", modality) else "unknown"

    @property
    def date(self) -> str | None:
        """The day of the scan as YYYY-MM-DD."""
        for tag in ("AcquisitionDate", "StudyDate"):
            try:
                return datetime.strptime(self.text[tag], "%Y%m%d").date().isoformat()
            except ValueError:
                continue
        return None


def read_header(path: Path) -> Header:
    """Read the allowed tags of one DICOM file; refuses a deflated or a damaged one."""
    transfer_syntax, values = read_tags(path, READ_TAGS)
    numbers = {tag: _numbers(values[tag]) for tag in (*NUMBER_TAGS, *VECTOR_TAGS)}
    return Header(
        path=path,
        transfer_syntax=transfer_syntax,
        text={tag: "".join(values[tag][:1]) for tag in TEXT_TAGS},
        words={tag: frozenset(values[tag]) for tag in WORD_TAGS},
        numbers={tag: numbers[tag][0] for tag in NUMBER_TAGS if numbers[tag]},
        vectors={
            tag: numbers[tag] for tag, length in VECTOR_TAGS.items() if len(numbers[tag]) == length
        },
    )


def read_tags(path: Path, tags: Sequence[str]) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Return a file's transfer syntax and the values of the named tags as text; reads no other.

    A tag that is missing, or whose value breaks its own rules, has no values.
    """
    file_bytes(path)
    try:
        # Warnings about a file's breaches of the standard quote its values: they go nowhere.
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.filterwarnings("ignore", module="pydicom")
            meta = read_file_meta_info(path)
            transfer_syntax = str(meta.get("TransferSyntaxUID", ""))
            if transfer_syntax == DeflatedExplicitVRLittleEndian:
                # pydicom inflates all of it, without a limit, even to read one tag.
                msg = (
                    f"{file_name(path)}: expected plain DICOM, found a deflated file; export again"
                )
                raise ScanError(Refusal.UNSUPPORTED_DICOM, msg)
            data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
            return transfer_syntax, {tag: _values(data, tag) for tag in tags}
    except ScanError:
        raise
    except Exception as error:  # of many types, RecursionError on nested sequences among them
        raise _damaged(path) from error


def _damaged(path: Path) -> ScanError:
    msg = f"{file_name(path)}: expected a DICOM file, found a damaged one; copy or export it again"
    return ScanError(Refusal.UNREADABLE, msg)


def _values(data: Dataset, tag: str) -> tuple[str, ...]:
    try:
        value = data.get(tag)
    except Exception:  # pydicom converts a value when asked for it, and fails in many ways
        return ()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(str(item).strip() for item in value)
    return () if value is None or value == "" else (str(value).strip(),)


def _numbers(values: Sequence[str]) -> tuple[float, ...]:
    """Convert to floats; empty where any is no number or not finite."""
    try:
        numbers = tuple(float(item) for item in values)
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()
