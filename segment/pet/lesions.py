"""Lesions in PET outlined by thresholds, with their uptake. Knows nothing of anatomy.

Nothing says that an object is a lesion of a patient: brain, heart, kidneys and bladder take up more
than most tumours. What is outlined is connected over faces, edges and corners.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Integer
from scipy import ndimage

from segment.geometry import MM3_PER_ML
from segment.measurement import Reason
from segment.objects import NEIGHBOURS_26, Lesion, Lesions, Point, lesions_in_mask
from segment.pet.grid import Uptake
from segment.pet.peak import Box, suv_peak, widened
from segment.segmentation import sha256_of

Method = Literal["share", "fixed", "liver"]
SHARE = 0.41  # Boellaard et al. 2015, EANM procedure guidelines for tumour PET imaging, version 2.0
LEVEL = 2.5
SMALLEST_ML = 0.2
# An outline that goes beyond the object it grew from is looked at on the faces of a box this much
# larger. In noise, voxels that touch over faces, edges and corners hang together without end once a
# tenth of all are chosen (site percolation, 26 neighbours: 0.0976, Kurzawski and Malarz 2012).
ROOM_MM = 10.0
LEAKING_SHARE = 0.0976


@dataclass(frozen=True)
class LesionUptake:
    """One outlined object and the uptake in it, in g/mL.

    ``suv_peak`` is after ``segment.pet.peak``. ``is_cut`` says that the outline reaches the edge of
    the PET's field, so that a part of it may be missing.
    """

    lesion: Lesion
    suv_max: float
    suv_peak: float
    suv_mean: float
    is_cut: bool
    mask_sha256: str

    @property
    def mtv_ml(self) -> float:
        """The metabolic tumour volume: its voxels times the volume of one."""
        return self.lesion.volume_ml

    @property
    def tlg_g(self) -> float:
        """The total lesion glycolysis: mean uptake times volume."""
        return self.suv_mean * self.mtv_ml


@dataclass(frozen=True)
class Unclear:
    """A hot spot whose outline by a share of its maximum is not its own, and why."""

    suv_max: float
    at_mm: Point
    reason: Reason


@dataclass(frozen=True, eq=False)
class Outlined:
    """All lesions of a PET by one method, the largest first.

    ``level`` is the threshold of the outlines, or of the objects that they grew from; ``left_out``
    counts objects at it that are too small. ``joined`` counts hot spots that lie in the outline of
    a hotter one and are a part of it.
    """

    method: Method
    level: float
    lesions: Lesions
    uptakes: tuple[LesionUptake, ...]
    left_out: int
    unclear: tuple[Unclear, ...] = ()
    joined: int = 0

    @property
    def is_partial(self) -> bool:
        """Whether its sums rest on something that is withheld."""
        return bool(self.unclear) or any(one.is_cut for one in self.uptakes)

    @property
    def mtv_ml(self) -> float:
        """The metabolic volume of all lesions."""
        return math.fsum(one.mtv_ml for one in self.uptakes)

    @property
    def tlg_g(self) -> float:
        """The glycolysis of all lesions."""
        return math.fsum(one.tlg_g for one in self.uptakes)


def outlined_at(
    uptake: Uptake, level: float, *, method: Method, smallest_ml: float = SMALLEST_ML
) -> Outlined:
    """Outline every object whose voxels are at a level, in g/mL, or above it.

    Raises ValueError for a level or a smallest size that is none.
    """
    lesions = _above(uptake, level, smallest_ml)
    return Outlined(method, level, lesions, tuple(_measured(uptake, lesions)), lesions.left_out)


def outlined_at_share(
    uptake: Uptake, *, share: float = SHARE, level: float = LEVEL, smallest_ml: float = SMALLEST_ML
) -> Outlined:
    """Outline each hot spot at a share of its own maximum.

    Hot spots are the objects at ``level`` or above. From the hottest down, the outline of each is
    what hangs together around its maximum at the share of it or above, inside of the object and
    beyond. A spot in the outline of a hotter one is a part of that. An outline that holds a hotter
    voxel, or that leaks into its surroundings, is not the spot's own and is not measured.

    The border of a large blurred object lies half-way between it and the background, which is
    above 41 % of the maximum wherever the background is not cold: volumes are too large, the more
    so the lower the contrast and the smaller the object. Noise raises the maximum, which pulls the
    other way. Raises ValueError for numbers that cannot be meant.
    """
    if not 0 < share < 1:
        msg = f"a share of the maximum lies between 0 and 1, not at {share:g}; 0.41 is usual"
        raise ValueError(msg)
    seeds = _above(uptake, level, smallest_ml)
    drawn = np.zeros(uptake.geometry.shape, bool)
    unclear: list[Unclear] = []
    joined = 0
    for box, voxel in _hottest_first(uptake, seeds):
        if drawn[voxel]:
            joined += 1
            continue
        suv_max = float(uptake.suv[voxel])
        around, mask, leaks = _grown(uptake, box, voxel, suv_max * share)
        is_hottest = float(uptake.suv[around][mask].max()) <= suv_max
        if leaks or not is_hottest:
            reason = Reason.OUTLINE_LEAKS if leaks else Reason.HOTTER_NEIGHBOUR
            unclear.append(Unclear(suv_max, _at(uptake, voxel), reason))
        else:
            drawn[around] |= mask
    found = lesions_in_mask(drawn, uptake.geometry)
    measured = tuple(_measured(uptake, found))
    return Outlined("share", level, found, measured, seeds.left_out, tuple(unclear), joined)


def _above(uptake: Uptake, level: float, smallest_ml: float) -> Lesions:
    """Find the objects at a level that are large enough."""
    if not (np.isfinite(level) and level > 0):
        msg = f"a level of uptake is a number above 0, in g/mL, not {level:g}; 2.5 is usual"
        raise ValueError(msg)
    mask = uptake.inside & (uptake.suv >= level)
    return lesions_in_mask(mask, uptake.geometry, smallest_mm3=smallest_ml * MM3_PER_ML)


def _hottest_first(uptake: Uptake, seeds: Lesions) -> Iterator[tuple[Box, tuple[int, int, int]]]:
    """Yield the box of each object and its hottest voxel, from the hottest object down."""
    found: list[tuple[float, Box, tuple[int, int, int]]] = []
    for lesion in seeds.found:
        box = box_of(lesion)
        values = np.where(seeds.labels[box] == lesion.label, uptake.suv[box], -np.inf)
        i, j, k = np.unravel_index(int(values.argmax()), values.shape)
        at = (int(i) + box[0].start, int(j) + box[1].start, int(k) + box[2].start)
        found.append((float(uptake.suv[at]), box, at))
    for _, box, at in sorted(found, key=lambda one: -one[0]):
        yield box, at


def _grown(
    uptake: Uptake, box: Box, voxel: tuple[int, int, int], threshold: float
) -> tuple[Box, Bool[np.ndarray, "i j k"], bool]:
    """Grow from a voxel over all that is at a threshold, in ever larger boxes; stop where it leaks.

    Returns a box, what is marked in it, and whether it leaks: whether more than ``LEAKING_SHARE``
    of the box's faces is marked. The first box is ``ROOM_MM`` larger than the given one.
    """
    room = [max(1, round(ROOM_MM / mm)) for mm in uptake.geometry.spacing_mm]
    around = widened(box, room, uptake.geometry)
    while True:
        above = uptake.inside[around] & (uptake.suv[around] >= threshold)
        labels, _ = ndimage.label(above, NEIGHBOURS_26)
        local = tuple(at - side.start for at, side in zip(voxel, around, strict=True))
        mask = labels == labels[local]
        share = _share_of_faces(mask, around, uptake)
        if share == 0 or share > LEAKING_SHARE:
            return around, mask, share > 0
        around = widened(around, [n // 2 + 1 for n in mask.shape], uptake.geometry)


def _share_of_faces(mask: Bool[np.ndarray, "i j k"], box: Box, uptake: Uptake) -> float:
    """Return which share of a box's faces is marked; those on the edge of the grid are none."""
    faces = [
        np.take(mask, end, axis=axis).ravel()
        for axis, (side, n) in enumerate(zip(box, uptake.geometry.shape, strict=True))
        for end, is_edge in ((0, side.start == 0), (-1, side.stop == n))
        if not is_edge
    ]
    return float(np.concatenate(faces).mean()) if faces else 0.0


