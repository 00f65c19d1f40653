"""Intensities and probabilities carried from one grid to another. Knows nothing of organs."""

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from segment.geometry import Geometry
from segment.volume import Volume

# A cubic spline looks two voxels around, its prefilter a little farther: what it sees of the cut
# falls to a quarter with each voxel.
MARGIN_VOXELS = 8


def sample(
    volume: Volume, grid: Geometry
) -> tuple[Float32[np.ndarray, "i j k"], Bool[np.ndarray, "i j k"]]:
    """Read a volume's intensities at the voxels of another grid, by cubic splines.

    Also returns which of them lie inside the volume's field; the others are 0. Voxels of the
    volume that are less than half as long as the grid's are averaged first. A grid whose voxels
    are the volume's own is read without any interpolation.
    """
    points = _points(grid, volume.geometry)
    edge = np.array(volume.geometry.shape) - 0.5
    inside = np.all((points > -0.5) & (points < edge), axis=1).reshape(grid.shape)
    if not inside.any():
        return np.zeros(grid.shape, np.float32), inside
    factors = _factors(volume.geometry, grid)
    start, block = _block(volume, points, factors)
    local = points - start
    nearest = np.rint(local)
    if np.allclose(local, nearest, rtol=0, atol=1e-4):
        clipped = np.clip(nearest.astype(int), 0, np.array(block.shape) - 1)
        values = block[tuple(clipped.T)]
    else:
        shrunk = _averaged(block, factors)
        values = ndimage.map_coordinates(
            shrunk, ((local + 0.5) / factors - 0.5).T, order=3, mode="nearest"
        )
    return np.where(inside, values.reshape(grid.shape), 0).astype(np.float32), inside


def carry(
    probability: Float32[np.ndarray, "channel i j k"], source: Geometry, grid: Geometry
) -> Float32[np.ndarray, "channel i2 j2 k2"]:
    """Read probabilities at the voxels of another grid, linearly; outside they are 0."""
    points = _points(grid, source).T
    read = [
        ndimage.map_coordinates(channel, points, order=1, mode="constant")
        for channel in probability
    ]
    return np.stack(read).reshape(len(probability), *grid.shape).astype(np.float32)


def block_around(inner: Geometry, outer: Geometry) -> tuple[tuple[int, int, int], Geometry]:
    """Find the block of ``outer``'s voxels that holds all of ``inner``; return start and grid."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in inner.shape])).reshape(3, 8).T
    indices = outer.to_indices(inner.to_world(corners))
    start = np.clip(np.floor(indices.min(axis=0)).astype(int), 0, np.array(outer.shape) - 1)
    stop = np.clip(np.ceil(indices.max(axis=0)).astype(int) + 1, start + 1, outer.shape)
    i, j, k = (int(n) for n in start)
    di, dj, dk = (int(n) for n in stop - start)
    return (i, j, k), outer.block((i, j, k), (di, dj, dk))


def _points(grid: Geometry, source: Geometry) -> Float64[np.ndarray, "n 3"]:
    """Say where each voxel of a grid lies among another's voxels."""
    indices = np.indices(grid.shape).reshape(3, -1).T.astype(np.float64)
    return source.to_indices(grid.to_world(indices))


def _block(
    volume: Volume, points: Float64[np.ndarray, "n 3"], factors: tuple[int, int, int]
) -> tuple[Float64[np.ndarray, " 3"], Float32[np.ndarray, "i j k"]]:
    """Cut out the part of a volume that the points touch, and a margin of averaged voxels.

    It begins at a whole group of averaged voxels, so that no cut changes which are averaged.
    """
    last, margin = np.array(volume.geometry.shape) - 1, MARGIN_VOXELS * np.array(factors)
    start = np.clip(np.floor(points.min(axis=0)).astype(int) - margin, 0, last)
    start -= start % factors
    stop = np.clip(np.ceil(points.max(axis=0)).astype(int) + margin, start, last) + 1
    cut = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return start.astype(np.float64), volume.array[cut]


def _factors(source: Geometry, grid: Geometry) -> tuple[int, int, int]:
    """Say how many of the source's voxels, along each axis, one voxel of the grid covers."""
    edge_mm = min(grid.spacing_mm)
    i, j, k = (max(1, int(edge_mm / spacing + 1e-6)) for spacing in source.spacing_mm)
    return i, j, k


def _averaged(
    block: Float32[np.ndarray, "i j k"], factors: tuple[int, int, int]
) -> Float32[np.ndarray, "i2 j2 k2"]:
    """Average whole groups of voxels; voxels left over at the far edges repeat."""
    if factors == (1, 1, 1):
        return block
    padding = [(0, -n % f) for n, f in zip(block.shape, factors, strict=True)]
    padded = np.pad(block, padding, mode="edge")
    i, j, k = (n // f for n, f in zip(padded.shape, factors, strict=True))
    fi, fj, fk = factors
    groups = padded.reshape(i, fi, j, fj, k, fk)
    return np.asarray(groups.mean(axis=(1, 3, 5), dtype=np.float32))
