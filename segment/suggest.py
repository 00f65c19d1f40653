"""Which scans to label next: those on which networks are unsure, and unlike each other.

Knows nothing of files or of who labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from scipy import ndimage
from scipy.stats import rankdata

GRID = (6, 8, 6)  # cells into which a box is averaged to say what it looks like


@dataclass(frozen=True, eq=False)
class Candidate:
    """A scan without labels, and what the networks made of it.

    ``agreement`` is the lowest pairwise Dice of the members over the structures, ``width`` the
    largest width of an interval relative to its value, infinite where there is none;
    ``looks`` says what the picture is like.
    """

    name: str
    agreement: float
    width: float
    looks: Float32[np.ndarray, " feature"]


@dataclass(frozen=True)
class Suggestion:
    """A scan to label; ``mean_rank`` is that of its agreement and its width, 0 the surest to 1."""

    name: str
    mean_rank: float
    agreement: float
    width: float


def looks_of(box: Float32[np.ndarray, "i j k"]) -> Float32[np.ndarray, " feature"]:
    """Average a box of normalised intensities into a few cells."""
    factors = [cells / n for cells, n in zip(GRID, box.shape, strict=True)]
    smooth = ndimage.uniform_filter(box, [max(1, round(1 / factor)) for factor in factors])
    return ndimage.zoom(smooth, factors, order=1).astype(np.float32).ravel()


def mean_ranks(candidates: Sequence[Candidate]) -> Float64[np.ndarray, " n"]:
    """Rank scans by how unsure the networks are, 0 to 1: the mean of the ranks by both measures."""
    if len(candidates) == 1:
        return np.ones(1)
    columns = ([-c.agreement for c in candidates], [c.width for c in candidates])
    ranks = [(rankdata(column) - 1) / (len(candidates) - 1) for column in columns]
    return np.asarray(np.mean(ranks, axis=0))


def suggest(
    candidates: Sequence[Candidate], count: int, known: Sequence[Float32[np.ndarray, " feature"]]
) -> tuple[Suggestion, ...]:
    """Choose scans one after the other: the product of mean rank and distance.

    The distance is that to what was chosen before and to ``known``, the looks of what is labelled,
    relative to the largest one (a greedy core-set, Sener and Savarese 2018, weighted by rank).
    """
    unsure = mean_ranks(candidates)
    looks = np.stack([candidate.looks for candidate in candidates])
    apart = np.full(len(candidates), np.inf)
    for other in known:
        apart = np.minimum(apart, np.linalg.norm(looks - other, axis=1))
    left = list(range(len(candidates)))
    chosen: list[int] = []
    while left and len(chosen) < count:
        distance = np.ones(len(left)) if np.isinf(apart[left]).all() else apart[left]
        share = distance / max(float(distance.max()), 1e-9)
        best = left[int(np.argmax((unsure[left] + 1e-3) * (share + 1e-3)))]
        chosen.append(best)
        left.remove(best)
        apart = np.minimum(apart, np.linalg.norm(looks - looks[best], axis=1))
    picked = ((candidates[place], float(unsure[place])) for place in chosen)
    return tuple(Suggestion(c.name, rank, c.agreement, c.width) for c, rank in picked)
