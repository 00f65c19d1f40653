"""Writes an array on the grid of a scan as NIfTI, and hashes it. Knows nothing of its meaning."""

import hashlib
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Shaped, UInt8

from segment.geometry import Geometry

STEPS = 250  # of a map of shares, from 0 to 1


def write_map(
    path: Path,
    array: Shaped[np.ndarray, "i j k *rest"],
    geometry: Geometry,
    slope: float = 1.0,
    intercept: float = 0.0,
) -> None:
    """Write numbers that read as ``slope * number + intercept``; lengths are in millimetres."""
    image = nibabel.Nifti1Image(array, np.asarray(geometry.affine))
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(slope, intercept)
    image.to_filename(path)


def map_sha256(array: UInt8[np.ndarray, "i j k"]) -> str:
    """Hash the numbers of a map, whatever file holds them; k runs slowest."""
    return hashlib.sha256(array.tobytes(order="F")).hexdigest()
