"""SUVpeak: the highest mean of a sphere of one millilitre. Knows nothing of how a lesion is found.

Source: the Image Biomarker Standardisation Initiative's global intensity peak (0F91), Zwanenburg et
al. 2020; after Wahl et al. 2009, who ask for a sphere of about 1.2 cm in diameter.
"""

import math

import numpy as np
from jaxtyping import Bool, Float64
from scipy.signal import fftconvolve

from segment.geometry import Geometry
from segment.pet.grid import Uptake

RADIUS_MM = 10 * (3 / (4 * math.pi)) ** (1 / 3)  # of a sphere of one millilitre: 6.2 mm
Box = tuple[slice, slice, slice]


def suv_peak(uptake: Uptake, box: Box, mask: Bool[np.ndarray, "i j k"]) -> float:
    """Return the highest mean over the spheres that are centred on a voxel of a lesion, in g/mL.

    ``mask`` marks the lesion's voxels in its ``box``. A sphere holds the voxels whose centres lie
    at most 6.2 mm from its own, whether they belong to the lesion or not; those outside of the
    field count nowhere. Where voxels are larger than the sphere it is the voxel alone.
    """
    sphere = _sphere(uptake.geometry)
    around = widened(box, [n // 2 for n in sphere.shape], uptake.geometry)
    inside = uptake.inside[around].astype(np.float64)
    sums = fftconvolve(uptake.suv[around] * inside, sphere, mode="same")
    counts = np.rint(fftconvolve(inside, sphere, mode="same"))
    within = tuple(
        slice(b.start - a.start, b.stop - a.start) for b, a in zip(box, around, strict=True)
    )
    return float((sums[within][mask] / counts[within][mask]).max())


def widened(box: Box, voxels: list[int], geometry: Geometry) -> Box:
    """Widen a box by so many voxels along i, j and k, as far as the grid goes."""
    i, j, k = (
        slice(max(side.start - by, 0), min(side.stop + by, n))
        for side, by, n in zip(box, voxels, geometry.shape, strict=True)
    )
    return i, j, k


def _sphere(geometry: Geometry) -> Float64[np.ndarray, "i j k"]:
    """Mark the voxels of a sphere around a voxel; exact on sheared grids too."""
    steps_mm = np.linalg.inv(geometry.affine[:3, :3])
    reach = np.floor(np.linalg.norm(steps_mm, axis=1) * RADIUS_MM + 1e-9).astype(int)
    offsets = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), axis=-1)
    away_mm = np.linalg.norm(offsets @ geometry.affine[:3, :3].T, axis=-1)
    return np.asarray(away_mm <= RADIUS_MM + 1e-9, np.float64)
