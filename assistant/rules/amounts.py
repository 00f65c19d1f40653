"""Sums and changes of amounts, with the bounds that any of their errors can lead to.

The bounds are those of interval arithmetic, so they assume nothing of how errors go together.
"""

import math
from collections.abc import Sequence

from assistant.judgement import Amount, Gap, Input, Obstacle

DECIMALS = 9  # of what floats leave over: 100 * 1.1 is 110.00000000000001


def exact(value: float, *cites: str) -> Amount:
    """Return what somebody states without an error."""
    return Amount(cites, value, value, value)


def give_or_take(value: float, error: float, *cites: str) -> Amount:
    """Return a size that may be wrong by ``error`` to either side, and is never below 0.

    Raises ValueError for a size or an error below 0.
    """
    if value < 0 or error < 0:
        msg = f"expected a size and an error of 0 or more, found {value:g} and {error:g}"
        raise ValueError(f"{msg}; give 0 for what has gone")
    return Amount(cites, value, max(value - error, 0.0), value + error)


def total(amounts: Sequence[Amount]) -> Amount:
    """Return the sum."""
    return _amount(
        amounts,
        math.fsum(a.value for a in amounts),
        math.fsum(a.lower for a in amounts),
        math.fsum(a.upper for a in amounts),
    )


def least(amounts: Sequence[Amount]) -> Amount:
    """Return the smallest, which any of those whose bounds overlap may be."""
    return _amount(
        amounts,
        min(a.value for a in amounts),
        min(a.lower for a in amounts),
        min(a.upper for a in amounts),
    )


def most(amounts: Sequence[Amount]) -> Amount:
    """Return the largest, which any of those whose bounds overlap may be."""
    return _amount(
        amounts,
        max(a.value for a in amounts),
        max(a.lower for a in amounts),
        max(a.upper for a in amounts),
    )


def difference(now: Amount, before: Amount) -> Amount:
    """Return by how much more there is now."""
    return _amount(
        (now, before), now.value - before.value, now.lower - before.upper, now.upper - before.lower
    )


def percent_change(now: Amount, before: Amount) -> Input:
    """Return the change of a size that is never below 0, as a percentage of what was before.

    There is none where there may have been nothing before.
    """
    if before.lower <= 0:
        return Gap(_cites((now, before)), Obstacle.NO_EARLIER_SIZE)
    return _amount(
        (now, before),
        100 * (now.value - before.value) / before.value,
        100 * (now.lower - before.upper) / before.upper,
        100 * (now.upper - before.lower) / before.lower,
    )


def _amount(rests_on: Sequence[Amount], value: float, lower: float, upper: float) -> Amount:
    value, lower, upper = (round(number, DECIMALS) for number in (value, lower, upper))
    return Amount(_cites(rests_on), value, lower, upper)


def _cites(amounts: Sequence[Amount]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cite for amount in amounts for cite in amount.cites))
