"""From a scan to the segmentation of each side, on the scan's own grid.

Knows nothing of millilitres, intervals or reports.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy import ndimage

from segment.blank import has_blank_slices
from segment.canonical import canonical, mirrored
from segment.geometry import Geometry
from segment.measurement import Reason
from segment.models import Box, Looked, Looking, Segmenter
from segment.organs import Organ
from segment.register import Registration
from segment.resample import block_around, carry, sample
from segment.segmentation import Segmentation
from segment.segmentation import Side as Which
from segment.volume import Volume

BOX = (48, 64, 48)  # voxels of 1 mm cut out of a head: the structure and a centimetre around it
CORE_MM = (24.0, 40.0, 26.0)  # the median extent of the tracings: must lie in the scan's field
LEAST_CORE_INSIDE = 0.98
AROUND = 2  # voxels kept around the mask when it is carried to the scan's grid


@dataclass(frozen=True, eq=False)
class Found:
    """One side as it was found.

    ``segmentation`` lies on the block of the scan's grid that begins at ``start``. ``shift_mm``
    is how far the middle of the mask lies from where the registration expected it (0 in a crop);
    ``is_truncated`` says that the mask touches the edge of the field or of the box. ``features``
    are those that the segmenter gives of the picture, if it gives any. ``has_blank_slices`` says
    that slices of what was looked at hold no picture.
    """

    side: Which
    segmentation: Segmentation
    start: tuple[int, int, int]
    shift_mm: float
    is_truncated: bool
    features: Float32[np.ndarray, " feature"] | None = None
    has_blank_slices: bool = False


@dataclass(frozen=True)
class Missing:
    """One side that was not looked at, and why."""

    side: Which
    reason: Reason


Side = Found | Missing


def segment_head(
    volume: Volume, organ: Organ, registration: Registration, segmenter: Segmenter
) -> tuple[Side, ...]:
    """Segment each side of an organ of a head that was registered."""
    grids, boxes = head_boxes(volume, organ, registration)
    seen = [side for side, box in boxes.items() if _core_inside(box) >= LEAST_CORE_INSIDE]
    looks = dict(zip(seen, look([boxes[s] for s in seen], segmenter), strict=True)) if seen else {}
    sides: list[Side] = []
    for side in organ.sides:
        if side not in looks:
            sides.append(Missing(side, Reason.OUTSIDE_FIELD))
            continue
        sides.append(_found(volume, side, grids[side], boxes[side].inside, looks[side], segmenter))
    return tuple(sides)


def head_boxes(
    volume: Volume, organ: Organ, registration: Registration
) -> tuple[dict[Which, Geometry], dict[Which, Box]]:
    """Cut out what networks are given of a head, with its grid, by the side."""
    grids = {side: side_box(registration, organ.centre_mni_mm[side], side) for side in organ.sides}
    return grids, {side: Box(*sample(volume, grid)) for side, grid in grids.items()}


def crop_box(volume: Volume, side: Literal["left", "right"]) -> tuple[Geometry, Box]:
    """Lay the grid that networks see over a crop, and read the crop there."""
    grid = canonical(volume.geometry)
    if side == "right":
        grid = mirrored(grid)
    return grid, Box(*sample(volume, grid))


def side_box(
    registration: Registration, centre_mm: tuple[float, float, float], side: Which
) -> Geometry:
    """Lay the box that networks see around a point of the template; the right one's is mirrored."""
    grid = registration.box(centre_mm, BOX)
    return mirrored(grid) if side == "right" else grid


def segment_crop(volume: Volume, side: Literal["left", "right"], segmenter: Segmenter) -> Found:
    """Segment a scan that already is the box around one structure, in its own orientation."""
    return segment_crops([volume], side, segmenter)[0]


def segment_crops(
    volumes: Sequence[Volume], side: Literal["left", "right"], segmenter: Segmenter
) -> list[Found]:
    """Segment several such scans at once, which costs less than one after the other."""
    placed = [crop_box(volume, side) for volume in volumes]
    looks = look([box for _, box in placed], segmenter)
    found = [
        _found(volume, side, grid, box.inside, looked, segmenter)
        for volume, (grid, box), looked in zip(volumes, placed, looks, strict=True)
    ]
    return [replace(one, shift_mm=0.0) for one in found]  # nobody said where the structure lies


