"""Where the networks of an ensemble disagree, voxel by voxel. Knows nothing of a report."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from assistant.maps import STEPS, write_map
from segment.geometry import Geometry
from segment.infer import Found
from segment.segmentation import Segmentation


def entropy(segmentation: Segmentation) -> Float32[np.ndarray, "i j k"]:
    """Return the members' disagreement at each voxel, from 0 to 1.

    Shannon's entropy of the mean probability, as a share of the most that the structures allow.
    """
    mean = segmentation.mean.astype(np.float64)
    terms = np.where(mean > 0, mean * np.log(np.maximum(mean, 1e-12)), 0.0)
    return np.asarray(-terms.sum(axis=0) / np.log(len(mean)), dtype=np.float32)


def entropy_steps(geometry: Geometry, found: Sequence[Found]) -> UInt8[np.ndarray, "i j k"]:
    """Lay the disagreement of each side onto the grid of the scan, in ``STEPS``."""
    whole = np.zeros(geometry.shape, dtype=np.uint8)
    for side in found:
        values = np.round(entropy(side.segmentation) * STEPS).astype(np.uint8)
        block = tuple(
            slice(start, start + length)
            for start, length in zip(side.start, values.shape, strict=True)
        )
        whole[block] = np.maximum(whole[block], values)
    return whole


def write_entropy(path: Path, geometry: Geometry, found: Sequence[Found]) -> None:
    """Write the disagreement on the scan's own grid as NIfTI: it reads as 0 to 1."""
    write_map(path, entropy_steps(geometry, found), geometry, 1 / STEPS)
