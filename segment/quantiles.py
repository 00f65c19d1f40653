"""Conformal quantiles of scores, alike or weighted, and how many cases they need."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

Side = Literal["below", "above"]


def quantile(scores: Sequence[float], coverage: float) -> float:
    """Return the conformal quantile; raises ValueError where n cannot support the coverage."""
    return float(sorted(scores)[conformal_rank(len(scores), coverage) - 1])


def conformal_rank(n: int, coverage: float) -> int:
    """Return ceil((n + 1) coverage); raises ValueError where n cannot support the coverage."""
    rank = _ceil((n + 1) * coverage)
    if rank > n:
        needed = cases_needed(coverage)
        msg = f"coverage {coverage:g} needs {needed} calibration cases, there are {n}"
        raise ValueError(msg)
    return rank


def cases_needed(coverage: float, *, is_two_sided: bool = False) -> int:
    """Return how many cases an interval of this coverage needs.

    ``is_two_sided`` says that each side is fitted by itself, as that of a volume.
    """
    share = (1 + coverage) / 2 if is_two_sided else coverage
    if share >= 1:
        msg = f"coverage is a share between 0 and 1, not {coverage!r}"
        raise ValueError(msg)
    return _ceil(share / (1 - share))


def most_coverage(n: int, *, is_two_sided: bool = False) -> float:
    """Return the highest coverage that n cases support, rounded down to a thousandth."""
    highest = max(n - 1, 0) / (n + 1) if is_two_sided else n / (n + 1)
    return math.floor(highest * 1000) / 1000


def _ceil(number: float) -> int:
    """Round up what is not whole; 20 * 0.55 is 11 though floats make it 11.000000000000002."""
    return math.ceil(round(number, 9))


def reach(scores: Sequence[float], coverage: float) -> tuple[float, float]:
    """Return how far below (at most 0) and above (at least 0) its value an interval goes, in u.

    Raises ValueError where n cannot support the coverage of either side.
    """
    one_sided = (1 + coverage) / 2
    return bound(scores, one_sided, "below"), bound(scores, one_sided, "above")


def bound(scores: Sequence[float], coverage: float, side: Side) -> float:
    """Return how far a bound of one side alone lies from its value, in u.

    With ``below`` the truth lies above the bound in this share of cases, with ``above`` below it.
    It never lies on the other side of the value. Raises ValueError where n cannot support it.
    """
    if side == "above":
        return max(quantile(scores, coverage), 0.0)
    return min(-quantile([-score for score in scores], coverage), 0.0)


def weighted_quantile(
    scores: Sequence[float], weights: Sequence[float], own: float, coverage: float
) -> float | None:
    """Return the quantile of weighted scores and of one of weight ``own`` that lies at infinity.

    None where that one alone weighs more than may be missed. With equal weights it is
    ``quantile``. Source: Tibshirani et al. 2019, lemma 1.
    """
    order = np.argsort(scores, kind="stable")
    total = float(np.sum(weights)) + own
    held = np.cumsum(np.asarray(weights)[order]) / total if total > 0 else np.zeros(len(order))
    enough = np.flatnonzero(np.round(held, 9) >= round(coverage, 9))
    return None if enough.size == 0 else float(np.asarray(scores)[order][enough[0]])


def weighted_bound(
    scores: Sequence[float], weights: Sequence[float], own: float, coverage: float, side: Side
) -> float | None:
    """Return what ``bound`` does, of weighted scores; None where it lies at infinity."""
    if side == "above":
        above = weighted_quantile(scores, weights, own, coverage)
        return None if above is None else max(above, 0.0)
    below = weighted_quantile([-score for score in scores], weights, own, coverage)
    return None if below is None else min(-below, 0.0)
