"""A round of which the server sees the sum of all sites alone. Knows nothing of how it is hidden.

Sites bound their own change, since nobody else sees it: norms, medians and the site that sent no
numbers are out of the server's sight, and a round that is no number stops.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segment.federated.greeting import Greeting
from segment.federated.plan import MOST_SECURE, FederationPlan
from segment.federated.rounds import Line, Round, StoppedError
from segment.federated.updates import LeftOut, Update, Weights, norm_of_change, why_unusable

RANGE = 8.0  # that no number of a change may leave, either way
LEVELS = 2**32 // MOST_SECURE  # that the range is cut into
MASKED_BYTES = 8  # of a number, in which Flower sends 32 bits
ONLY_SUM = "only the sum of all sites was seen"


@dataclass(frozen=True, eq=False)
class Together:
    """The mean of what sites changed, weighed by their cases, and which nodes are in it.

    Without a change ``reason`` says why there is none.
    """

    change: Weights | None
    nodes: frozenset[int]
    reason: str = ""


def change_of(learnt: Weights, sent: Weights) -> Weights:
    """Return what a site adds to the sum.

    Raises ValueError for other tensors or shapes, and where a number leaves the range that the
    sum can hold.
    """
    if reason := why_unusable(Update("own", 1, learnt), sent):
        raise ValueError(reason)
    change = {name: learnt[name] - tensor for name, tensor in sent.items()}
    largest = max(float(np.abs(tensor).max(initial=0.0)) for tensor in change.values())
    if largest > RANGE:
        msg = f"expected changes of {RANGE:g} at the most, found {largest:.3g}"
        raise ValueError(f"{msg}; lower learning_rate or epochs")
    return change


def mean_change(learnt: Mapping[int, Weights], cases: Mapping[int, int], sent: Weights) -> Together:
    """Average changes that lie open, as the hidden sum does."""
    total = sum(cases[node] for node in learnt)
    changes = {node: change_of(weights, sent) for node, weights in learnt.items()}
    mean = {
        name: np.sum(
            [cases[n] / total * c[name].astype(np.float64) for n, c in changes.items()], axis=0
        ).astype(np.float32)
        for name in sent
    }
    return Together(mean, frozenset(changes))


def finish_together(
    number: int,
    before: Weights,
    found: Together,
    members: Mapping[int, Greeting],
    absent: Sequence[LeftOut],
    plan: FederationPlan,
) -> Round:
    """Add the mean change of a round; raises StoppedError where too few sites are in it."""
    inside = {node: greeting for node, greeting in members.items() if node in found.nodes}
    reason = found.reason or "it is not in the sum; it went away or its training failed"
    missing = [LeftOut(greeting.site, reason) for n, greeting in members.items() if n not in inside]
    left = (*absent, *missing)
    if found.change is None or len(inside) < plan.least_sites:
        told = "; ".join(f"{one.site}: {one.reason}" for one in left) or "no site answered"
        msg = f"round {number}: expected {plan.least_sites} sites or more, found {len(inside)}"
        raise StoppedError(f"{msg} ({told}); start the missing sites and run it again")
    weights = {name: before[name] + change for name, change in found.change.items()}
    if reason := why_unusable(Update("the sum", 1, weights), before) or "":
        msg = f"round {number}: {reason}; which site it was stays hidden"
        raise StoppedError(msg)
    norm = norm_of_change(weights, before)
    size = sum(tensor.size for tensor in weights.values()) * MASKED_BYTES / 2**20
    lines = [Line(number, one.site, False, 0, 0.0, 0.0, 0.0, one.reason) for one in left]
    lines += [
        Line(number, greeting.site, True, greeting.cases, norm, 1.0, size, ONLY_SUM)
        for greeting in inside.values()
    ]
    return Round(number, weights, tuple(lines))