def look(boxes: Sequence[Box], segmenter: Segmenter) -> list[Looked]:
    """Segment boxes, with the features of each where the segmenter gives any."""
    if isinstance(segmenter, Looking):
        return segmenter.look(boxes)
    return [Looked(probability, None) for probability in segmenter(boxes)]


def paint(geometry: Geometry, sides: Sequence[Side]) -> UInt8[np.ndarray, "i j k"]:
    """Write the labels of all sides into one ``i j k`` uint8 array of the scan's shape.

    The segmenter's labels 1, 2, ... stand for the only side or the left one; where there are two,
    the right side's follow them.
    """
    labels = np.zeros(geometry.shape, np.uint8)
    for found in sides:
        if isinstance(found, Missing):
            continue
        segmentation = found.segmentation
        is_second = found.side == "right" and len(sides) > 1
        offset = len(segmentation.structures) - 1 if is_second else 0
        block = labels[
            tuple(
                slice(s, s + n)
                for s, n in zip(found.start, segmentation.geometry.shape, strict=True)
            )
        ]
        mask = segmentation.labels > 0
        block[mask] = segmentation.labels[mask] + offset
    return labels


def _core_inside(box: Box) -> float:
    """Return the share of the structure's usual place that lies in the scan's field."""
    cut = tuple(
        slice(round((n - c) / 2), round((n + c) / 2))
        for n, c in zip(box.inside.shape, CORE_MM, strict=True)
    )
    return float(box.inside[cut].mean())


def _found(
    volume: Volume,
    side: Which,
    grid: Geometry,
    inside: Bool[np.ndarray, "i j k"],
    looked: Looked,
    segmenter: Segmenter,
) -> Found:
    """Carry one side's probabilities to the scan's grid and note what speaks against them."""
    probability = looked.probability
    mask = probability.mean(axis=0).argmax(axis=0) > 0
    any_member = (probability.argmax(axis=1) > 0).any(axis=0)
    low, shape = _bounds(any_member)
    start, block = block_around(grid.block(low, shape), volume.geometry)
    members, structures = probability.shape[:2]
    foreground = probability[:, 1:].reshape(-1, *grid.shape)
    carried = carry(foreground, grid, block).reshape(members, structures - 1, *block.shape)
    carried = np.clip(carried, 0, 1)
    background = np.clip(1 - carried.sum(axis=1, keepdims=True), 0, 1)
    whole = np.concatenate([background, carried], axis=1)
    segmentation = Segmentation(
        whole / whole.sum(axis=1, keepdims=True), segmenter.structures, side, block, segmenter.name
    )
    truncated = _is_truncated(mask, inside)
    return Found(
        side,
        segmentation,
        start,
        _shift_mm(mask),
        truncated,
        looked.features,
        has_blank_slices(volume, grid),
    )


def _bounds(
    mask: Bool[np.ndarray, "i j k"],
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return start and shape of the block that holds a mask and a little around it."""
    occupied = np.argwhere(mask) if mask.any() else np.array([mask.shape]) // 2
    low = np.maximum(occupied.min(axis=0) - AROUND, 0)
    high = np.minimum(occupied.max(axis=0) + 1 + AROUND, mask.shape)
    i, j, k = (int(n) for n in low)
    di, dj, dk = (int(n) for n in high - low)
    return (i, j, k), (di, dj, dk)


def _shift_mm(mask: Bool[np.ndarray, "i j k"]) -> float:
    """Return how far a mask's centre lies from the middle of its 1 mm box; 0 if it is empty."""
    if not mask.any():
        return 0.0
    centre = np.argwhere(mask).mean(axis=0)
    return float(np.linalg.norm(centre - (np.array(mask.shape) - 1) / 2))


def _is_truncated(mask: Bool[np.ndarray, "i j k"], inside: Bool[np.ndarray, "i j k"]) -> bool:
    """Whether a mask touches the edge of its box or of the scan's field."""
    interior = ndimage.binary_erosion(inside, np.ones((3, 3, 3), bool), border_value=0)
    return bool((mask & ~interior).any())
