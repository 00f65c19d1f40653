"""Lesions of other patients, blended into the healthy tissue of a head. Knows no files or networks.

Shapes and places are those of real masks; how bright a lesion is in each sequence is learned from
the lesions of the head itself. So a head with few lesions of its own teaches what many look like;
what no mask and no lesion of that head shows, nobody learns from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64
from scipy import ndimage

from segment.objects import NEIGHBOURS_26

SHIFT = 4  # voxels at most by which a mask is moved along each axis
APART = 3  # voxels between a synthetic lesion and a real one
RING = (2, 4)  # voxels from a lesion between which its surroundings are looked at
LEAST_VOXELS = 5  # of a lesion that something is learned from
SMALLEST = 3  # voxels of a synthetic lesion
KEPT = 0.3  # of the tissue's own texture inside a lesion
STRENGTH = (0.8, 1.4)  # times the contrast that was learned
BLUR = (0.5, 1.0)  # voxels of a lesion's edge
LESIONS_SHARE = 0.4  # of the crops have a lesion in their middle


@dataclass(frozen=True, eq=False)
class Head:
    """The sequences of one head, on one scale each, with what an expert marked.

    ``tissue`` is where a lesion may lie: brain without its fluid.
    """

    sequences: Float32[np.ndarray, "role i j k"]
    lesions: Bool[np.ndarray, "_ _ _"]
    tissue: Bool[np.ndarray, "_ _ _"]

    def __post_init__(self) -> None:
        shape = self.sequences.shape[1:]
        if not self.lesions.shape == self.tissue.shape == shape:
            found = f"{self.lesions.shape} and {self.tissue.shape}"
            msg = f"expected lesions and tissue on the grid {shape} of the sequences, found {found}"
            raise ValueError(f"{msg}; resample them to it")

    @cached_property
    def free(self) -> Bool[np.ndarray, "i j k"]:
        """Where a lesion of another patient may lie: in tissue, and apart from every lesion."""
        near = ndimage.binary_dilation(self.lesions, NEIGHBOURS_26, iterations=APART)
        return np.asarray(self.tissue & ~near)


@dataclass(frozen=True, eq=False)
class Appearance:
    """What lesions of a head look like: how much brighter than around them, and how even.

    ``contrasts`` has a row a lesion, so that the sequences of one stay together; ``spread`` is the
    standard deviation inside of a lesion.
    """

    contrasts: Float[np.ndarray, "lesion role"]
    spread: Float[np.ndarray, " role"]


def learned(head: Head) -> Appearance:
    """Look at each lesion of a head and at what is around it.

    Raises ValueError for a head without a lesion that is large enough to learn from.
    """
    labels, _ = ndimage.label(head.lesions, NEIGHBOURS_26)
    healthy = head.tissue & ~head.lesions
    contrasts, spreads = [], []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        grown = _grown(box, head.lesions.shape)
        mask = labels[grown] == number
        values = head.sequences[(slice(None), *grown)]
        ring = _ring(mask) & healthy[grown]
        if mask.sum() < LEAST_VOXELS or not ring.any():
            continue
        contrasts.append(values[:, mask].mean(axis=1) - np.median(values[:, ring], axis=1))
        spreads.append(values[:, mask].std(axis=1))
    if not contrasts:
        msg = f"expected a lesion of {LEAST_VOXELS} voxels or more, found none"
        raise ValueError(f"{msg}; learn from a head that has some")
    return Appearance(np.array(contrasts), np.median(spreads, axis=0))


def placed(
    mask: Bool[np.ndarray, "i j k"], head: Head, rng: np.random.Generator
) -> Bool[np.ndarray, "i j k"]:
    """Move another patient's mask a little, or to the other side, into healthy tissue of a head.

    Both are in one space, whose first axis runs from side to side. Voxels outside of the tissue or
    near a lesion of the head are left out, and so is what becomes too small.
    """
    moved = mask[::-1] if rng.random() < 0.5 else mask
    shift = rng.integers(-SHIFT, SHIFT + 1, 3)
    moved = np.roll(moved, tuple(shift.tolist()), axis=(0, 1, 2))
    labels, count = ndimage.label(moved & head.free, NEIGHBOURS_26)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray(sizes[labels] >= SMALLEST)


def blended(
    head: Head, mask: Bool[np.ndarray, "i j k"], look: Appearance, rng: np.random.Generator
) -> Head:
    """Return a head that also has the lesions of a mask, with soft edges and an uneven inside."""
    sequences = head.sequences.copy()
    healthy = head.tissue & ~head.lesions & ~mask
    labels, _ = ndimage.label(mask, NEIGHBOURS_26)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        grown = _grown(box, mask.shape)
        inside = labels[grown] == number
        part = (slice(None), *grown)
        around = head.sequences[part][:, _ring(inside) & healthy[grown]]
        if not around.size:
            around = head.sequences[part][:, inside]
        contrast = look.contrasts[rng.integers(len(look.contrasts))] * rng.uniform(*STRENGTH)
        target = np.median(around, axis=1) + contrast
        sequences[part] = _filled(sequences[part], inside, target, contrast, look, rng)
    return Head(sequences, head.lesions | mask, head.tissue)


def _filled(
    values: Float32[np.ndarray, "role i j k"],
    inside: Bool[np.ndarray, "i j k"],
    target: Float[np.ndarray, " role"],
    contrast: Float[np.ndarray, " role"],
    look: Appearance,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "role i j k"]:
    """Fill one lesion: mostly what it should be on average, and a little of what was there."""
    share = ndimage.gaussian_filter(inside.astype(np.float32), rng.uniform(*BLUR))
    share /= max(float(share.max()), float(np.finfo(np.float32).tiny))
    texture = ndimage.gaussian_filter(rng.normal(size=values.shape), (0, 0.7, 0.7, 0.7))
    texture *= (look.spread / max(float(texture.std()), 1e-6))[:, None, None, None]
    level = target[:, None, None, None] + texture
    raised = values + contrast[:, None, None, None] + texture
    filled = (1 - KEPT) * level + KEPT * raised
    mixed = np.clip(values + share * (filled - values), 0, None)
    return np.where(values == 0, values, mixed).astype(np.float32)


def crops(
    head: Head, size: Sequence[int], count: int, rng: np.random.Generator
) -> list[tuple[Float32[np.ndarray, "role _ _ _"], Bool[np.ndarray, "_ _ _"]]]:
    """Cut crops out of a head, some of them around a lesion, the others around any tissue."""
    lesions, tissue = np.argwhere(head.lesions), np.argwhere(head.tissue)
    cut = []
    for _ in range(count):
        is_of_lesion = len(lesions) and rng.random() < LESIONS_SHARE
        places = lesions if is_of_lesion else tissue
        cut.append(_crop(head, places[rng.integers(len(places))], size))
    return cut


def _crop(
    head: Head, centre: Int64[np.ndarray, " 3"], size: Sequence[int]
) -> tuple[Float32[np.ndarray, "role _ _ _"], Bool[np.ndarray, "_ _ _"]]:
    """Cut one crop, moved inwards where it would reach over the edge."""
    shape = head.lesions.shape
    starts = [
        min(max(int(c) - n // 2, 0), edge - n)
        for c, n, edge in zip(centre, size, shape, strict=True)
    ]
    part = tuple(slice(start, start + n) for start, n in zip(starts, size, strict=True))
    return head.sequences[(slice(None), *part)], head.lesions[part]


def _ring(mask: Bool[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    """Return what lies around a mask, a little apart from it."""
    away = ndimage.distance_transform_cdt(~mask, metric="chessboard")
    near, far = RING
    return np.asarray((away > near) & (away <= far))


def _grown(box: tuple[slice, ...], shape: Sequence[int]) -> tuple[slice, ...]:
    """Enlarge a box by what its ring needs."""
    margin = RING[1] + 1
    return tuple(
        slice(max(0, side.start - margin), min(n, side.stop + margin))
        for side, n in zip(box, shape, strict=True)
    )
