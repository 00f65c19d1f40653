"""Which calibration scores judge a count: all, those of its size, or all by their weight.

Bins of size: Mondrian conformal prediction (Vovk et al. 2003). Weights: conformal prediction under
covariate shift (Tibshirani et al. 2019). Knows nothing of images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segment.intervals import SIZE, Grouping
from segment.quantiles import Side, bound, cases_needed, weighted_bound
from segment.weighting import worth

LEAST = 30  # cases of a bin, or as many as weighted ones must be worth
THIRDS = (1 / 3, 2 / 3)


@dataclass(frozen=True)
class Pool:
    """Signed scores that judge one count; ``note`` says which, where they are not all by choice.

    ``weights`` are those of the scores and ``own`` that of the scan itself; without any, all weigh
    the same.
    """

    scores: tuple[float, ...]
    note: str = ""
    weights: tuple[float, ...] = ()
    own: float = 1.0

    @property
    def n(self) -> int:
        """How many cases there are, or how many of one weight they are worth."""
        return int(worth(self.weights)) if self.weights else len(self.scores)

    def supports(self, coverage: float, *, is_two_sided: bool = True) -> bool:
        """Tell whether an interval of this coverage, or a bound, can be had of these cases.

        Weighted ones must be worth ``LEAST`` at least, and as many as the coverage needs.
        """
        share = (1 + coverage) / 2 if is_two_sided else coverage
        needed = cases_needed(coverage, is_two_sided=is_two_sided)
        if not self.weights:
            return self.n >= needed
        has_ends = all(self._bound(share, side) is not None for side in SIDES)
        return self.n >= max(LEAST, needed) and has_ends

    def reach(self, coverage: float) -> tuple[float, float]:
        """Return how far an interval goes below and above its value, in u.

        Raises ValueError where the cases cannot support the coverage.
        """
        share = (1 + coverage) / 2
        return self.bound(share, "below"), self.bound(share, "above")

    def bound(self, coverage: float, side: Side) -> float:
        """Return how far a bound of one side alone lies from its value, in u.

        Raises ValueError where the cases cannot support the coverage.
        """
        found = self._bound(coverage, side)
        if found is None:
            msg = f"coverage {coverage:g}: expected a scan among those that cases were weighted for"
            raise ValueError(f"{msg}, found one that outweighs them; choose other intervals")
        return found

    def _bound(self, coverage: float, side: Side) -> float | None:
        if not self.weights:
            return bound(self.scores, coverage, side)
        return weighted_bound(self.scores, self.weights, self.own, coverage, side)


SIDES: tuple[Side, ...] = ("below", "above")


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
