"""Slices that hold no picture between slices that do. Knows nothing of organs.

A padded edge is nothing odd: a scan may end before its field does.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Float64

from segment.geometry import Geometry
from segment.resample import block_around
from segment.volume import Volume

# Of the median slice's spread of intensities. `python -m tests.benchmarks.blank` prints the least
# of real pictures.
LEAST_SPREAD = 0.1


def has_blank_slices(volume: Volume, grid: Geometry) -> bool:
    """Whether slices of the scan are blank where it is looked at, and others on both sides not."""
    start, block = block_around(grid, volume.geometry)
    seen = volume.array[tuple(slice(s, s + n) for s, n in zip(start, block.shape, strict=True))]
    return bool(least_spread(seen) < LEAST_SPREAD)


def least_spread(array: Float32[np.ndarray, "i j k"]) -> float:
    """Return the smallest spread of a slice along any axis, in that of the median slice.

    Slices at either edge that lie below ``LEAST_SPREAD`` are left out. 1 where nothing is pictured.
    """
    return min(_within(spreads) for spreads in _spreads(array))


def _spreads(array: Float32[np.ndarray, "i j k"]) -> Iterator[Float64[np.ndarray, " slice"]]:
    """Yield the standard deviation of each slice along each axis, in that of the median one."""
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        spreads = array.std(axis=others, dtype=np.float64)
        if spreads.any():
            yield spreads / np.median(spreads[spreads > 0])
        else:
            yield np.ones(1)


def _within(spreads: Float64[np.ndarray, " slice"]) -> float:
    """Return the smallest spread between the first and the last slice that hold a picture."""
    pictured = np.flatnonzero(spreads >= LEAST_SPREAD)
    return float(spreads[pictured[0] : pictured[-1] + 1].min())
