"""Files become volumes here. Knows nothing of exams, and never reads who the patient is.

The names below are imported when they are first used: the process that parses strangers' files
pays for none that it does not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segment.reading.archive import extracted
    from segment.reading.dicom import read_dicom_series, read_series
    from segment.reading.directory import directory_files
    from segment.reading.nifti import read_nifti
    from segment.reading.pixels import read_slice
    from segment.reading.series import Series, check_readable, find_series
    from segment.reading.source import file_kind, file_name, list_files

__all__ = [
    "Series",
    "check_readable",
    "directory_files",
    "extracted",
    "file_kind",
    "file_name",
    "find_series",
    "list_files",
    "read_dicom_series",
    "read_nifti",
    "read_series",
    "read_slice",
]

_HOMES = {
    "Series": "series",
    "check_readable": "series",
    "directory_files": "directory",
    "extracted": "archive",
    "file_kind": "source",
    "file_name": "source",
    "find_series": "series",
    "list_files": "source",
    "read_dicom_series": "dicom",
    "read_nifti": "nifti",
    "read_series": "dicom",
    "read_slice": "pixels",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module; raises AttributeError for any other."""
    if name not in _HOMES:
        msg = f"module 'segment.reading' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"segment.reading.{_HOMES[name]}"), name)
