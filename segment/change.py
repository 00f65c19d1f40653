"""Volumes of two or more dates compared: the earlier ones, the changes, the rates and the trend.

Every change is an expression over the records of its volumes. Its interval comes from both
prediction intervals, whose errors are correlated as far as repeats of unseen scans showed; its
``reference`` is the range in which 95 % of the changes between two scans of an unchanged structure
lie, after the repeatability coefficient. Knows nothing of images, sentences or reports.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from statistics import NormalDist
from typing import Any

from segment.measure import VOLUME
from segment.measurement import EARLIER, Interval, Measurement, Reason, Reference, Reliability
from segment.repeatability import COVERAGE, Repeatability, RepeatLevel, Within, are_alike
from segment.trend import YEAR_DAYS, slope, slope_expression, slope_reach

ABSOLUTE, RELATIVE, YEARLY = "volume change", "relative volume change", "yearly volume change"
TREND = "yearly volume trend"
OF_EARLIER, OF_FIRST = "earlier volume", "first volume"  # denominators
UNDATED = "earlier examination"  # the comparator of a change whose earlier date is unknown
# Why two examinations cannot be compared; any other reason is one of a record of either.
OF_EXAMINATIONS = (
    *(Reason.NOT_ALIGNED, Reason.OTHER_SIZE),
    *(Reason.OTHER_RESOLUTION, Reason.OTHER_PROTOCOL),
)
FEWEST_DATES = 3  # of a trend
LEAST_DAYS = 91  # for a yearly rate: over less, measurement errors are multiplied by four and more
# Facts that must be alike where both files state them: words, and numbers of sequence and field.
SCANNER = ("manufacturer",)
SETTINGS = (
    *("magnetic_field_t", "repetition_time_ms", "echo_time_ms"),
    *("inversion_time_ms", "flip_angle_degrees"),
)


@dataclass(frozen=True)
class Visit:
    """What was measured at one date, and what says whether it can be compared.

    ``doubt`` says why the scan cannot be aligned with the current one, ``made_from`` for a
    report's provenance which scan it was and how well it could.
    """

    records: tuple[Measurement, ...]
    spacing_mm: tuple[float, float, float]
    facts: Mapping[str, str]
    date: str | None
    doubt: Reason | None = None
    made_from: Mapping[str, Any] = field(default_factory=dict)

    def volume(self, structure: str, side: str) -> Measurement | None:
        """Return the volume of one structure of one side."""
        wanted = (structure, side, VOLUME)
        return next((r for r in self.records if (r.structure, r.side, r.quantity) == wanted), None)


def compare(
    current: Visit, earlier: Sequence[Visit], wholes: Sequence[str], repeatability: Repeatability
) -> tuple[Measurement, ...]:
    """Return the records that follow the current ones: earlier volumes, changes since the latest.

    ``earlier`` comes oldest first. A structure of ``wholes`` is compared in mL, % and %/a, a part
    of one in % alone; of three or more visits that can be compared each whole has a trend.
    """
    made = _Made(len(current.records))
    visits = [made.earlier(visit) for visit in earlier]
    volumes = [record for record in current.records if record.quantity == VOLUME]
    for side in dict.fromkeys(record.side for record in volumes):
        mine = [record for record in volumes if record.side == side]
        for quantity in (RELATIVE, ABSOLUTE, YEARLY):
            for after in mine:
                before = visits[-1].volume(after.structure, side)
                if before is not None and (quantity == RELATIVE or after.structure in wholes):
                    pair = _Pair(after, before, current, visits[-1], repeatability)
                    made.add(pair.record(made.next_id, quantity))
        for after in mine if len(visits) > 1 else ():
            if after.structure in wholes:
                course = _Course(after, _usable(after, (*visits, current)), repeatability)
                made.add(course.record(made.next_id))
    return tuple(made.records)


class _Made:
    """Records in the order in which they are made; ids go on where the current ones end."""

    def __init__(self, before: int) -> None:
        self.before = before
        self.records: list[Measurement] = []

    @property
    def next_id(self) -> str:
        return f"m{self.before + len(self.records) + 1}"

    def add(self, record: Measurement) -> Measurement:
        self.records.append(record)
        return record

    def earlier(self, visit: Visit) -> Visit:
        """Take the volumes of an earlier visit over, under ids of this ledger."""
        found = [
            self.add(replace(record, id=self.next_id, quantity=EARLIER, date=visit.date))
            for record in visit.records
            if record.quantity == VOLUME
        ]
        return replace(visit, records=tuple(replace(record, quantity=VOLUME) for record in found))


def days_between(earlier: str | None, later: str | None) -> int | None:
    """Count the days between two dates; None where one is unknown."""
    if earlier is None or later is None:
        return None
    return (date.fromisoformat(later) - date.fromisoformat(earlier)).days


def half_width_log(interval: Interval) -> float:
    """Return half the width of an interval of a positive value, in logarithms."""
    return math.log(interval.upper / interval.lower) / 2


def why_apart(one: Visit, other: Visit) -> Reason | None:
    """Return why two visits cannot be compared whatever was measured; None if they can."""
    if doubt := one.doubt or other.doubt:
        return doubt
    pairs = zip(sorted(one.spacing_mm), sorted(other.spacing_mm), strict=True)
    if not all(are_alike(*pair) for pair in pairs):
        return Reason.OTHER_RESOLUTION
    both = {fact: (one.facts[fact], other.facts[fact]) for fact in one.facts.keys() & other.facts}
    if any(len({*both.get(fact, ())}) > 1 for fact in SCANNER):
        return Reason.OTHER_PROTOCOL
    settings = (both[fact] for fact in SETTINGS if fact in both)
    if not all(are_alike(float(a), float(b)) for a, b in settings):
        return Reason.OTHER_PROTOCOL
    return None


@dataclass(frozen=True)
class _Pair:
    """One structure of one side on two dates."""

    after: Measurement
    before: Measurement
    current: Visit
    earlier: Visit
    repeatability: Repeatability

    def record(self, record_id: str, quantity: str) -> Measurement:
        """Return one change with its interval, or with the reason why there is none."""
        days = days_between(self.earlier.date, self.current.date)
        reason = _why_withheld((self.after, self.before), (self.current, self.earlier))
        blank = _blank(record_id, quantity, self.after, self.earlier.date or UNDATED)
        if quantity == YEARLY and (no_rate := _why_no_rate(days)):
            return replace(blank, reason=reason or no_rate)
        if self.after.value is None or not self.before.value:
            return blank
        value, factor, expression = self._value(quantity, days or 0)
        level, within = _within(self.repeatability, (self.current, self.earlier), self.after)
        if reason is not None or level is None or within is None:
            reason = reason or Reason.OUTSIDE_CALIBRATION
            withheld = Reliability.NOT_RELIABLE
            return replace(
                blank, value=value, expression=expression, reliability=withheld, reason=reason
            )
        return replace(
            blank,
            value=value,
            expression=expression,
            reliability=Reliability.REPORTABLE,
            reason=None,
            interval=self._interval(factor, value, within),
            calibration=self.repeatability.origin(level, within),
            reference=_reference(factor, within, self.repeatability),
        )

    def _value(self, quantity: str, days: int) -> tuple[float, float, str]:
        """Return a change, what one whole earlier volume is in its unit, and its expression."""
        assert self.after.value is not None
        assert self.before.value is not None
        new, old = self.after.id, self.before.id
        apart = self.after.value - self.before.value
        if quantity == ABSOLUTE:
            return apart, self.before.value, f"{new} - {old}"
        relative = f"100 * ({new} - {old}) / {old}"
        share = 100 * apart / self.before.value
        if quantity == RELATIVE:
            return share, 100.0, relative
        return (
            share * YEAR_DAYS / days,
            100 * YEAR_DAYS / days,
            f"{relative} * {YEAR_DAYS} / {days}",
        )

    def _interval(self, factor: float, value: float, within: Within) -> Interval:
        """Propagate both intervals: in logarithms, sqrt(a^2 + b^2 - 2 r a b) to each side."""
        assert self.after.interval is not None
        assert self.before.interval is not None
        one, other = half_width_log(self.after.interval), half_width_log(self.before.interval)
        variance = one**2 + other**2 - 2 * within.correlation * one * other
        apart = math.sqrt(max(variance, 0.0))
        ratio = 1 + value / factor
        bounds = (factor * (ratio * math.exp(sign * apart) - 1) for sign in (-1, 1))
        lower, upper = bounds
        coverage = self.after.interval.coverage
        return Interval(min(lower, value), max(upper, value), coverage)


def _usable(after: Measurement, visits: tuple[Visit, ...]) -> tuple[Visit, ...]:
    """Leave out of a trend what cannot be compared with the current visit, if three are left."""
    current = visits[-1]
    usable = []
    for visit in visits:
        volume = visit.volume(after.structure, after.side)
        if volume is not None and _why_withheld((volume,), (current, visit)) is None:
            usable.append(visit)
    return tuple(usable) if len(usable) >= FEWEST_DATES else visits


@dataclass(frozen=True)
class _Course:
    """One whole structure of one side on three dates or more, the current one last."""

    after: Measurement
    visits: tuple[Visit, ...]
    repeatability: Repeatability

    def record(self, record_id: str) -> Measurement:
        """Return the trend with its interval, or with the reason why there is none."""
        blank = _blank(record_id, TREND, self.after, self.visits[0].date or UNDATED)
        key = (self.after.structure, self.after.side)
        volumes = [found for visit in self.visits if (found := visit.volume(*key)) is not None]
        level, within = _within(self.repeatability, self.visits, self.after)
        reason = self._why_none(volumes)
        if reason is not None or level is None or within is None:
            return replace(blank, reason=reason or Reason.OUTSIDE_CALIBRATION)
        return self._reportable(blank, volumes, level, within)

    def _days(self) -> list[int]:
        """Count the days from the first visit to each one whose date is known."""
        days = [days_between(self.visits[0].date, visit.date) for visit in self.visits]
        return [day for day in days if day is not None]

    def _why_none(self, volumes: Sequence[Measurement]) -> Reason | None:
        """Return why there is no trend."""
        days, current = self._days(), self.visits[-1]
        if len(days) < len(self.visits):
            return Reason.DATES_UNKNOWN
        if len(volumes) < len(self.visits):
            return Reason.DEPENDS_ON_UNRELIABLE
        if days[-1] < LEAST_DAYS or len(set(days)) < len(days):
            return Reason.DATES_TOO_CLOSE
        pairs = zip(volumes, self.visits, strict=True)
        found = (_why_withheld((record,), (current, visit)) for record, visit in pairs)
        return next((reason for reason in found if reason is not None), None)

    def _reportable(
        self,
        blank: Measurement,
        volumes: Sequence[Measurement],
        level: RepeatLevel,
        within: Within,
    ) -> Measurement:
        """Return the trend of reportable volumes."""
        days = self._days()
        values = [record.value for record in volumes if record.value is not None]
        halves = [half_width_log(r.interval) for r in volumes if r.interval is not None]
        assert self.after.interval is not None
        coverage = self.after.interval.coverage
        assert coverage is not None  # what is compared here was measured, and not entered by hand
        own = math.sqrt(1 - within.correlation) / NormalDist().inv_cdf((1 + coverage) / 2)
        value = slope(days, values)
        below, above = slope_reach(days, values, [half * own for half in halves], coverage)
        still = [values[0]] * len(values)
        low, high = slope_reach(days, still, [within.sd_log] * len(values), COVERAGE)
        return replace(
            blank,
            value=value,
            interval=Interval(value + below, value + above, coverage),
            reliability=Reliability.REPORTABLE,
            reason=None,
            expression=slope_expression(days, [record.id for record in volumes]),
            calibration=self.repeatability.origin(level, within),
            reference=_reference_of(low, high, within, self.repeatability),
        )


UNITS = {ABSOLUTE: "mL", RELATIVE: "%", YEARLY: "%/a", TREND: "%/a"}
DENOMINATORS = {RELATIVE: OF_EARLIER, YEARLY: OF_EARLIER, TREND: OF_FIRST}
METHODS = {
    **dict.fromkeys((ABSOLUTE, RELATIVE, YEARLY), "difference of the reported volumes"),
    TREND: "median of the slopes of all pairs of the reported volumes (Theil-Sen)",
}


def _blank(record_id: str, quantity: str, after: Measurement, comparator: str) -> Measurement:
    """Return the record of a change before anything is known of it."""
    return Measurement(
        id=record_id,
        structure=after.structure,
        code=after.code,
        side=after.side,
        quantity=quantity,
        unit=UNITS[quantity],
        value=None,
        interval=None,
        reliability=Reliability.NOT_ASSESSED,
        reason=Reason.DEPENDS_ON_UNRELIABLE,
        method=METHODS[quantity],
        denominator=DENOMINATORS.get(quantity),
        comparator=comparator,
        date=after.date,
    )


def _why_withheld(records: Sequence[Measurement], visits: tuple[Visit, Visit]) -> Reason | None:
    """Return why volumes of two visits cannot be compared; None if they can."""
    if any(record.reliability is not Reliability.REPORTABLE for record in records):
        return Reason.DEPENDS_ON_UNRELIABLE
    return why_apart(*visits)


def _why_no_rate(days: int | None) -> Reason | None:
    """Return why there is no change a year."""
    if days is None:
        return Reason.DATES_UNKNOWN
    return Reason.DATES_TOO_CLOSE if days < LEAST_DAYS else None


def _within(
    repeatability: Repeatability, visits: Sequence[Visit], of: Measurement
) -> tuple[RepeatLevel | None, Within | None]:
    """Return the variation that the coarsest of several scans has."""
    coarsest = max((sorted(visit.spacing_mm) for visit in visits), key=lambda mm: mm[::-1])
    level = repeatability.level(coarsest)
    return level, None if level is None else level.structures.get(of.structure)


def _reference(factor: float, within: Within, of: Repeatability) -> Reference:
    """Return the range in which 95 % of changes without any change lie."""
    reach = within.coefficient_log
    return _reference_of(factor * math.expm1(-reach), factor * math.expm1(reach), within, of)


def _reference_of(lower: float, upper: float, within: Within, of: Repeatability) -> Reference:
    return Reference(lower, upper, COVERAGE, within.subjects, *of.described(within))
