"""Shares as a table shows them. Knows nothing of what is counted."""

from scipy.stats import binomtest


def share(part: int, n: int) -> str:
    """Write a share with its exact 95 % interval."""
    if n == 0:
        return "–"
    interval = binomtest(part, n).proportion_ci(0.95, method="exact")
    return f"{part / n:.1%} ({interval.low:.1%} to {interval.high:.1%})"
