"""Voxel values that a scan can have at all. Knows nothing of what they show."""

import numpy as np
from jaxtyping import Float32

from segment.errors import Refusal, ScanError


def check_intensities(array: Float32[np.ndarray, "i j k"], name: str) -> None:
    """Refuse values that are not finite, and an image that is the same everywhere."""
    lowest, highest = float(array.min()), float(array.max())  # NaN and Inf show in one of them
    if not np.isfinite([lowest, highest]).all():
        count = array.size - int(np.isfinite(array).sum())
        msg = (
            f"{name}: expected finite voxel values, found {count} that are NaN or infinite;"
            " export the scan again without them"
        )
        raise ScanError(Refusal.NOT_FINITE, msg)
    if lowest == highest:
        msg = f"{name}: expected an image, found the value {lowest:g} in every voxel; export again"
        raise ScanError(Refusal.CONSTANT, msg)
