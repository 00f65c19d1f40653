"""What a summary counts while studies pass by one after the other. Knows no words.

In memory are plain numbers, one a measurement and a stage, and a bounded list of outliers.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from assistant.batch.outcome import Outcome, Status
from assistant.rows import decimals
from assistant.writers import Assessment, assess
from segment.measurement import Interval, Measurement, Reason, Reference

MOST_OUTLIERS = 200


@dataclass
class Spread:
    """The values of one quantity of one structure and side that may be reported.

    ``sample`` is the first record met, for its names and unit; ``digits`` the decimals that its
    intervals deserve; ``bounds`` are those references that were met, with how often.
    """

    sample: Measurement
    values: list[float] = field(default_factory=list)
    references: Counter[Reference] = field(default_factory=Counter)
    digits: int = 0

    @property
    def reference(self) -> Reference | None:
        """The one reference of all values; None where there is none, or several."""
        return next(iter(self.references)) if len(self.references) == 1 else None


@dataclass(frozen=True)
class Outlier:
    """A value whose whole interval lies outside its reference range."""

    study: str
    record: Measurement
    interval: Interval
    place: Assessment


@dataclass
class Tally:
    """The counts of a run so far."""

    statuses: Counter[Status] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    withheld: Counter[Reason] = field(default_factory=Counter)
    spreads: dict[tuple[str, str, str], Spread] = field(default_factory=dict)
    outliers: list[Outlier] = field(default_factory=list)
    more_outliers: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    finished: str = ""

    def add(self, outcome: Outcome) -> None:
        """Count one study."""
        self.statuses[outcome.status] += 1
        self.finished = max(self.finished, outcome.finished)
        if outcome.code is not None:
            self.failures[outcome.code] += 1
            self.examples.setdefault(outcome.code, outcome.sentence or "")
        for stage, took_s in (*outcome.seconds.items(), ("total", outcome.total_s)):
            self.seconds.setdefault(stage, []).append(took_s)
        for record in outcome.measurements:
            self._measured(outcome.id, record)

    def _measured(self, study: str, record: Measurement) -> None:
        key = record.structure, record.side, record.quantity
        spread = self.spreads.setdefault(key, Spread(record))
        if record.reason is not None:
            self.withheld[record.reason] += 1
            return
        assert record.value is not None
        assert record.interval is not None
        spread.values.append(record.value)
        spread.digits = max(spread.digits, decimals(record.interval, record.unit))
        if record.reference is not None:
            spread.references[record.reference] += 1
        place = assess(record)
        if place in ("below", "above"):
            if len(self.outliers) < MOST_OUTLIERS:
                self.outliers.append(Outlier(study, record, record.interval, place))
            else:
                self.more_outliers += 1


def tally_of(outcomes: Iterable[Outcome]) -> Tally:
    """Count studies, one in memory at a time."""
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
    return tally
