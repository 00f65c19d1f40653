"""The 1 mm grids that networks see, laid over a field. Knows nothing of what lies in it."""

import numpy as np
from nibabel.orientations import io_orientation, ornt_transform

from segment.geometry import Geometry

NATIVE_MM, NATIVE_TOLERANCE_MM = 1.0, 0.01


def mirrored(grid: Geometry) -> Geometry:
    """Count a grid's first axis backwards, so that a right structure looks like a left one."""
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (grid.shape[0] - 1)
    affine[:3, 0] *= -1
    return Geometry(grid.shape, affine)


def canonical(geometry: Geometry) -> Geometry:
    """Lay a 1 mm grid over a field along its own axes, ordered right, front, head.

    A field of 1 mm voxels keeps its voxels; others get a new grid of the same extent.
    """
    wanted = ornt_transform(np.array([[0, 1], [1, 1], [2, 1]]), io_orientation(geometry.affine))
    affine, shape = geometry.affine.copy(), np.array(geometry.shape)
    order, flips = wanted[:, 0].astype(int), wanted[:, 1]
    shape, columns = shape[order], affine[:3, order]
    origin = affine[:3, 3].copy()
    for axis, flip in enumerate(flips):
        if flip < 0:
            origin += columns[:, axis] * (shape[axis] - 1)
            columns[:, axis] *= -1
    spacing = np.linalg.norm(columns, axis=0)
    if np.abs(spacing - NATIVE_MM).max() > NATIVE_TOLERANCE_MM:
        corner = origin - columns.sum(axis=1) / 2
        shape = np.maximum(1, np.round(shape * spacing / NATIVE_MM)).astype(int)
        columns = columns / spacing * NATIVE_MM
        origin = corner + columns.sum(axis=1) / 2
    affine[:3, :3], affine[:3, 3] = columns, origin
    i, j, k = (int(n) for n in shape)
    return Geometry((i, j, k), affine)
