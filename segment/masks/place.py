"""Labels carried from their own grid to that of a scan. Knows nothing of what they mean."""

import numpy as np
from jaxtyping import Bool, Float64, UInt16

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.masks.table import LARGEST_LABEL

SMALLEST_TURN = 0.1  # degrees; grids that are turned by less are told apart by how far they lie
OFF_VOXELS = 0.02  # how far, in voxels, a label may lie off a voxel of the scan and still be on it


def placed(
    labels: UInt16[np.ndarray, "i j k"],
    source: Geometry,
    grid: Geometry,
    name: str,
    *,
    resample: bool,
    is_offered: bool = True,
) -> tuple[UInt16[np.ndarray, "i2 j2 k2"], bool]:
    """Lay labels onto a scan's grid; return also whether they lay between its voxels.

    Labels whose voxels are the scan's own, in whatever order and in whatever part of it, are moved
    and not resampled. Raises ScanError for others, unless each voxel may take the nearest label;
    ``is_offered`` says that the command has an option for that.
    """
    if source.matches(grid):
        return labels, False
    if _is_aligned(source, grid):
        return _nearest(labels, source, grid), False
    if not resample:
        msg = (
            f"{name}: expected the voxels of the scan, {_size(grid)}, found {_other(source, grid)};"
            " give the segmentation of this scan"
        )
        option = ", or add --resample to take the nearest label" if is_offered else ""
        raise ScanError(Refusal.WRONG_GRID, msg + option)
    return _nearest(labels, source, grid), True


def held_labels(labels: UInt16[np.ndarray, "..."]) -> frozenset[int]:
    """List the labels that occur, 0 apart, without sorting a hundred million voxels."""
    seen = np.zeros(LARGEST_LABEL + 1, bool)
    for part in np.moveaxis(labels, -1, 0):
        seen[part] = True
    return frozenset(np.flatnonzero(seen).tolist()) - {0}


def edge_labels(labels: UInt16[np.ndarray, "i j k"]) -> frozenset[int]:
    """List the labels on the outermost voxels of a field."""
    faces = (np.take(labels, (0, -1), axis=axis) for axis in range(3))
    return frozenset().union(*(held_labels(face) for face in faces))


def _is_aligned(source: Geometry, grid: Geometry) -> bool:
    """Whether each voxel of one grid is, as a whole, a voxel of the other one."""
    between = np.linalg.inv(grid.affine) @ source.affine
    turned = between[:3, :3]
    whole = np.rint(turned)
    is_turn = bool(
        (np.abs(whole).sum(axis=0) == 1).all() and (np.abs(whole).sum(axis=1) == 1).all()
    )
    if not is_turn:
        return False
    found = grid.to_indices(source.to_world(_corners(source.shape)))
    is_on = bool((np.abs(found - np.rint(found)) <= OFF_VOXELS).all())
    return is_on and bool((found > -0.5).all() and (found < np.array(grid.shape) - 0.5).all())


def _nearest(
    labels: UInt16[np.ndarray, "i j k"], source: Geometry, grid: Geometry
) -> UInt16[np.ndarray, "i2 j2 k2"]:
    """Take the label of the nearest voxel, slice by slice; 0 outside the labels' field."""
    result = np.zeros(grid.shape, np.uint16)
    flat = np.indices((*grid.shape[:2], 1)).reshape(3, -1).T.astype(np.float64)
    last = np.array(source.shape)
    for k in range(grid.shape[2]):
        flat[:, 2] = k
        found = source.to_indices(grid.to_world(flat))
        inside = _inside(found, last)
        i, j, k2 = np.clip(np.rint(found[inside]).astype(np.intp), 0, last - 1).T
        plane = np.zeros(len(flat), np.uint16)
        plane[inside] = labels[i, j, k2]
        result[:, :, k] = plane.reshape(grid.shape[:2])
    return result


def _inside(indices: Float64[np.ndarray, "n 3"], last: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Mark the places that lie in a field of so many voxels."""
    return np.asarray(((indices > -0.5) & (indices < last - 0.5)).all(axis=1))


def _other(source: Geometry, grid: Geometry) -> str:
    """Say in what one grid differs from another: in its voxels, else in how they lie."""
    if _size(source) != _size(grid):
        return f"others, {_size(source)}"
    ours, theirs = (one.affine[:3, :3] / one.spacing_mm for one in (source, grid))
    turned = float(np.degrees(np.arccos(np.clip((ours * theirs).sum(axis=0), -1, 1))).max())
    if turned > SMALLEST_TURN:
        return f"as many of this size whose axes are turned by up to {turned:.3g} degrees"
    ends = [one.to_world(_corners(one.shape)) for one in (source, grid)]
    return f"as many of this size, {np.linalg.norm(ends[0] - ends[1], axis=1).max():.3g} mm away"


def _corners(shape: tuple[int, int, int]) -> Float64[np.ndarray, "8 3"]:
    """Return the indices of the eight voxels at the corners of a grid."""
    ends = np.meshgrid(*[(0, n - 1) for n in shape])
    return np.array(ends, dtype=np.float64).reshape(3, 8).T


def _size(geometry: Geometry) -> str:
    """Describe a grid by its voxels and their size."""
    shape = "x".join(str(n) for n in geometry.shape)
    return f"{shape} of {'x'.join(f'{mm:.3g}' for mm in geometry.spacing_mm)} mm"
