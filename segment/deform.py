"""A smooth deformation that makes a structure larger by a known ratio. Knows nothing of networks.

Within an ellipsoid around the structure all is scaled evenly about its middle; towards a rim the
scaling fades away. The true ratio of any part is the mean of the Jacobian over its voxels.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

CORE_MM = (14.0, 27.0, 14.0)  # semi-axes of what is scaled evenly: a hippocampus and some more
RIM = 1.5  # where the scaling has faded away, in these semi-axes
STEP_MM = 0.05  # of the differences that the Jacobian is computed by
INVERSIONS = 20  # steps of the fixed point that inverts the map; each gains a digit
STRONGEST = 0.2


@dataclass(frozen=True, eq=False)
class Deformation:
    """Points within the core move away from the middle by ``strength`` of their distance."""

    middle_mm: Float64[np.ndarray, " 3"]
    strength: float

    @classmethod
    def growing(cls, points: Float64[np.ndarray, "n 3"], ratio: float) -> "Deformation":
        """Find the deformation that makes a body, given by points inside it, so much larger."""
        made = cls(points.mean(axis=0), 0.0)
        low, high = -STRONGEST, STRONGEST
        for _ in range(40):
            made = replace(made, strength=(low + high) / 2)
            is_small = made.growth(points) < ratio
            low, high = (made.strength, high) if is_small else (low, made.strength)
        return made

    def forward(self, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        """Take points to where they lie after the deformation."""
        radius = np.linalg.norm((points - self.middle_mm) / CORE_MM, axis=1)
        fade = np.clip((radius - 1) / (RIM - 1), 0, 1)
        weight = 0.5 * (1 + np.cos(np.pi * fade))
        return np.asarray(points + self.strength * weight[:, None] * (points - self.middle_mm))

    def back(self, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        """Take points to where they lay before."""
        found = points
        for _ in range(INVERSIONS):
            found = found + points - self.forward(found)
        return found

    def growth(self, points: Float64[np.ndarray, "n 3"]) -> float:
        """Return how many times larger a body becomes: the mean Jacobian over points inside it."""
        columns = [
            (self.forward(points + step) - self.forward(points - step)) / (2 * STEP_MM)
            for step in np.eye(3) * STEP_MM
        ]
        return float(np.linalg.det(np.stack(columns, axis=-1)).mean())
