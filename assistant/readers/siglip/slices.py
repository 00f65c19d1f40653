"""Grey pictures of a volume in the three planes of the world, as a radiologist holds them up.

Knows nothing of what the pictures show, of networks or of training.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64
from scipy.ndimage import affine_transform

from assistant.gate import AIR_HU, LEAST_AIR_SHARE
from segment.geometry import Geometry
from segment.volume import Volume

Plane = Literal["axial", "coronal", "sagittal"]

SIDE_PX = 192
# World directions to the right and down the picture, radiological: seen from the feet and from the
# front, so the patient's right is on the left; sagittal pictures show the front on the left.
DIRECTIONS: dict[Plane, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "axial": ((-1, 0, 0), (0, -1, 0)),
    "coronal": ((-1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, -1, 0), (0, 0, -1)),
}
NORMAL: dict[Plane, int] = {"axial": 2, "coronal": 1, "sagittal": 0}
# Where along a plane's normal the key slices lie: shares of the tissue below them.
KEY_SHARES = (0.3, 0.5, 0.7)
SCALE_PERCENTILES = (0.5, 99.5)
TISSUE_SHARE = 0.15  # of the scale, above which a voxel counts as tissue when slices are placed
MOST_COUNTED = 64  # voxels along an axis that are looked at for that
THINNEST_SHARE = 0.25  # of the longer edge of the field: thinner planes are strips, and left out
MOST_OVERSAMPLING = 4
VACUUM_HU = -1024.0  # CT has no lower values; scanners pad the corners of the field with some


@dataclass(frozen=True, eq=False)
class Picture:
    """One slice, scaled to 0..1 and padded to a square.

    ``native_px`` says how many pixels, down and to the right, one voxel of the scan covers: what
    the picture can resolve.
    """

    pixels: Float32[np.ndarray, "h w"]
    plane: Plane
    position_mm: float
    pixel_mm: float
    native_px: tuple[float, float]


def key_slices(volume: Volume, shares: Sequence[float] = KEY_SHARES) -> tuple[Picture, ...]:
    """Cut the key slices of every plane whose field is no mere strip; at least one plane is cut."""
    return tuple(
        cut(volume, plane, position)
        for plane in usable_planes(volume)
        for position in positions_mm(volume, plane, shares)
    )


def stacked(pictures: Sequence[Picture]) -> Float32[np.ndarray, "n h w"]:
    """Put pictures into one array, as a network takes them."""
    return np.stack([picture.pixels for picture in pictures])


def usable_planes(volume: Volume) -> tuple[Plane, ...]:
    """Name the planes whose field is at least a quarter as high as wide, or the fullest one."""
    share = {plane: min(size) / max(size) for plane, size in _fields_mm(volume.geometry).items()}
    usable = tuple(plane for plane, value in share.items() if value >= THINNEST_SHARE)
    return usable or (max(share, key=lambda plane: share[plane]),)


def positions_mm(volume: Volume, plane: Plane, shares: Sequence[float]) -> tuple[float, ...]:
    """Place slices along a plane's normal by the share of the tissue that lies below them."""
    steps = [max(1, n // MOST_COUNTED) for n in volume.geometry.shape]
    coarse = volume.array[:: steps[0], :: steps[1], :: steps[2]]
    lower, upper = np.percentile(coarse, SCALE_PERCENTILES)
    tissue = np.argwhere(coarse > lower + TISSUE_SHARE * (upper - lower))
    if not len(tissue):
        tissue = np.argwhere(np.ones(coarse.shape, dtype=bool))
    world = volume.geometry.to_world((tissue * steps).astype(np.float64))[:, NORMAL[plane]]
    return tuple(float(position) for position in np.quantile(world, shares))


def cut(volume: Volume, plane: Plane, position_mm: float) -> Picture:
    """Cut one slice across the whole field, linearly between voxels, averaging finer ones."""
    geometry = volume.geometry
    corners = _corners_mm(geometry)
    centre = (corners.min(axis=0) + corners.max(axis=0)) / 2
    centre[NORMAL[plane]] = position_mm
    pixel_mm = max(_fields_mm(geometry)[plane]) / SIDE_PX
    finest = min(geometry.spacing_mm)
    times = int(np.clip(round(pixel_mm / finest), 1, MOST_OVERSAMPLING))
    right, down = (np.array(direction, dtype=np.float64) for direction in DIRECTIONS[plane])
    to_world = np.eye(4)
    to_world[:3, 0], to_world[:3, 1] = down * pixel_mm / times, right * pixel_mm / times
    to_world[:3, 2] = np.cross(down, right)
    middle = np.array([(SIDE_PX * times - 1) / 2] * 2 + [0.0])
    to_world[:3, 3] = centre - to_world[:3, :3] @ middle
    fine = _sampled(volume, to_world, SIDE_PX * times)
    groups = fine.reshape(SIDE_PX, times, SIDE_PX, times)
    pixels = np.asarray(groups.mean(axis=(1, 3)), dtype=np.float32)
    native = tuple(_length_mm(geometry, direction) / pixel_mm for direction in (down, right))
    grey = scaled(_without_padding(pixels))
    return Picture(grey, plane, position_mm, pixel_mm, (native[0], native[1]))


def scaled(pixels: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Scale grey values to 0..1 between two percentiles; not a number, outside the field, is 0.

    Scaling a scaled picture changes nothing: whatever was done to it in between, a network always
    sees one scale.
    """
    inside = np.isfinite(pixels)
    if not inside.any():
        return np.zeros(pixels.shape, dtype=np.float32)
    filled = np.where(inside, pixels, pixels[inside].min())
    lower, upper = np.percentile(filled, SCALE_PERCENTILES, method="nearest")
    span = max(float(upper - lower), float(np.finfo(np.float32).tiny))
    return np.asarray(np.clip((filled - lower) / span, 0, 1), dtype=np.float32)


def _without_padding(pixels: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Raise what is darker than a vacuum to it, where the values are those of CT."""
    if np.mean(pixels <= AIR_HU) < LEAST_AIR_SHARE:
        return pixels
    return np.asarray(np.maximum(pixels, VACUUM_HU), dtype=np.float32)


def _sampled(
    volume: Volume, to_world: Float64[np.ndarray, "4 4"], side: int
) -> Float32[np.ndarray, "h w"]:
    """Read a square of ``side`` samples; outside the volume they are not numbers."""
    to_indices = np.linalg.inv(volume.geometry.affine) @ to_world
    values = affine_transform(
        volume.array,
        to_indices[:3, :3],
        to_indices[:3, 3],
        output_shape=(side, side, 1),
        order=1,
        mode="constant",
        cval=np.nan,
    )
    return np.asarray(values[..., 0], dtype=np.float32)


def _fields_mm(geometry: Geometry) -> dict[Plane, tuple[float, float]]:
    """Say how high and wide the field is in every plane."""
    corners = _corners_mm(geometry)
    size = corners.max(axis=0) - corners.min(axis=0)
    return {plane: _across(size, plane) for plane in DIRECTIONS}


def _across(size: Float64[np.ndarray, " 3"], plane: Plane) -> tuple[float, float]:
    first, second = (float(v) for axis, v in enumerate(size) if axis != NORMAL[plane])
    return second, first


def _corners_mm(geometry: Geometry) -> Float64[np.ndarray, "8 3"]:
    """Place the outer corners of the grid in the world."""
    return geometry.to_world(np.array(list(_corner_indices(geometry.shape))))


def _corner_indices(shape: tuple[int, int, int]) -> Iterator[tuple[float, float, float]]:
    for corner in np.ndindex(2, 2, 2):
        i, j, k = (n - 0.5 if end else -0.5 for n, end in zip(shape, corner, strict=True))
        yield i, j, k


def _length_mm(geometry: Geometry, direction: Float64[np.ndarray, " 3"]) -> float:
    """Return the length of a voxel along a world direction, that of the axis nearest to it."""
    axes = geometry.affine[:3, :3] / np.array(geometry.spacing_mm)
    nearest = int(np.argmax(np.abs(direction @ axes)))
    return geometry.spacing_mm[nearest]
