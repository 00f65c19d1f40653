"""Files become volumes here. Knows nothing of exams, and never reads who the patient is."""

from segment.reading.archive import extracted
from segment.reading.dicom import read_dicom_series, read_series
from segment.reading.nifti import read_nifti
from segment.reading.series import Series, find_series
from segment.reading.source import file_kind, file_name, list_files

__all__ = [
    "Series",
    "extracted",
    "file_kind",
    "file_name",
    "find_series",
    "list_files",
    "read_dicom_series",
    "read_nifti",
    "read_series",
]
