"""Intervals across sites: each tells how many of its scores lie in each bin of a grid, no more.

The grid is everybody's, so that the counts of all sites just add up, and the conformal quantile
is read off the sum. It is rounded to the outer edge of its bin: an interval is never narrower than
that of the pooled scores, and wider by a bin on each side at most. Source: federated conformal
prediction from quantile sketches (Lu et al. 2023). Knows nothing of images or of messages.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from segment.measurement import Interval
from segment.quantiles import cases_needed, conformal_rank

WIDTH = 0.05  # of a bin, in u
LARGEST = 10.0  # u; scores further out lie in the open bins at both ends
BINS = 2 * round(LARGEST / WIDTH) + 2


@dataclass(frozen=True)
class Sketch:
    """How many scores lie in each bin; the first and the last are open.

    Raises ValueError where these are no counts of the grid.
    """

    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != BINS or min(self.counts) < 0:
            msg = f"expected {BINS} counts of 0 or more, found {len(self.counts)}"
            raise ValueError(f"{msg} down to {min(self.counts, default=0)}; update the project")

    @property
    def n(self) -> int:
        """The number of scores."""
        return sum(self.counts)


def edges() -> Float64[np.ndarray, " edge"]:
    """Return the edges between the bins, in u."""
    return np.linspace(-LARGEST, LARGEST, BINS - 1)


def sketch(scores: Sequence[float]) -> Sketch:
    """Count scores in bins; raises ValueError for one that is no number."""
    if not np.isfinite(scores).all():
        msg = "expected finite scores, found others; leave cases without a volume out"
        raise ValueError(msg)
    bins = np.searchsorted(edges(), scores, side="left")
    return Sketch(tuple(np.bincount(bins, minlength=BINS).tolist()))


def joined(sketches: Sequence[Sketch]) -> Sketch:
    """Add the counts of all sites up."""
    return Sketch(tuple(map(sum, zip(*(one.counts for one in sketches), strict=True))))


def reach(scores: Sketch, coverage: float) -> tuple[float, float]:
    """Return how far below (at most 0) and above (at least 0) its value an interval goes, in u.

    Half of what may be missed lies on either side. Raises ValueError where so many scores cannot
    support the coverage, and where an end lies beyond the grid.
    """
    one_sided = (1 + coverage) / 2
    above = _outer_edge(scores.counts, one_sided)
    below = -_outer_edge(scores.counts[::-1], one_sided)
    return min(below, 0.0), max(above, 0.0)


def _outer_edge(counts: Sequence[int], one_sided: float) -> float:
    """Return the upper edge of the bin that holds the conformal quantile."""
    rank = conformal_rank(sum(counts), one_sided)
    found = int(np.searchsorted(np.cumsum(counts), rank))
    if found == BINS - 1:
        msg = f"expected scores within {LARGEST:g} u, found the quantile beyond; train better"
        raise ValueError(f"{msg} networks, or state no interval")
    return float(edges()[found])


def more_cases(scores: Sketch, coverage: float) -> int:
    """Return how many more scores an interval of this coverage needs; 0 where there are enough."""
    return max(0, cases_needed(coverage, is_two_sided=True) - scores.n)


def volume_interval(value: float, u: float, scores: Sketch, coverage: float) -> Interval:
    """Return the interval of a volume, in the volume's unit; it always holds the value."""
    below, above = reach(scores, coverage)
    return Interval(value * math.exp(below * u), value * math.exp(above * u), coverage)
