"""How much of a mask lies apart from its largest connected component. Knows nothing of organs."""

import numpy as np
from jaxtyping import Bool, Integer
from scipy import ndimage

from segment.objects import NEIGHBOURS_26

# Share of the voxels outside of the largest component. `python -m tests.benchmarks.fragments`
# prints what calibration cases have.
MOST_APART = 0.02


def share_apart(mask: Bool[np.ndarray, "i j k"]) -> float:
    """Return the share of voxels outside of the largest component (26 neighbours); 0 of none."""
    components: Integer[np.ndarray, "i j k"]
    components, count = ndimage.label(mask, NEIGHBOURS_26)
    if count <= 1:
        return 0.0
    sizes = np.bincount(components.ravel())[1:]
    return 1 - float(sizes.max() / sizes.sum())
