"""A robust slope through volumes of three or more dates (Theil 1950, Sen 1968).

Its expression, its interval and the range that errors alone give it. Knows nothing of records.
"""

from collections.abc import Sequence
from itertools import combinations
from statistics import median

import numpy as np

YEAR_DAYS = 365.25
DRAWS = 4000
SEED = 20_260_101


def slope(days: Sequence[int], volumes: Sequence[float]) -> float:
    """Return the median of the slopes of all pairs, in percent of the first volume a year.

    Raises ValueError where two visits share a day.
    """
    if len(set(days)) < len(days):
        msg = f"a slope needs a day of its own for each visit, not {list(days)}"
        raise ValueError(msg)
    slopes = [(volumes[j] - volumes[i]) / (days[j] - days[i]) for i, j in _pairs(len(days))]
    return 100 * YEAR_DAYS * median(slopes) / volumes[0]


def slope_expression(days: Sequence[int], ids: Sequence[str]) -> str:
    """Write the slope as an expression over the ids of the volumes."""
    slopes = ", ".join(f"({ids[j]} - {ids[i]}) / {days[j] - days[i]}" for i, j in _pairs(len(days)))
    return f"{100 * YEAR_DAYS:g} * median({slopes}) / {ids[0]}"


def slope_reach(
    days: Sequence[int], volumes: Sequence[float], sds_log: Sequence[float], coverage: float
) -> tuple[float, float]:
    """Return how far below and above itself the slope lies in ``coverage`` of draws.

    In each draw every volume has an independent normal error of its logarithm; the draws are the
    same in every run.
    """
    rng = np.random.default_rng(SEED)
    errors = rng.standard_normal((DRAWS, len(days))) * np.asarray(sds_log)
    drawn = np.asarray(volumes) * np.exp(errors)
    slopes = [(drawn[:, j] - drawn[:, i]) / (days[j] - days[i]) for i, j in _pairs(len(days))]
    found = 100 * YEAR_DAYS * np.median(slopes, axis=0) / drawn[:, 0]
    tails = np.quantile(found, [(1 - coverage) / 2, (1 + coverage) / 2]) - slope(days, volumes)
    return min(float(tails[0]), 0.0), max(float(tails[1]), 0.0)


def _pairs(count: int) -> list[tuple[int, int]]:
    return list(combinations(range(count), 2))
