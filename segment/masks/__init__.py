"""A segmentation that somebody else made, on the grid of a scan, and what its labels mean.

Knows nothing of who or what drew it, nor of whether it is right.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.masks.file import read_labels
from segment.masks.place import edge_labels, held_labels, placed
from segment.masks.table import Label, LabelTable, check_count, read_table
from segment.reading import file_name
from segment.volume import Volume

__all__ = ["LabelTable", "Mask", "read_marked", "read_mask"]

MARKED = "marked"


@dataclass(frozen=True, eq=False)
class Mask:
    """Labels on the grid of a scan; ``cut`` are those that reach the edge of a field.

    ``held`` are all that the file holds. The field is that of the scan or that of the file itself,
    whichever ends first. ``format`` is how the file was written, and ``is_resampled`` whether its
    labels lay on another grid.
    """

    labels: UInt16[np.ndarray, "i j k"]
    geometry: Geometry
    table: LabelTable
    held: frozenset[int]
    cut: frozenset[int]
    sha256: str
    format: str
    is_resampled: bool

    def __post_init__(self) -> None:
        if self.labels.shape != self.geometry.shape:
            msg = f"the labels {self.labels.shape} do not fill the grid {self.geometry.shape}"
            raise ValueError(msg)
        labels = self.labels.view()
        labels.flags.writeable = False
        object.__setattr__(self, "labels", labels)

    def check_is_none_of(self, scans: Iterable[Volume]) -> None:
        """Refuse the file of a scan in the place of its labels; raises ScanError."""
        if self.sha256 in {scan.sha256 for scan in scans}:
            msg = "the segmentation: expected the labels of the scan, found the scan itself; give"
            raise ScanError(Refusal.WRONG_LABELS, f"{msg} the file of its labels")


def read_mask(
    path: Path, geometry: Geometry, *, labels: Path | None = None, resample: bool = False
) -> Mask:
    """Read a segmentation (NIfTI or DICOM SEG) onto the grid of a scan.

    What its labels mean says the table ``labels``, else the file itself, else TotalSegmentator's
    table. Voxels that lie between those of the scan are refused, or taken from the nearest one
    with ``resample``. Raises ScanError.
    """
    name = file_name(path)
    drawn = read_labels(path)
    table = drawn.table if labels is None else read_table(labels)
    held = held_labels(drawn.labels)
    table.check(held, name)
    on_grid, is_resampled = placed(drawn.labels, drawn.geometry, geometry, name, resample=resample)
    cut = edge_labels(on_grid) | (edge_labels(drawn.labels) if drawn.is_field else frozenset())
    return Mask(on_grid, geometry, table, held, cut, drawn.sha256, drawn.format, is_resampled)


def read_marked(path: Path, geometry: Geometry, *, resample: bool = False) -> Mask:
    """Read a segmentation of which every label is the same thing, whatever number it has.

    Lesions are often numbered one by one, in numbers that no table knows. Raises ScanError, as for
    a picture.
    """
    name = file_name(path)
    drawn = read_labels(path)
    advice = "with one label for all of what it marks where it numbers more than that"
    check_count(held_labels(drawn.labels), name, advice)
    marked = (drawn.labels > 0).astype(np.uint16)
    on_grid, is_resampled = placed(marked, drawn.geometry, geometry, name, resample=resample)
    held = held_labels(on_grid)
    cut = edge_labels(on_grid) | (edge_labels(marked) if drawn.is_field else frozenset())
    table = LabelTable("everything marked", (Label(1, MARKED, MARKED),))
    return Mask(on_grid, geometry, table, held, cut, drawn.sha256, drawn.format, is_resampled)
