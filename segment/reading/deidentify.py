"""One DICOM file without its patient, by a list of what is kept. Runs in a process with limits.

PS3.15 annex E, Basic Profile, and stricter: what the list does not name goes, free text above all.
Knows nothing of folders, keys or of other files.
"""

import io
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
import pydicom
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from segment.reading.parse import UnreadableError
from segment.reading.pseudonym import Pseudonyms

METHOD = "voxcite: PS3.15 Basic Profile, by a list of what is kept"
PROFILE = ("113100", "DCM", "Basic Application Confidentiality Profile")  # PS3.16 CID 7050
LONGEST = 4096  # values of an element
KINDS = ("numbers", "words", "uids", "empty", "sequences")


@dataclass(frozen=True)
class Kept:
    """The list: for each keyword what becomes of it, the words that are kept, and the classes."""

    kinds: Mapping[str, str]
    vocabulary: frozenset[str]
    classes: frozenset[str]


@cache
def kept() -> Kept:
    """Read the list; raises ValueError for a key that is missing or unknown."""
    text = files(__package__).joinpath("kept.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    if unknown := sorted(table.keys() ^ {*KINDS, "vocabulary", "classes"}):
        msg = f"kept.toml: the keys {unknown} are missing or unknown"
        raise ValueError(msg)
    kinds = {keyword: kind for kind in KINDS for keyword in table[kind]}
    return Kept(kinds, frozenset(table["vocabulary"]), frozenset(table["classes"]))


def deidentify(path: Path, pseudonyms: Pseudonyms) -> tuple[bool, bytes]:
    """Return whether a file says that nothing is burnt into its pixels, and the bytes of another.

    Raises UnreadableError for what cannot be told: another object than a picture of MR, CT or PET,
    annotations in the pixels, bytes behind them.
    """
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")  # they quote values
        meta = read_file_meta_info(path)
        syntax = UID(str(meta.get("TransferSyntaxUID", "")))
        if syntax == DeflatedExplicitVRLittleEndian:
            raise UnreadableError("deflated")
        data = pydicom.dcmread(path)
        _check(data, syntax)
        is_clear = str(data.get("BurnedInAnnotation", "")) == "NO"
        return is_clear, _file(_without_patient(data, pseudonyms), data, syntax)


def _check(data: Dataset, syntax: UID) -> None:
    """Refuse what could show or hide a patient where tags cannot tell."""
    if str(data.get("SOPClassUID", "")) not in kept().classes or "PixelData" not in data:
        raise UnreadableError("no-picture")
    if str(data.get("BurnedInAnnotation", "")) == "YES":
        raise UnreadableError("burnt-in")
    if data.get("SamplesPerPixel", 1) != 1:
        raise UnreadableError("no-picture")  # colour: a screenshot
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise UnreadableError("damaged")
    if data["PixelData"].VR not in ("OB", "OW"):
        raise UnreadableError("damaged")


def _plain_pixels(data: Dataset, order: str) -> bytes:
    """Return the stored bits of the pixels, the others cleared; refuse bytes behind the pixels.

    Bits beside the stored ones can hold an overlay, and hold no part of the picture: PS3.5 8.1.
    """
    bits, stored = int(data.BitsAllocated), int(data.BitsStored)
    high = int(data.get("HighBit", stored - 1))
    if bits not in (8, 16, 32) or not 0 < stored <= high + 1 <= bits:
        raise UnreadableError("damaged")
    count = int(data.Rows) * int(data.Columns) * int(data.get("NumberOfFrames") or 1)
    expected = count * bits // 8
    if len(data.PixelData) != expected + expected % 2:
        raise UnreadableError("damaged")
    pixels = np.frombuffer(data.PixelData[:expected], f"{order}u{bits // 8}").copy()
    kept_bits = ((1 << stored) - 1) << (high + 1 - stored)
    sign_bits = ((1 << bits) - 1) ^ ((1 << (high + 1)) - 1)
    is_negative = (pixels >> high) & 1 == 1 if data.PixelRepresentation else None
    pixels &= pixels.dtype.type(kept_bits)
    if is_negative is not None:
        pixels[is_negative] |= pixels.dtype.type(sign_bits)
    return pixels.tobytes() + bytes(expected % 2)


def _without_patient(data: Dataset, pseudonyms: Pseudonyms) -> Dataset:
    """Return a picture with what is kept, and with what a picture must have besides."""
    clean = _cleaned(data, pseudonyms)
    clean.SOPClassUID = UID(str(data.SOPClassUID))
    clean.PatientID = pseudonyms.patient(str(data.get("PatientID", "") or ""))
    for keyword in (name for name, kind in kept().kinds.items() if kind == "empty"):
        setattr(clean, keyword, "")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        if not clean.get(keyword):
            raise UnreadableError("damaged")
    clean.PatientIdentityRemoved, clean.DeidentificationMethod = "YES", METHOD
    clean.LongitudinalTemporalInformationModified = "REMOVED"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = PROFILE
    clean.DeidentificationMethodCodeSequence = [code]
    return clean


def _cleaned(data: Dataset, pseudonyms: Pseudonyms) -> Dataset:
    """Copy what is kept of a dataset or of an item of a sequence."""
    clean = Dataset()
    for tag in data.keys():  # noqa: SIM118  iterating a dataset would convert every value
        keyword = keyword_for_tag(tag)
        kind = kept().kinds.get(keyword)
        if kind is None or kind == "empty":
            continue
        element = _element(data, keyword)
        if element is None or element.VR not in dictionary_VR(tag).split(" or "):
            continue
        value = _value(kind, element.value, pseudonyms)
        if value is not None:
            clean.add(DataElement(tag, element.VR, value))
    return clean


def _element(data: Dataset, keyword: str) -> DataElement | None:
    """Return an element; none where its value breaks the rules of its representation."""
    try:
        return data[keyword]
    except MemoryError:
        raise
    except Exception:  # pydicom converts a value when asked for it, and fails in many ways
        return None


def _value(kind: str, value: object, pseudonyms: Pseudonyms) -> list[Any] | None:
    """Return what is kept of a value; None where that is nothing."""
    if kind == "sequences":
        return [_cleaned(item, pseudonyms) for item in cast(pydicom.Sequence, value)]
    many = list(value) if isinstance(value, pydicom.multival.MultiValue) else [value]
    if value is None or value == "" or len(many) > LONGEST:
        return None
    if kind == "numbers":
        return many if all(isinstance(item, int | float) for item in many) else None
    if kind == "uids":
        return [pseudonyms.uid(str(item)) for item in many]
    known = [str(item) for item in many if str(item) in kept().vocabulary]
    return known or None


def _file(clean: Dataset, data: Dataset, syntax: UID) -> bytes:
    """Write a picture with its pixels in the encoding that they have."""
    clean.add(data["PixelData"])
    if not syntax.is_encapsulated:
        clean.PixelData = _plain_pixels(data, "<" if syntax.is_little_endian else ">")
    clean.file_meta = FileMetaDataset()
    clean.file_meta.TransferSyntaxUID = syntax
    clean.file_meta.MediaStorageSOPClassUID = clean.SOPClassUID
    clean.file_meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    buffer = io.BytesIO()
    clean.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