def _measured(uptake: Uptake, lesions: Lesions) -> Iterator[LesionUptake]:
    """Measure the uptake in each object."""
    for lesion in lesions.found:
        box = box_of(lesion)
        mask = lesions.labels[box] == lesion.label
        values = uptake.suv[box][mask]
        yield LesionUptake(
            lesion,
            suv_max=float(values.max()),
            suv_peak=suv_peak(uptake, box, mask),
            suv_mean=float(values.mean(dtype=np.float64)),
            is_cut=_is_cut(uptake, box, lesions.labels, lesion.label),
            mask_sha256=sha256_of(mask),
        )


def box_of(lesion: Lesion) -> Box:
    """Return the slices of a lesion's box."""
    i, j, k = (slice(a, b + 1) for a, b in zip(lesion.first, lesion.last, strict=True))
    return i, j, k


def _is_cut(uptake: Uptake, box: Box, labels: Integer[np.ndarray, "i j k"], number: int) -> bool:
    """Whether an object touches the edge of the grid, or what lies outside of the PET's field."""
    ends = zip(box, uptake.geometry.shape, strict=True)
    if any(side.start == 0 or side.stop == n for side, n in ends):
        return True
    around = widened(box, [1, 1, 1], uptake.geometry)
    touched = ndimage.binary_dilation(labels[around] == number, NEIGHBOURS_26)
    return bool((touched & ~uptake.inside[around]).any())


def _at(uptake: Uptake, voxel: tuple[int, int, int]) -> Point:
    x, y, z = uptake.geometry.to_world(np.array([voxel], np.float64))[0]
    return float(x), float(y), float(z)
