"""A segmentation of a whole field taken apart: each structure of each side on a block of its own.

Knows nothing of volumes in mL or of who drew what.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from segment.geometry import Geometry
from segment.infer import Found, Missing
from segment.masks import Mask
from segment.measurement import Reason
from segment.organs import Organ, Structure
from segment.segmentation import Segmentation, Side

SUPPLIED = "supplied segmentation"
BACKGROUND = "background"
AROUND = 1  # voxels kept around a structure, so that its outline closes


@dataclass(frozen=True, eq=False)
class Piece:
    """One structure of one side, found or not."""

    organ: Organ
    structure: Structure
    found: Found | Missing

    @property
    def side(self) -> Side:
        """The side it is of."""
        return self.found.side


def pieces_of(mask: Mask, organs: Iterable[Organ]) -> tuple[Piece, ...]:
    """List every structure and side of some organs as a segmentation holds them, in order."""
    return tuple(
        Piece(organ, structure, _cut_out(mask, structure, side))
        for organ in organs
        for structure in organ.structures
        for side in organ.sides
    )


def paint_pieces(geometry: Geometry, pieces: Sequence[Piece]) -> UInt8[np.ndarray, "i j k"]:
    """Write the labels of all pieces into one array of the scan's shape: 1, 2, ... in order."""
    labels = np.zeros(geometry.shape, np.uint8)
    for number, piece in enumerate(pieces, start=1):
        if isinstance(piece.found, Found):
            segmentation = piece.found.segmentation
            block = labels[_slices(piece.found.start, segmentation.geometry.shape)]
            block[segmentation.mask(piece.structure.name)] = number
    return labels


def _cut_out(mask: Mask, structure: Structure, side: Side) -> Found | Missing:
    """Cut one structure out of a mask; one that no label is of was not looked for."""
    values = mask.table.values(structure, side)
    if not values:
        return Missing(side, Reason.NOT_LABELLED)
    where = np.isin(mask.labels, values)
    start, shape = _bounds(where)
    inside = where[_slices(start, shape)]
    probability = np.stack([~inside, inside])[None].astype(np.float32)
    segmentation = Segmentation(
        probability, (BACKGROUND, structure.name), side, mask.geometry.block(start, shape), SUPPLIED
    )
    return Found(side, segmentation, start, 0.0, not mask.cut.isdisjoint(values))


def _bounds(
    where: Bool[np.ndarray, "i j k"],
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return start and shape of the block around what is marked; one voxel where nothing is."""
    low, high = [], []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        (places,) = np.nonzero(where.any(axis=others))
        length = where.shape[axis]
        low.append(max(int(places[0]) - AROUND, 0) if places.size else 0)
        high.append(min(int(places[-1]) + 1 + AROUND, length) if places.size else 1)
    (i, j, k), (i2, j2, k2) = low, high
    return (i, j, k), (i2 - i, j2 - j, k2 - k)


def _slices(start: tuple[int, int, int], shape: tuple[int, int, int]) -> tuple[slice, ...]:
    return tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))
