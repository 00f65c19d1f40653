"""One DICOM file becomes the text of its allowed tags. Runs in a process of its own, with limits.

Knows nothing of what the tags mean; what it says is checked by the process that asked.
"""

import struct
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import PersonName

from segment.reading.source import MOST_FILES
from segment.reading.tags import (
    FRAME_GROUPS,
    FUNCTIONAL_GROUPS,
    NESTED_TAGS,
    READ_TAGS,
    SEQUENCES,
    SHARED_GROUPS,
)

MOST_CHARACTERS = 1024
MOST_VALUES = 64
ENHANCED = (
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.4",
)
Tags = dict[str, list[str]]


class UnreadableError(Exception):
    """Why a file is not described, in one word that the process that asked knows."""


def describe(path: Path, asked: Sequence[str]) -> dict[str, Any]:
    """Return a file's transfer syntax, where its pixels lie, its tags and those of each frame."""
    # Warnings about a file's breaches of the standard quote its values: they go nowhere.
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        meta = read_file_meta_info(path)
        syntax = str(meta.get("TransferSyntaxUID", ""))
        if syntax == DeflatedExplicitVRLittleEndian:
            raise UnreadableError("deflated")  # pydicom inflates all of it, without a limit
        with path.open("rb") as stream:
            wanted: list[Any] = [*READ_TAGS, *SEQUENCES, *asked]
            data = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=wanted)
            pixels = _pixels(stream, syntax)
        tags = _tags(data)
        return {
            "syntax": syntax,
            "pixels": pixels,
            "tags": tags,
            "frames": _frames(data) if "".join(tags["SOPClassUID"][:1]) in ENHANCED else [],
            "asked": {tag: _values(data, tag)[:1] for tag in asked},
        }


def list_directory(path: Path) -> list[list[str]]:
    """Return the names, from the folder down, of the files that a DICOMDIR lists."""
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        records = ["DirectoryRecordSequence"]
        data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=records)
        items = data.get("DirectoryRecordSequence") or ()
        if len(items) > MOST_FILES:
            raise UnreadableError("frames")
        return [names for item in items if (names := _values(item, "ReferencedFileID"))]


def _tags(data: Dataset) -> Tags:
    """Read the allowed tags; those of a nested sequence only where it has one item."""
    tags = {tag: _values(data, tag) for tag in READ_TAGS}
    for sequence, inside in NESTED_TAGS.items():
        items = list(data.get(sequence) or ())
        if len(items) == 1:
            tags.update({tag: _values(items[0], tag) for tag in inside})
    return tags


def _frames(data: Dataset) -> list[Tags]:
    """Read each frame's functional groups; what a frame does not say, the shared groups say."""
    items = data.get(FRAME_GROUPS) or ()
    if len(items) != int(data.get("NumberOfFrames") or 1) or len(items) > MOST_FILES:
        raise UnreadableError("frames")
    common = next(iter(data.get(SHARED_GROUPS) or ()), Dataset())
    shared = _groups(common)
    return [{**shared, **_groups(item)} for item in items]


def _groups(item: Dataset) -> Tags:
    found: Tags = {}
    for sequence, names in FUNCTIONAL_GROUPS.items():
        for inner in list(item.get(sequence) or ())[:1]:
            values = {ours: _values(inner, theirs) for theirs, ours in names.items()}
            found.update({tag: value for tag, value in values.items() if value})
            for direction in list(inner.get("DiffusionGradientDirectionSequence") or ())[:1]:
                tag = "DiffusionGradientOrientation"
                found[tag] = _values(direction, tag)
    return found


def _values(data: Dataset, tag: str) -> list[str]:
    """Return a tag's values as text; none where it is missing, too long or breaks its rules."""
    try:
        value = data.get(tag)
    except MemoryError:  # the file takes too much, which is no fault of the value
        raise
    except Exception:  # pydicom converts a value when asked for it, and fails in many ways
        return []
    if isinstance(value, bytes):  # a number whose type depends on another tag
        value = int.from_bytes(value, "little") if 0 < len(value) <= 4 else None
    if value is None or value == "":
        return []
    many = isinstance(value, Iterable) and not isinstance(value, str | PersonName)
    values = [str(item).strip() for item in value] if many else [str(value).strip()]
    too_long = len(values) > MOST_VALUES or max(map(len, values), default=0) > MOST_CHARACTERS
    return [] if too_long else values


def _pixels(stream: BinaryIO, syntax: str) -> list[int]:
    """Return where the pixels' value begins and its length, -1 if undefined; the stream is there.

    Source: PS3.5 7.1, the length of a data element.
    """
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    form = f"{order}HHI" if syntax == ImplicitVRLittleEndian else f"{order}HH2sHI"
    element = stream.read(struct.calcsize(form))
    if len(element) < struct.calcsize(form):
        return [0, 0]
    group, number, *_, length = struct.unpack(form, element)
    if (group, number) != (0x7FE0, 0x0010):
        return [0, 0]
    return [stream.tell(), -1 if length == 0xFFFFFFFF else length]
