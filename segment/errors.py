"""What can be wrong with a scan, one class, one code each. Knows nothing of who shows it."""

import os
from enum import StrEnum
from pathlib import Path


class Refusal(StrEnum):
    """Why a file is not a scan that can be measured; the code stands in logs and manifests."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    WRONG_DIMENSIONS = "wrong-dimensions"
    TOO_LARGE = "too-large"
    NOT_FINITE = "not-finite"
    CONSTANT = "constant"
    NO_SPACING = "no-spacing"
    SINGULAR_AFFINE = "singular-affine"
    AMBIGUOUS_POSITION = "ambiguous-position"
    UNSUPPORTED_VOXELS = "unsupported-voxels"
    EMPTY_FOLDER = "empty-folder"
    SEVERAL_SERIES = "several-series"
    SEVERAL_VOLUMES = "several-volumes"
    NO_ROLE = "no-role"
    UNSUPPORTED_DICOM = "unsupported-dicom"
    UNEVEN_SLICES = "uneven-slices"
    NO_SUV = "no-suv"
    TOO_COSTLY = "too-costly"
    UNSAFE_ARCHIVE = "unsafe-archive"
    NOT_MR = "not-mr"
    NOT_CT = "not-ct"
    NOT_PET = "not-pet"
    NO_LIVER = "no-liver"
    FIELD_TOO_SMALL = "field-too-small"
    TOO_COARSE = "too-coarse"
    WRONG_PICTURE = "wrong-picture"
    WRONG_GRID = "wrong-grid"
    WRONG_LABELS = "wrong-labels"
    NO_SEGMENTATION = "no-segmentation"
    BURNT_IN = "burnt-in"
    NOT_ANONYMOUS = "not-anonymous"
    OTHER_PATIENT = "other-patient"
    OTHER_FRAME = "other-frame"
    SAME_STUDY = "same-study"
    BAD_DATES = "bad-dates"
    BAD_OPTION = "bad-option"
    OUTPUT = "output"
    SERVER = "server"


class ScanError(ValueError):
    """The scan cannot be measured; the sentence says what was expected and what to do.

    It quotes the file's name at most: a path above it can hold a patient's name.
    """

    def __init__(self, code: Refusal, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def without_folders(error: OSError) -> str:
    """Say what is wrong with a file by its name alone: a path above it can name a patient."""
    if error.filename is None:
        return str(error)
    name = Path(os.fsdecode(error.filename)).name
    if isinstance(error, FileNotFoundError):
        return f"{name}: expected a file or a folder, found none; give one that is there"
    why = str(error.strerror).lower()
    return f"{name}: expected what can be read or written, found {why}; give another"
