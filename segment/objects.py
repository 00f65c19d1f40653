"""Lesions and tumours as objects: where each lies, how long and large it is, how sure it looks.

An object is a connected component of a segmentation, over faces, edges and corners (26 neighbours).
Lesions that have grown together are one object, and its longest diameter goes across all of them.
Nothing here is trained, and nothing says that an object is a lesion of a patient: it is what the
segmentation holds. Knows nothing of networks, files or reports.
"""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int64, Integer
from scipy.ndimage import binary_dilation, binary_erosion, find_objects, label
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from segment.errors import Refusal, ScanError
from segment.geometry import MM3_PER_ML, Geometry

NEIGHBOURS_26 = np.ones((3, 3, 3), dtype=bool)
CORNERS = np.array(list(product((-0.5, 0.5), repeat=3)))  # of a voxel, from its centre

Voxel = tuple[int, int, int]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Lesion:
    """One object of a segmentation.

    - ``label``: its number among the labels of its ``Lesions``; 1 is the largest.
    - ``lower_ml``, ``upper_ml``: its volume if its outline is half a voxel off: without half of
      its outermost voxels, and with half of those that share a face with it.
    - ``first``, ``last``: its box in voxels ``i j k``, both ends within it.
    - ``lower_mm``, ``upper_mm``: its box along the world's axes, around whole voxels and not only
      their centres; on an oblique grid too.
    - ``centre_mm``: the mean of its voxels' centres, which may lie outside a hollow object.
    - ``longest_diameter_mm``: the largest distance, in any direction, between two corners of its
      voxels; exact, and up to a voxel's diagonal longer than between centres, so never 0.
    - ``score``: the largest probability of any of its voxels, from 0 to 1; None for a bare mask.
    """

    label: int
    voxels: int
    volume_ml: float
    lower_ml: float
    upper_ml: float
    first: Voxel
    last: Voxel
    lower_mm: Point
    upper_mm: Point
    centre_mm: Point
    longest_diameter_mm: float
    score: float | None


@dataclass(frozen=True, eq=False)
class Lesions:
    """All objects of a scan, the largest first; of equal ones the first in the array's order.

    ``labels`` numbers the voxels of each from 1 on, in that order, and is 0 elsewhere. The
    ``left_out`` objects below ``smallest_mm3`` are in neither.
    """

    labels: Integer[np.ndarray, "i j k"]
    geometry: Geometry
    found: tuple[Lesion, ...]
    smallest_mm3: float
    left_out: int

    def __post_init__(self) -> None:
        _check_grid("labels", self.labels.shape, self.geometry)
        labels = self.labels.view()
        labels.flags.writeable = False
        object.__setattr__(self, "labels", labels)

    @property
    def load_ml(self) -> float:
        """The volume of all objects that were kept."""
        return math.fsum(lesion.volume_ml for lesion in self.found)


def lesions_in_mask(
    mask: Bool[np.ndarray, "i j k"], geometry: Geometry, *, smallest_mm3: float = 0.0
) -> Lesions:
    """Find the objects of a mask that are at least ``smallest_mm3`` large; they have no score.

    Raises ScanError for a mask on another grid and ValueError for a size that is none.
    """
    _check_grid("mask", mask.shape, geometry)
    return _find(mask, None, geometry, smallest_mm3)


def lesions_in_probability(
    probability: Float[np.ndarray, "i j k"],
    geometry: Geometry,
    *,
    threshold: float,
    smallest_mm3: float = 0.0,
) -> Lesions:
    """Find the objects of the voxels whose probability is at least ``threshold``, with scores.

    Raises ScanError for probabilities on another grid, not finite or outside 0 to 1, and ValueError
    for a threshold that is not above 0 and at most 1 or a size that is none.
    """
    _check_grid("probabilities", probability.shape, geometry)
    if not 0 < threshold <= 1:
        msg = f"the threshold must be above 0 and at most 1, not {threshold:g}; give a probability"
        raise ValueError(msg)
    if not np.isfinite(probability).all():
        raise ScanError(
            Refusal.NOT_FINITE, "some probabilities are not finite numbers; write them again"
        )
    low, high = float(probability.min()), float(probability.max())
    if low < 0 or high > 1:
        raise ScanError(
            Refusal.UNSUPPORTED_VOXELS,
            f"probabilities lie between 0 and 1, not {low:g} and {high:g}; give no logits",
        )
    return _find(probability >= threshold, probability, geometry, smallest_mm3)


