"""Which calibration scores judge a count: all, or those of its size. Knows nothing of images.

Bins of size: Mondrian conformal prediction (Vovk et al. 2003).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segment.intervals import SIZE, Grouping
from segment.quantiles import Side, bound, cases_needed, reach

LEAST = 30  # cases of a bin
THIRDS = (1 / 3, 2 / 3)


@dataclass(frozen=True)
class Pool:
    """Signed scores that judge one count; ``note`` says which, where they are not all by choice."""

    scores: tuple[float, ...]
    note: str = ""

    @property
    def n(self) -> int:
        """How many cases there are."""
        return len(self.scores)

    def supports(self, coverage: float, *, is_two_sided: bool = True) -> bool:
        """Tell whether there are as many cases as an interval or a bound of this coverage needs."""
        return self.n >= cases_needed(coverage, is_two_sided=is_two_sided)

    def reach(self, coverage: float) -> tuple[float, float]:
        """Return how far an interval goes below and above its value, in u.

        Raises ValueError where n cannot support the coverage.
        """
        return reach(self.scores, coverage)

    def bound(self, coverage: float, side: Side) -> float:
        """Return how far a bound of one side alone lies from its value, in u.

        Raises ValueError where n cannot support the coverage.
        """
        return bound(self.scores, coverage, side)


def pool_of(
    grouping: Grouping,
    scores: Sequence[float],
    size_ml: Sequence[float],
    value_ml: float,
    coverage: float,
) -> Pool:
    """Take the scores that judge a count, as ``grouping`` says."""
    if grouping == SIZE and scores:
        return of_size(scores, size_ml, value_ml, coverage)
    return Pool(tuple(scores))


def of_size(
    scores: Sequence[float], size_ml: Sequence[float], value_ml: float, coverage: float
) -> Pool:
    """Take the scores of the third of cases, by what they counted, that a count belongs to.

    All are taken where the third has fewer than ``LEAST`` cases, or fewer than the coverage needs.
    """
    edges = np.quantile(size_ml, THIRDS)
    mine = int(np.searchsorted(edges, value_ml))
    same = tuple(
        score
        for score, size in zip(scores, size_ml, strict=True)
        if int(np.searchsorted(edges, size)) == mine
    )
    if len(same) < max(LEAST, cases_needed(coverage, is_two_sided=True)):
        return Pool(tuple(scores), f"all sizes, since {len(same)} cases of this one are too few")
    told = (
        f"up to {edges[0]:.2f} mL",
        f"{edges[0]:.2f} to {edges[1]:.2f} mL",
        f"over {edges[1]:.2f} mL",
    )
    return Pool(same, told[mine])
