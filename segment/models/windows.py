"""Intensities on one scale, and the windows the networks see. Knows nothing of networks.

The networks are given windows of the size they were trained on, around the structure itself: what
lies further away than in a training crop they have never seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64
from scipy import ndimage

from segment.models import Box

LOWER_PERCENTILE, UPPER_PERCENTILE = 1.0, 99.0
CLIP = (-0.5, 1.5)
WINDOW = (32, 48, 32)  # voxels of 1 mm, the training patch
SCALED_OVER = (36, 50, 36)  # the median training crop, over which percentiles are taken
SLACK = 6  # voxels at the edge of a box in which nothing is looked for at first
MARGIN = 2  # voxels that a window leaves around the structure
# Where each member in turn looks from. Averaging over places made one member better; a place for
# each member costs nothing.
SHIFTS = ((0, 0, 0), (3, 3, 3), (-3, -3, -3), (3, -3, 3), (-3, 3, -3))

Start = tuple[int, int, int]


def scaled(box: Box, centre: Sequence[float]) -> Float32[np.ndarray, "i j k"]:
    """Scale a box so that its 1st percentile is 0 and its 99th is 1, clipped to -0.5..1.5.

    MRI has no unit of intensity: the maxima of the training crops span four orders of magnitude.
    The percentiles are those of the field inside a box of the usual size around ``centre``.
    """
    cut = tuple(
        slice(max(0, round(c - n / 2)), max(0, round(c - n / 2)) + n)
        for c, n in zip(centre, SCALED_OVER, strict=True)
    )
    values = box.array[cut][box.inside[cut]]
    if values.size == 0:
        return np.zeros(box.array.shape, np.float32)
    lower, upper = np.percentile(values, [LOWER_PERCENTILE, UPPER_PERCENTILE])
    result = (box.array - lower) / max(float(upper - lower), float(np.finfo(np.float32).tiny))
    return np.where(box.inside, np.clip(result, *CLIP), 0).astype(np.float32)


def middle(shape: Sequence[int]) -> tuple[float, ...]:
    """Return the middle of a box in voxels from its corner."""
    return tuple(n / 2 for n in shape)


def tiles(shape: Sequence[int]) -> list[Start]:
    """Place windows so that they cover a box but for ``SLACK`` voxels at either side."""
    axes = []
    for n, w in zip(shape, WINDOW, strict=True):
        if n - w <= 2 * SLACK:
            axes.append([(n - w) // 2])
        else:
            axes.append([round(s) for s in np.linspace(0, n - w, -(-n // w))])
    return [(i, j, k) for i in axes[0] for j in axes[1] for k in axes[2]]


@dataclass(frozen=True)
class Placed:
    """Windows around a mask; ``room`` is how far, in voxels, they may move and still hold it."""

    centre: tuple[float, ...]
    starts: tuple[Start, ...]
    room: Start

    def shifted(self, shift: Start) -> list[Start]:
        """Move the windows as far as there is room."""
        i, j, k = (min(max(s, -r), r) for s, r in zip(shift, self.room, strict=True))
        return [(a + i, b + j, c + k) for a, b, c in self.starts]


def around(mask: Bool[np.ndarray, "i j k"]) -> Placed:
    """Place windows around a mask: one, or more along an axis on which it does not fit one.

    An empty mask gets one in the box's middle.
    """
    occupied = np.argwhere(mask) if mask.any() else np.array([middle(mask.shape)]).astype(int)
    low, high = occupied.min(axis=0), occupied.max(axis=0) + 1
    axes, room = [], []
    for a, b, w in zip(low.tolist(), high.tolist(), WINDOW, strict=True):
        count = -(-(b - a + 2 * MARGIN) // w)
        ends = np.linspace(a - MARGIN, b + MARGIN - w, count)
        axes.append([round((a + b - w) / 2)] if count == 1 else [round(s) for s in ends])
        room.append((w - (b - a)) // 2 if count == 1 else MARGIN)
    starts = tuple((i, j, k) for i in axes[0] for j in axes[1] for k in axes[2])
    centre = tuple(((low + high) / 2).tolist())
    return Placed(centre, starts, (room[0], room[1], room[2]))


def cut(array: Float32[np.ndarray, "i j k"], start: Start) -> Float32[np.ndarray, "i2 j2 k2"]:
    """Cut one window out of a box, with zeros where it reaches over the edge."""
    window = np.zeros(WINDOW, np.float32)
    source, target = _overlap(array.shape, start)
    window[target] = array[source]
    return window


def assemble(
    shape: Sequence[int],
    starts: Sequence[Start],
    windows: Sequence[Float32[np.ndarray, "structure i j k"]],
) -> Float32[np.ndarray, "structure i2 j2 k2"]:
    """Average windows of probabilities into a box; what no window covers is background."""
    total = np.zeros((len(windows[0]), *shape), np.float32)
    count = np.zeros(tuple(shape), np.float32)
    for start, window in zip(starts, windows, strict=True):
        source, target = _overlap(shape, start)
        total[(slice(None), *source)] += window[(slice(None), *target)]
        count[source] += 1
    total[0, count == 0] = 1
    return np.asarray(total / np.maximum(count, 1))


def largest(mask: Bool[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    """Keep the largest connected part of a mask (26 neighbours)."""
    parts: Int64[np.ndarray, "i j k"]
    parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
    if count <= 1:
        return mask
    return np.asarray(parts == 1 + np.bincount(parts.ravel())[1:].argmax())


def _overlap(shape: Sequence[int], start: Start) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Say which voxels of a box and of a window coincide."""
    low = [max(0, s) for s in start]
    high = [min(n, s + w) for n, s, w in zip(shape, start, WINDOW, strict=True)]
    source = tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
    target = tuple(slice(a - s, max(a, b) - s) for a, b, s in zip(low, high, start, strict=True))
    return source, target
