"""How much likelier a picture is among a user's scans than among the calibration cases.

Knows nothing of volumes, or of how the ratio is fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

LARGEST = 20.0  # a weight, and its reciprocal the least


@dataclass(frozen=True)
class Ratio:
    """The logarithm of the ratio is linear in the features."""

    slopes: tuple[float, ...]
    offset: float

    def __call__(
        self, features: Float32[np.ndarray, "*case feature"]
    ) -> Float64[np.ndarray, "*case"]:
        """Return the ratio of each picture, within what ``LARGEST`` allows."""
        logarithm = np.asarray(features, float) @ np.array(self.slopes) + self.offset
        most = np.log(LARGEST)
        return np.asarray(np.exp(np.clip(logarithm, -most, most)))


def worth(weights: Sequence[float]) -> float:
    """Return how many cases of one weight weighted ones are worth (Kish 1965)."""
    array = np.asarray(weights, dtype=float)
    squares = float((array**2).sum())
    return float(array.sum()) ** 2 / squares if squares > 0 else 0.0
