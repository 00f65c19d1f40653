"""Slices of a tilted gantry or at uneven distances carried onto an upright, even grid.

Each slice is moved within its plane to where it was taken, then the two slices around each of the
grid's are mixed, both linearly. Knows nothing of files.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Float64

from segment.reading.slices import Layout

WHOLE = 1e-6  # of a pixel or of a distance: nothing to be mixed


def restack(
    layout: Layout, pictures: Iterator[Float32[np.ndarray, "rows columns"]], nothing: float
) -> Iterator[Float32[np.ndarray, "rows2 columns2"]]:
    """Yield the grid's slices from the series', in order; outside its field lies ``nothing``."""
    columns, rows, _ = layout.geometry.shape
    moved = (
        _moved(picture, offset - np.array(layout.margin), (rows, columns), nothing)
        for picture, offset in zip(pictures, layout.offsets, strict=True)
    )
    below, above, k = next(moved), next(moved), 0
    for at_mm in layout.grid_mm:
        while at_mm > layout.distances_mm[k + 1] and k + 2 < len(layout.distances_mm):
            below, above, k = above, next(moved), k + 1
        step_mm = layout.distances_mm[k + 1] - layout.distances_mm[k]
        yield _mixed(below, above, float((at_mm - layout.distances_mm[k]) / step_mm))


def _moved(
    picture: Float32[np.ndarray, "rows columns"],
    offset: Float64[np.ndarray, " 2"],
    shape: tuple[int, int],
    nothing: float,
) -> Float32[np.ndarray, "rows2 columns2"]:
    """Place a picture in a wider one, ``offset`` pixels to the right and down."""
    whole = np.floor(offset + WHOLE).astype(int)
    share = np.clip(offset - whole, 0.0, 1.0)
    wide = np.full(shape, nothing, dtype=np.float32)
    right, down = (int(n) for n in whole)
    wide[down : down + picture.shape[0], right : right + picture.shape[1]] = picture
    for axis, part in ((1, share[0]), (0, share[1])):
        wide = _mixed(wide, _pushed(wide, axis, nothing), float(part))
    return wide


def _pushed(
    picture: Float32[np.ndarray, "rows columns"], axis: int, nothing: float
) -> Float32[np.ndarray, "rows columns"]:
    """Push a picture by one pixel along an axis."""
    pushed = np.roll(picture, 1, axis=axis)
    pushed[(slice(None),) * axis + (0,)] = nothing
    return pushed


def _mixed(
    one: Float32[np.ndarray, "rows columns"],
    other: Float32[np.ndarray, "rows columns"],
    share: float,
) -> Float32[np.ndarray, "rows columns"]:
    """Mix two pictures, ``share`` of the other; either is returned whole where it is all."""
    if share < WHOLE:
        return one
    if share > 1 - WHOLE:
        return other
    return one * np.float32(1 - share) + other * np.float32(share)
