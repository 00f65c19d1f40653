"""What of a delivery can be read, for whoever chooses. Knows nothing of pages or of refusals.

The labels are those that ``read_study`` takes as ``series``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from nibabel.orientations import apply_orientation, io_orientation

from assistant.listed import labelled
from assistant.study import find, niftis
from segment.reading import (
    Series,
    directory_files,
    extracted,
    file_kind,
    list_files,
    read_nifti,
    read_slice,
)
from segment.reading.header import Header


@dataclass(frozen=True, eq=False)
class Choice:
    """A series, one volume of a series, or a NIfTI file, that ``read_study`` takes by its label.

    ``picture`` reads its middle slice; it raises ScanError where that cannot be decoded.
    """

    label: str
    described: str
    picture: Callable[[], Float32[np.ndarray, "rows columns"]] = field(repr=False)


def choices(source: str | Path) -> Iterator[Choice]:
    """Yield what can be chosen in a folder, DICOMDIR or zip; nothing where there is no choice.

    A picture can be read until the next choice is asked for: a zip is unpacked that long.
    """
    path = Path(source)
    if path.is_dir():
        yield from _below(path)
    elif file_kind(path) == "zip":
        with extracted(path) as folder:
            yield from _below(folder)
    elif file_kind(path) in ("dicom", "dicomdir"):
        is_list = file_kind(path) == "dicomdir"
        yield from _series(find(directory_files(path) if is_list else [path]))


def _below(folder: Path) -> Iterator[Choice]:
    """Yield the series below a folder, else its NIfTI files, as ``read_study`` takes them."""
    files = list_files(folder)
    if found := find(files):
        yield from _series(found)
        return
    for label, one in niftis(files, folder).items():
        yield Choice(label, one.name, partial(_middle_of_file, one.path))


def _series(found: Sequence[Series]) -> Iterator[Choice]:
    for label, series in labelled(found).items():
        if not series.is_readable:
            continue
        volumes = series.volumes
        if len(volumes) == 1:
            yield Choice(label, series.description, partial(_middle_of_series, series))
            continue
        for place, volume in enumerate(volumes, start=1):
            described = f"{volume.description}, {volume.mark}"
            yield Choice(f"{label}.{place}", described, partial(_middle_of_series, volume))


def _middle_of_series(series: Series) -> Float32[np.ndarray, "rows columns"]:
    headers = sorted(series.headers, key=_instance)
    return read_slice(headers[len(headers) // 2])


def _middle_of_file(path: Path) -> Float32[np.ndarray, "rows columns"]:
    """Read the slice half-way from foot to head: front above, the patient's right on the left."""
    volume = read_nifti(path)
    array = apply_orientation(volume.array, io_orientation(volume.geometry.affine))
    return np.ascontiguousarray(array[::-1, ::-1, array.shape[2] // 2].T)


def _instance(header: Header) -> float:
    return header.number("InstanceNumber") or 0.0
