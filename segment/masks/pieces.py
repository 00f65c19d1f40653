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
from segment.masks.place import edge_labels
from segment.masks.table import LabelTable
from segment.measurement import Reason
from segment.organs import Organ, Structure
from segment.segmentation import Segmentation, Side

SUPPLIED = "supplied segmentation"
BACKGROUND = "background"
AROUND = 1  # voxels kept around a structure, so that its outline closes


@dataclass(frozen=True, eq=False)
class Piece:
    """One structure of one side, found or not; ``labels`` of its segmentation make it up."""

    organ: Organ
    structure: Structure
    found: Found | Missing
    labels: tuple[str, ...]

    @property
    def side(self) -> Side:
        """The side it is of."""
        return self.found.side

    def mask(self) -> Bool[np.ndarray, "i j k"] | None:
        """Mark its voxels on its block; None where it was not looked for."""
        if isinstance(self.found, Missing):
            return None
        return self.found.segmentation.mask(*self.labels)

    def drawn(self) -> Segmentation | None:
        """Return it alone, whole voxels, as it is counted; None where it has none."""
        mask = self.mask()
        if isinstance(self.found, Missing) or mask is None or not mask.any():
            return None
        block, name = self.found.segmentation.geometry, self.structure.name
        return _alone(mask, name, self.side, block, self.found.segmentation.model)


def pieces_of(mask: Mask, organs: Iterable[Organ]) -> tuple[Piece, ...]:
    """List every structure and side of some organs as a segmentation holds them, in order."""
    return tuple(
        Piece(organ, structure, _cut_out(mask, structure, side), (structure.name,))
        for organ in organs
        for structure in organ.structures
        for side in organ.sides
    )


def alone(mask: Mask, organ: Organ, structure: Structure, name: str) -> Piece:
    """Return everything that is marked as one piece of a structure."""
    side, marked = organ.sides[0], mask.labels > 0
    start, shape = bounds_of(marked)
    block = mask.geometry.block(start, shape)
    segmentation = _alone(marked[_slices(start, shape)], name, side, block, SUPPLIED)
    return Piece(organ, structure, Found(side, segmentation, start, 0.0, bool(mask.cut)), (name,))


def pieces_of_field(
    field: Segmentation, table: LabelTable, organs: Iterable[Organ]
) -> tuple[Piece, ...]:
    """List every structure and side of some organs as a network drew them, with all its labels."""
    edge = edge_labels(field.labels.astype(np.uint16))
    return tuple(
        _from_field(field, table.values(structure, side), edge, organ, structure, side)
        for organ in organs
        for structure in organ.structures
        for side in organ.sides
    )


def _from_field(
    field: Segmentation,
    values: tuple[int, ...],
    edge: frozenset[int],
    organ: Organ,
    structure: Structure,
    side: Side,
) -> Piece:
    """Cut one structure out of a field."""
    names = tuple(field.structures[value] for value in values)
    if not names:
        return Piece(organ, structure, Missing(side, Reason.NOT_LABELLED), ())
    start, shape = bounds_of(field.mask(*names))
    block = Segmentation(
        field.probability[(slice(None), slice(None), *_slices(start, shape))],
        field.structures,
        side,
        field.geometry.block(start, shape),
        field.model,
    )
    found = Found(side, block, start, 0.0, not edge.isdisjoint(values))
    return Piece(organ, structure, found, names)


def paint_pieces(geometry: Geometry, pieces: Sequence[Piece]) -> UInt8[np.ndarray, "i j k"]:
    """Write the labels of all pieces into one array of the scan's shape: 1, 2, ... in order."""
    labels = np.zeros(geometry.shape, np.uint8)
    for number, piece in enumerate(pieces, start=1):
        mask = piece.mask()
        if isinstance(piece.found, Found) and mask is not None:
            labels[_slices(piece.found.start, mask.shape)][mask] = number
    return labels


def _cut_out(mask: Mask, structure: Structure, side: Side) -> Found | Missing:
    """Cut one structure out of a mask; one that no label is of was not looked for."""
    values = mask.table.values(structure, side)
    if not values:
        return Missing(side, Reason.NOT_LABELLED)
    where = np.isin(mask.labels, values)
    start, shape = bounds_of(where)
    inside = where[_slices(start, shape)]
    segmentation = _alone(inside, structure.name, side, mask.geometry.block(start, shape), SUPPLIED)
    return Found(side, segmentation, start, 0.0, not mask.cut.isdisjoint(values))


def _alone(
    mask: Bool[np.ndarray, "i j k"], name: str, side: Side, block: Geometry, model: str
) -> Segmentation:
    """Make a segmentation of one mask."""
    probability = np.stack([~mask, mask])[None].astype(np.float32)
    return Segmentation(probability, (BACKGROUND, name), side, block, model)


def bounds_of(
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


def _slices(start: tuple[int, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))
