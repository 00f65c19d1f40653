"""Which voxels the width of a volume's interval comes from. Knows nothing of intervals or reports.

An interval is as wide as the members' volumes lie apart, and volumes are counts of voxels: they
differ where members disagree on which side of the surface a voxel lies.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from segment.segmentation import Segmentation


def width_share(segmentation: Segmentation, labels: Sequence[str]) -> Float32[np.ndarray, "i j k"]:
    """Return the share of the members' disagreement that lies at each voxel of the surface.

    ``labels`` are the segmentation's structures that make up one.
    The disagreement is the mutual information of member and of whether a voxel is of the structure;
    the surface is every voxel that has a face in common with one on its other side. Shares sum to
    one; where members agree everywhere all are 0.
    """
    numbers = [segmentation.structures.index(label) for label in labels]
    inside = segmentation.probability[:, numbers].sum(axis=1, dtype=np.float64)
    together = _entropy(inside.mean(axis=0))
    apart = np.clip(together - _entropy(inside).mean(axis=0), 0, None)
    apart *= surface_of_mask(segmentation.mask(*labels))
    total = float(apart.sum())
    return np.asarray(apart / total if total > 0 else apart, dtype=np.float32)


def surface_of_mask(mask: Bool[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    """Mark the voxels on both sides of a mask's surface."""
    return np.asarray(ndimage.binary_dilation(mask) & ~ndimage.binary_erosion(mask))


def _entropy(share: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """Return the entropy of yes or no, in bits."""
    sure = np.clip(share, 1e-12, 1 - 1e-12)
    return np.asarray(-(sure * np.log2(sure) + (1 - sure) * np.log2(1 - sure)))
