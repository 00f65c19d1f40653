"""What differential privacy costs: noise and steps in, epsilon out. Knows nothing of networks.

A step draws each subject by itself with a given chance, clips what each contributes to one length,
and adds Gaussian noise of ``noise`` times that length to the sum. Sources: Abadi et al. 2016 ("Deep
learning with differential privacy") for the steps; Mironov, Talwar, Zhang 2019 for their Renyi
divergence; Canonne, Kamath, Steinke 2020, proposition 12, for epsilon and delta.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segment.table import COUNT, POSITIVE, Range, check_ranges

RANGES: Mapping[str, Range] = {
    **dict.fromkeys(("clip", "noise", "delta", "most_epsilon"), POSITIVE),
    "steps": COUNT,
    "share": Range(0.0, 1.0, is_above=True),
}
ORDERS = (*range(2, 64), *range(64, 513, 16))


@dataclass(frozen=True)
class Private:
    """How a site trains in a round so that what it sends hides each subject.

    ``steps`` a round, in each of which a subject takes part with the chance ``share``; gradients
    are clipped to the length ``clip``; a site refuses what would take it past ``most_epsilon`` at
    ``delta``.
    """

    clip: float
    noise: float
    share: float
    steps: int
    delta: float
    most_epsilon: float

    def __post_init__(self) -> None:
        check_ranges(self, RANGES)
        if self.delta >= 1:
            msg = f"delta: expected less than 1, found {self.delta:g}; change it"
            raise ValueError(msg)


@dataclass(frozen=True)
class Steps:
    """Steps that were taken alike."""

    noise: float
    share: float
    count: int


def epsilon_of(taken: Sequence[Steps], delta: float) -> float:
    """Return the epsilon of all steps together, for one subject that is there or is not.

    It is an upper bound: the least over integer orders of the Renyi divergence.
    """
    if not taken:
        return 0.0
    bounds: list[float] = []
    for order in ORDERS:
        divergence = sum(one.count * renyi(one.noise, one.share, order) for one in taken)
        turned = math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)
        bounds.append(divergence + turned)
    return max(0.0, min(bounds))


def renyi(noise: float, share: float, order: int) -> float:
    """Return the Renyi divergence of one step at an integer order of 2 or more."""
    if share == 1:
        return order / (2 * noise * noise)
    terms = [
        math.lgamma(order + 1)
        - math.lgamma(k + 1)
        - math.lgamma(order - k + 1)
        + k * math.log(share)
        + (order - k) * math.log1p(-share)
        + (k * k - k) / (2 * noise * noise)
        for k in range(order + 1)
    ]
    return float(np.logaddexp.reduce(terms)) / (order - 1)


def told(private: Private, rounds: int) -> str:
    """State what a federation of so many rounds gives away of a subject at the most.

    Where that is more than ``most_epsilon``, say also from which round on sites refuse to train.
    """
    epsilon = _epsilon_after(private, rounds)
    said = f"epsilon {epsilon:.2f} at delta {private.delta:g}, for each subject of a site"
    if epsilon <= private.most_epsilon:
        return said
    number = 1 + bisect_right(
        range(1, rounds + 1), private.most_epsilon, key=lambda n: _epsilon_after(private, n)
    )
    return (
        f"{said}\nwarning: round {number} of {rounds} passes most_epsilon"
        f" {private.most_epsilon:g}: sites refuse to train it, and all after it"
    )


def _epsilon_after(private: Private, rounds: int) -> float:
    return epsilon_of([Steps(private.noise, private.share, private.steps * rounds)], private.delta)
