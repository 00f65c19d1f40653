"""Round values of a scale, for whatever is plotted on it. Knows nothing of pictures or pages."""

import math
from collections.abc import Sequence

MOST_TICKS = 5


def ticks(low: float, high: float) -> tuple[float, ...]:
    """List at most ``MOST_TICKS`` round values: steps of 1, 2 or 5 times a power of ten."""
    least = (high - low) / MOST_TICKS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= least)
    first = math.ceil(low / step)
    return tuple(n * step for n in range(first, math.floor(high / step) + 1))


def tick_decimals(values: Sequence[float]) -> int:
    """Return how many decimals the numbers beside ticks need."""
    return max(0, -math.floor(math.log10(values[1] - values[0]))) if len(values) > 1 else 1
