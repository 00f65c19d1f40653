"""Which voxels belong to which structure, by each member. Knows nothing of volumes in mL."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64

from segment.geometry import Geometry

Side = Literal["left", "right", "none"]
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Probability per ensemble member, structure and voxel; structure 0 is background.

    Several structures may make up a whole (``hippocampus`` = anterior + posterior); the whole is
    formed where it is measured.
    """

    probability: Float32[np.ndarray, "member structure i j k"]
    structures: tuple[str, ...]
    side: Side
    geometry: Geometry
    model: str

    def __post_init__(self) -> None:
        expected = (len(self.structures), *self.geometry.shape)
        if self.probability.shape[1:] != expected:
            msg = f"probability has shape {self.probability.shape[1:]} a member, not {expected}"
            raise ValueError(msg)
        total = self.probability.sum(axis=1)
        if not np.allclose(total, 1.0, rtol=0, atol=SUM_TOLERANCE):
            msg = (
                f"probabilities sum to {total.min():.3f}..{total.max():.3f} over structures, not 1"
            )
            raise ValueError(msg)
        probability = self.probability.view()
        probability.flags.writeable = False
        object.__setattr__(self, "probability", probability)

    @property
    def mean(self) -> Float32[np.ndarray, "structure i j k"]:
        """Probability averaged over the members."""
        return np.asarray(self.probability.mean(axis=0, dtype=np.float32))

    @cached_property
    def labels(self) -> Int64[np.ndarray, "i j k"]:
        """The most probable structure of each voxel, as its index into ``structures``."""
        found = self.mean.argmax(axis=0)
        found.flags.writeable = False
        return np.asarray(found)

    @property
    def member_labels(self) -> Int64[np.ndarray, "member i j k"]:
        """The most probable structure of each voxel for each member alone."""
        return np.asarray(self.probability.argmax(axis=1))

    def mask(self, *structures: str) -> Bool[np.ndarray, "i j k"]:
        """Mark the voxels of any of the named structures."""
        wanted = [self.structures.index(name) for name in structures]
        return np.isin(self.labels, wanted)


def sha256_of(mask: Bool[np.ndarray, "i j k"]) -> str:
    """Hash the voxels that a measurement counted."""
    return hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
