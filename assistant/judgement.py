"""Whether one criterion of a published rule is met by what was measured, and why if nobody knows.

It states no category of response and no diagnosis: whoever reads it draws the conclusion. Knows
nothing of where rules come from, of sentences or of reports.
"""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from segment.measurement import Measurement

OUTLINED = "outlined"  # the basis of bounds that are no prediction
Relation = Literal["below", "at most", "at least", "above"]


class Outcome(StrEnum):
    """What became of a criterion."""

    MET = "met"
    NOT_MET = "not met"
    NOT_JUDGED = "cannot be judged"


class Obstacle(StrEnum):
    """Why a criterion cannot be judged."""

    CROSSES = "interval-crosses-limit"
    WITHIN_ERROR = "within-measurement-error"
    ERROR_UNKNOWN = "measurement-error-unknown"
    WITHHELD = "withheld"
    NO_INTERVAL = "no-interval"
    MISSING = "missing"
    NO_EARLIER_SIZE = "no-earlier-size"


@dataclass(frozen=True)
class Amount:
    """A number that a rule goes by, with its bounds and the ids of what it rests on.

    Within its measurement error a change can meet no criterion, wherever its bounds lie.
    """

    cites: tuple[str, ...]
    value: float
    lower: float
    upper: float
    is_within_error: bool = False

    def __post_init__(self) -> None:
        is_finite = all(map(math.isfinite, (self.value, self.lower, self.upper)))
        if not is_finite or not self.lower <= self.value <= self.upper:
            msg = (
                f"expected a value between its bounds, found {self.value:g} for"
                f" {self.lower:g} to {self.upper:g}; state bounds that hold it"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class Gap:
    """Why there is no number to go by, and the ids of what there is instead."""

    cites: tuple[str, ...]
    obstacle: Obstacle


Input = Amount | Gap


@dataclass(frozen=True)
class Condition:
    """A limit in a UCUM unit, and on which side of it a quantity must lie, whole.

    Of several ``quantities`` the first that is there counts; a judgement names the one that did.
    """

    quantities: tuple[str, ...]
    relation: Relation
    limit: float
    unit: str

    def __post_init__(self) -> None:
        if not self.quantities or not math.isfinite(self.limit):
            msg = f"a condition has a quantity and a finite limit, not {self.quantities}"
            raise ValueError(f"{msg} and {self.limit}")

    def holds(self, amount: Amount) -> bool | None:
        """Tell whether all of an amount lies on this side of the limit; None if it crosses it."""
        lower, upper, limit = amount.lower, amount.upper, self.limit
        inside, outside = {
            "below": (upper < limit, lower >= limit),
            "at most": (upper <= limit, lower > limit),
            "at least": (lower >= limit, upper < limit),
            "above": (lower > limit, upper <= limit),
        }[self.relation]
        return True if inside else False if outside else None


@dataclass(frozen=True)
class Judgement:
    """What became of one criterion, of which rule, by which records.

    ``conditions`` must all hold. ``missing`` are quantities that nothing measured; ``cites`` are
    the ids of what was, which for a report are records of its ledger.
    """

    id: str
    rule: str
    version: str
    source: str
    criterion: str
    conditions: tuple[Condition, ...]
    cites: tuple[str, ...]
    outcome: Outcome
    reason: Obstacle | None
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.outcome is Outcome.NOT_JUDGED) != (self.reason is not None):
            msg = f"{self.id}: a reason stands exactly when the criterion cannot be judged"
            raise ValueError(msg)
        if not self.conditions:
            msg = f"{self.id}: a criterion has a condition at least, found none"
            raise ValueError(msg)


def input_of(record: Measurement) -> Input:
    """Return what a rule may go by of a record: a predicted change, beside its measurement error.

    Bounds by an outline are held against a limit as they are: nobody measured how they repeat.
    """
    cites, interval, error = (record.id,), record.interval, record.reference
    if record.is_withheld:
        return Gap(cites, Obstacle.WITHHELD)
    if record.value is None or interval is None:
        return Gap(cites, Obstacle.NO_INTERVAL)
    if record.comparator is None or record.basis == OUTLINED:
        return Amount(cites, record.value, interval.lower, interval.upper)
    if error is None:
        return Gap(cites, Obstacle.ERROR_UNKNOWN)
    is_within = error.lower <= record.value <= error.upper
    return Amount(cites, record.value, interval.lower, interval.upper, is_within)


def decide(
    conditions: Sequence[Condition], inputs: Sequence[Input]
) -> tuple[Outcome, Obstacle | None]:
    """Say whether all conditions hold, one that does not, or what keeps one from being judged."""
    found = [_stand(*pair) for pair in zip(conditions, inputs, strict=True)]
    if False in found:
        return Outcome.NOT_MET, None
    obstacles = [one for one in found if isinstance(one, Obstacle)]
    return (Outcome.NOT_JUDGED, obstacles[0]) if obstacles else (Outcome.MET, None)


def _stand(condition: Condition, found: Input) -> bool | Obstacle:
    """Say whether a condition holds, or why nobody knows."""
    if isinstance(found, Gap):
        return found.obstacle
    holds = condition.holds(found)
    if holds is None:
        return Obstacle.CROSSES
    return Obstacle.WITHIN_ERROR if holds and found.is_within_error else holds


def limit_digits(limit: float) -> int:
    """Return how many decimals show a limit as its source states it."""
    exponent = Decimal(repr(limit)).normalize().as_tuple().exponent
    return max(-int(exponent), 0)


def fault(judgement: Judgement, records: Sequence[Measurement]) -> str | None:
    """Say why a judgement does not follow from the records that it cites; None if it does."""
    cited = {record.quantity: record for record in records if record.id in judgement.cites}
    if len(cited) < len(judgement.cites):
        return f"{judgement.id} cites {judgement.cites}: records that are not there, or two alike"
    if len({(record.structure, record.side) for record in cited.values()}) > 1:
        return f"{judgement.id} judges more than one structure of one side"
    held = [_held(condition, cited) for condition in judgement.conditions]
    if {record.id for record in held if record is not None} != {*judgement.cites}:
        return f"{judgement.id} cites what its conditions do not ask for"
    inputs = [Gap((), Obstacle.MISSING) if r is None else input_of(r) for r in held]
    found = (*decide(judgement.conditions, inputs), missing(judgement.conditions, cited))
    if found != (judgement.outcome, judgement.reason, judgement.missing):
        return f"{judgement.id} is not what its records show, which is {found[0]}"
    return None


def missing(conditions: Sequence[Condition], known: Container[str]) -> tuple[str, ...]:
    """List the quantities that conditions ask for and nobody knows, by their first names."""
    gone = (c.quantities[0] for c in conditions if not any(q in known for q in c.quantities))
    return tuple(dict.fromkeys(gone))


def _held(condition: Condition, cited: Mapping[str, Measurement]) -> Measurement | None:
    """Return the record that a condition is about; none in another unit than its limit."""
    found = (cited[quantity] for quantity in condition.quantities if quantity in cited)
    return next((record for record in found if record.unit == condition.unit), None)
