"""Scores of distributions and of rankings. Knows nothing of what is scored."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import norm


def crps_samples(samples: Sequence[float] | np.ndarray, true: float) -> float:
    """Return the continuous ranked probability score of equally likely values (Gneiting 2007)."""
    values = np.sort(np.asarray(samples, dtype=np.float64))
    n = len(values)
    apart = 2 * float((values * (2 * np.arange(1, n + 1) - n - 1)).sum()) / n**2
    return float(np.abs(values - true).mean()) - apart / 2


def crps_gaussian(mean: float, deviation: float, true: float) -> float:
    """Return that of a normal distribution; of one without a deviation the distance."""
    if deviation == 0:
        return abs(true - mean)
    z = (true - mean) / deviation
    spread = z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / math.sqrt(math.pi)
    return float(deviation * spread)


def aurc(doubts: Sequence[float | None], risks: Sequence[float | None]) -> float:
    """Return the mean risk of the least doubted 1, 2, ... cases (Geifman and El-Yaniv 2017).

    It is the area under the risk-coverage curve; cases that are doubted alike come in the order
    of their risk averaged: each has the mean of them.
    """
    doubt, risk = np.asarray(doubts, dtype=float), np.asarray(risks, dtype=float)
    evened = np.array([risk[doubt == d].mean() for d in doubt])
    ordered = evened[np.argsort(doubt, kind="stable")]
    return float((np.cumsum(ordered) / np.arange(1, len(ordered) + 1)).mean())
