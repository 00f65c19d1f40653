"""How sure an ensemble is of each voxel, and how far its networks disagree. Knows no report.

Both maps are shares of the most entropy that the structures allow, so that one can be held against
the other: what networks disagree about is a part of what they are not sure of.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from assistant.folder import ENTROPY, MUTUAL
from assistant.maps import STEPS, write_map
from segment.geometry import Geometry
from segment.infer import Found
from segment.segmentation import Segmentation

UncertaintyMap = Callable[[Segmentation], Float32[np.ndarray, "i j k"]]


def entropy(segmentation: Segmentation) -> Float32[np.ndarray, "i j k"]:
    """Return how unsure the members are of each voxel together, from 0 to 1.

    Shannon's entropy of the mean probability, as a share of the most that the structures allow.
    """
    return np.asarray(_share(segmentation.mean.astype(np.float64)), dtype=np.float32)


def mutual_information(segmentation: Segmentation) -> Float32[np.ndarray, "i j k"]:
    """Return the members' disagreement at each voxel, from 0 to 1; one member has none.

    Their entropy together less the mean entropy of each alone: the mutual information of label and
    member (Houlsby et al. 2011, "Bayesian active learning for classification"). Where all are
    unsure in the same way, as on the border of a structure, it is 0.
    """
    together = _share(segmentation.probability.mean(axis=0, dtype=np.float64))
    alone = [_share(member.astype(np.float64)) for member in segmentation.probability]
    return np.asarray(np.clip(together - np.mean(alone, axis=0), 0, 1), dtype=np.float32)


MAPS: dict[str, UncertaintyMap] = {ENTROPY: entropy, MUTUAL: mutual_information}


def map_steps(name: str, geometry: Geometry, found: Sequence[Found]) -> UInt8[np.ndarray, "i j k"]:
    """Lay the map that a draft keeps as ``name`` onto the grid of the scan, in ``STEPS``."""
    whole = np.zeros(geometry.shape, dtype=np.uint8)
    for side in found:
        values = np.round(MAPS[name](side.segmentation) * STEPS).astype(np.uint8)
        block = tuple(
            slice(start, start + length)
            for start, length in zip(side.start, values.shape, strict=True)
        )
        whole[block] = np.maximum(whole[block], values)
    return whole


def write_maps(folder: Path, geometry: Geometry, found: Sequence[Found]) -> None:
    """Write both maps on the scan's own grid as NIfTI: they read as 0 to 1."""
    for name in MAPS:
        write_map(folder / name, map_steps(name, geometry, found), geometry, 1 / STEPS)


def _share(probability: Float64[np.ndarray, "structure i j k"]) -> Float64[np.ndarray, "i j k"]:
    """Return the entropy over the structures, as a share of the most there can be."""
    logs = np.log(np.maximum(probability, 1e-12))
    terms = np.where(probability > 0, probability * logs, 0.0)
    return np.asarray(-terms.sum(axis=0) / np.log(len(probability)))
