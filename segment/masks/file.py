"""Files of labels, NIfTI or DICOM SEG. Knows nothing of the scan they belong to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Float32, UInt16

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.masks.seg import read_frames, stacked, table_of
from segment.masks.table import LARGEST_LABEL, LabelTable, built_in, named
from segment.reading import file_kind, file_name
from segment.reading.nifti import read_extensions, read_values
from segment.reading.source import file_bytes, sha256

# TotalSegmentator writes its names into the file as Connectome Workbench does.
NAME = re.compile(rb'<Label Key="([0-9]{1,5})"[^>]{0,200}><!\[CDATA\[([\w .-]{1,80})\]\]>')


@dataclass(frozen=True, eq=False)
class Drawn:
    """The labels of a file on their own grid.

    ``is_field`` says that the grid ends where the drawing ended: a label on its edge was cut.
    """

    labels: UInt16[np.ndarray, "i j k"]
    geometry: Geometry
    table: LabelTable
    sha256: str
    format: str
    is_field: bool


def read_labels(path: Path) -> Drawn:
    """Read a file of labels; raises ScanError where it holds something else."""
    file_bytes(path)
    if file_kind(path) == "dicom":
        return _read_dicom(path)
    name = file_name(path)
    volume = read_values(path)
    found = [(int(key), text.decode()) for key, text in NAME.findall(read_extensions(path))]
    table = named("of the file itself", found) if found else built_in()
    labels = _whole(volume.array, name)
    return Drawn(labels, volume.geometry, table, volume.sha256, "NIfTI", is_field=True)


def write_labels(
    path: Path,
    labels: UInt16[np.ndarray, "i j k"],
    geometry: Geometry,
    names: Mapping[int, str],
) -> None:
    """Write labels as NIfTI with the names of those above 0, as ``read_labels`` finds them."""
    array = labels.astype(np.min_scalar_type(max(names, default=0)))
    image = nibabel.Nifti1Image(array, np.asarray(geometry.affine))
    image.header.set_xyzt_units("mm")
    rows = "".join(f'<Label Key="{n}"><![CDATA[{x}]]></Label>' for n, x in names.items() if n)
    table = f"<CaretExtension><LabelTable>{rows}</LabelTable></CaretExtension>"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("ignore", table.encode()))
    image.to_filename(path)


def _read_dicom(path: Path) -> Drawn:
    """Read a DICOM segmentation; it holds no frame of a slice in which nothing was drawn."""
    said, content = read_frames(path)
    table = table_of(said)
    labels, geometry = stacked(said, content, table, path)
    return Drawn(labels, geometry, table, sha256(path), "DICOM SEG", is_field=False)


def _whole(values: Float32[np.ndarray, "i j k"], name: str) -> UInt16[np.ndarray, "i j k"]:
    """Take values for labels; refuse those that are no whole number or none of a label."""
    odd = values[values != np.rint(values)]  # NaN is unequal to itself
    if odd.size:
        msg = (
            f"{name}: expected whole numbers as labels, found {odd[0]:g}; give the labels, and"
            " neither probabilities nor the scan"
        )
        raise ScanError(Refusal.WRONG_LABELS, msg)
    least, most = float(values.min()), float(values.max())
    if least < 0 or most > LARGEST_LABEL:
        msg = (
            f"{name}: expected labels from 0 to {LARGEST_LABEL}, found {least:g} to {most:g}; give"
            " the labels and not the scan"
        )
        raise ScanError(Refusal.WRONG_LABELS, msg)
    return values.astype(np.uint16)
