"""How probable each label is, voxel by voxel, as a file. Knows nothing of a report."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from nibabel import Nifti1Image
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from assistant.maps import STEPS, write_map
from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.infer import Found, Side
from segment.reading import file_name
from segment.segmentation import SUM_TOLERANCE

UNREADABLE = (*(ImageFileError, HeaderDataError, WrapStructError), OSError, EOFError, zlib.error)


@dataclass(frozen=True, eq=False)
class Probability:
    """Probability by label, from label 1 on, on a block of a scan's grid; 0 outside of it."""

    array: Float32[np.ndarray, "label i j k"]
    geometry: Geometry

    @property
    def with_background(self) -> Float32[np.ndarray, "structure i j k"]:
        """The same after the probability of no label, so that all sum to one."""
        rest = np.clip(1 - self.array.sum(axis=0, keepdims=True), 0, 1)
        return np.concatenate([rest, self.array])


def probability_of(geometry: Geometry, sides: Sequence[Side]) -> Probability:
    """Lay the mean over the members of what was found onto the block that holds all of it.

    Labels are numbered as ``segment.infer.paint`` numbers them. At least one side must have been
    found. Where the boxes of both sides overlap and both claim a voxel, they share it.
    """
    found = [side for side in sides if isinstance(side, Found)]
    shapes = [side.segmentation.geometry.shape for side in found]
    start = np.min([side.start for side in found], axis=0)
    stop = np.max([np.add(s.start, n) for s, n in zip(found, shapes, strict=True)], axis=0)
    each = len(found[0].segmentation.structures) - 1
    array = np.zeros((each * len(sides), *(stop - start)), np.float32)
    for place, side in enumerate(sides):
        if isinstance(side, Found):
            block = tuple(
                slice(int(a), int(a) + n)
                for a, n in zip(
                    np.subtract(side.start, start), side.segmentation.geometry.shape, strict=True
                )
            )
            array[(slice(each * place, each * (place + 1)), *block)] = side.segmentation.mean[1:]
    array /= np.maximum(array.sum(axis=0), 1)
    (i, j, k), (di, dj, dk) = start.tolist(), (stop - start).tolist()
    return Probability(array, geometry.block((i, j, k), (di, dj, dk)))


def write_probability(path: Path, geometry: Geometry, sides: Sequence[Side]) -> None:
    """Write it as NIfTI, one volume a label in ``STEPS``: it reads as 0 to 1."""
    whole = probability_of(geometry, sides)
    steps = np.round(np.moveaxis(whole.array, 0, -1) * STEPS).astype(np.uint8)
    write_map(path, steps, whole.geometry, 1 / STEPS)


def read_probability(path: Path) -> Probability:
    """Read what ``write_probability`` wrote; raises ScanError for anything else."""
    try:
        image = Nifti1Image.from_filename(path)
        array = np.asarray(image.dataobj, dtype=np.float32)
    except UNREADABLE as error:
        raise _refusal(path, "a damaged or another file") from error
    if array.ndim != 4:
        raise _refusal(path, f"{array.ndim} dimensions")
    i, j, k, labels = array.shape
    if not (array.min() >= 0 and array.max() <= 1):
        raise _refusal(path, f"{array.min():.3g} to {array.max():.3g}")
    most = float(array.sum(axis=-1).max())
    if most > 1 + SUM_TOLERANCE + labels * 0.5 / STEPS:  # each label is rounded by itself
        raise _refusal(path, f"some that add up to {most:.3g}")
    return Probability(np.moveaxis(array, -1, 0), Geometry((i, j, k), image.affine))


def _refusal(path: Path, found: str) -> ScanError:
    msg = f"{file_name(path)}: expected the probability of each label, from 0 to 1 and together at"
    return ScanError(Refusal.UNREADABLE, f"{msg} most 1, found {found}; draft again")