def shared_voxels(one: Lesions, other: Lesions) -> Int64[np.ndarray, "n m"]:
    """Count the voxels that each object of one has in common with each of the other.

    Raises ScanError when they are on different grids.
    """
    if not one.geometry.matches(other.geometry):
        raise ScanError(
            Refusal.WRONG_GRID, "the lesions to compare are on two grids; resample one to the other"
        )
    rows, columns = len(one.found) + 1, len(other.found) + 1
    pairs = one.labels.astype(np.int64) * columns + other.labels
    counts = np.bincount(pairs.ravel(), minlength=rows * columns)
    return counts.reshape(rows, columns)[1:, 1:].astype(np.int64)


def _check_grid(name: str, shape: tuple[int, ...], geometry: Geometry) -> None:
    """Refuse an array that does not fill the grid."""
    if shape != geometry.shape:
        raise ScanError(
            Refusal.WRONG_GRID,
            f"the {name} {shape} do not fill the grid {geometry.shape}; resample them to it",
        )


def _find(
    mask: Bool[np.ndarray, "i j k"],
    probability: Float[np.ndarray, "i j k"] | None,
    geometry: Geometry,
    smallest_mm3: float,
) -> Lesions:
    """Number the objects by size and describe each."""
    if not (math.isfinite(smallest_mm3) and smallest_mm3 >= 0):
        msg = f"the smallest size must be 0 or more cubic millimetres, not {smallest_mm3:g}"
        raise ValueError(msg)
    components, n = label(mask, NEIGHBOURS_26)
    sizes = np.bincount(components.ravel(), minlength=n + 1)[1:]
    # Floats can make a size of 3 whole voxels 3.0000000000000004.
    least = math.ceil(round(smallest_mm3 / geometry.voxel_volume_mm3, 6))
    order = np.argsort(-sizes, kind="stable")
    kept = order[sizes[order] >= least]
    renumbered = np.zeros(n + 1, dtype=np.int32)
    renumbered[kept + 1] = np.arange(1, len(kept) + 1)
    labels = renumbered[components]
    found = tuple(
        _describe(number, box, labels, probability, geometry)
        for number, box in enumerate(find_objects(labels), start=1)
    )
    return Lesions(labels, geometry, found, smallest_mm3, left_out=n - len(kept))


def _describe(
    number: int,
    box: tuple[slice, ...],
    labels: Integer[np.ndarray, "i j k"],
    probability: Float[np.ndarray, "i j k"] | None,
    geometry: Geometry,
) -> Lesion:
    """Measure the object of one number, which fills its box from side to side."""
    mask = labels[box] == number
    start = np.array([side.start for side in box])
    indices = np.argwhere(mask) + start
    centres = geometry.to_world(indices.astype(np.float64))
    half = np.abs(geometry.affine[:3, :3]).sum(axis=1) / 2
    voxel_ml = geometry.voxel_volume_mm3 / MM3_PER_ML
    outermost, around = _rims(mask)
    return Lesion(
        label=number,
        voxels=len(indices),
        volume_ml=len(indices) * voxel_ml,
        lower_ml=(len(indices) - outermost / 2) * voxel_ml,
        upper_ml=(len(indices) + around / 2) * voxel_ml,
        first=(box[0].start, box[1].start, box[2].start),
        last=(box[0].stop - 1, box[1].stop - 1, box[2].stop - 1),
        lower_mm=_point(centres.min(axis=0) - half),
        upper_mm=_point(centres.max(axis=0) + half),
        centre_mm=_point(centres.mean(axis=0)),
        longest_diameter_mm=_longest_mm(mask, geometry),
        score=None if probability is None else float(probability[box][mask].max()),
    )


def _rims(mask: Bool[np.ndarray, "i j k"]) -> tuple[int, int]:
    """Count the voxels of a mask with a face to the outside, and those outside with one to it."""
    padded = np.pad(mask, 1)
    inner, outer = binary_erosion(padded), binary_dilation(padded)
    return int((padded & ~inner).sum()), int((outer & ~padded).sum())


def _longest_mm(mask: Bool[np.ndarray, "i j k"], geometry: Geometry) -> float:
    """Measure the largest distance between corners of voxels, which lie on the convex hull.

    The hull is drawn in voxel indices, where corners are exact, of the two ends of each column.
    """
    i, j = np.nonzero(mask.any(axis=2))
    lowest = mask.argmax(axis=2)[i, j]
    highest = mask.shape[2] - 1 - mask[:, :, ::-1].argmax(axis=2)[i, j]
    ends = np.concatenate([np.stack([i, j, k], axis=1) for k in (lowest, highest)])
    corners = (ends[:, None] + CORNERS).reshape(-1, 3)
    hull = corners[ConvexHull(corners).vertices]
    return float(pdist(geometry.to_world(hull)).max())


def _point(xyz: Float[np.ndarray, " 3"]) -> Point:
    """Return three numbers as Python's."""
    return float(xyz[0]), float(xyz[1]), float(xyz[2])
