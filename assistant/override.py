"""A person's value in the place of a measured one, and what is derived from it again.

Knows nothing of sentences.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from assistant.denial import Denial, DeniedError
from assistant.ledger import evaluate, names_in
from assistant.rows import one_line
from segment.measurement import EARLIER, Interval, Measurement, Reason, Reliability
from segment.organs import Organ, Structure

VOLUME = "volume"
VOLUMES = (VOLUME, EARLIER)  # which are never negative; attenuation is
# The plausible range of an organ is that of the volumes which experts traced; a person may know of
# one outside of it. Twice as far out is an error of the unit: mm3 for mL is a thousandfold.
FARTHEST = 2.0


class EditError(DeniedError):
    """A change that cannot be made; the sentence says what to do instead."""


@dataclass(frozen=True)
class Overridden:
    """A value that a person puts in the place of a measured one, with the bounds they state."""

    record: str
    value: float
    lower: float
    upper: float
    who: str
    at: str


def overridden(change: Overridden, records: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """Put a person's value into its record, and derive again what is derived from it."""
    ids = [record.id for record in records]
    if change.record not in ids:
        msg = f"expected one of the records {', '.join(ids)}, found {change.record[:20]!r}"
        raise EditError(Denial.UNKNOWN_RECORD, msg)
    old = records[ids.index(change.record)]
    if old.expression is not None:
        needed = ", ".join(sorted(names_in(old.expression)))
        msg = f"{old.id} is derived from {needed}; override one of those instead"
        raise EditError(Denial.DERIVED, msg)
    least = 0.0 if old.quantity in VOLUMES else float("-inf")
    if not least <= change.lower <= change.value <= change.upper < float("inf"):
        msg = (
            f"expected a value between its bounds, found {change.value:g} for"
            f" {change.lower:g} to {change.upper:g}; state bounds that hold it"
        )
        raise EditError(Denial.OUTSIDE_BOUNDS, msg)
    new = replace(
        old,
        value=change.value,
        interval=Interval(change.lower, change.upper, coverage=None),
        reliability=Reliability.REPORTABLE,
        reason=None,
        method=f"entered by hand by {one_line(change.who)}",
        calibration=None,
        mask_sha256=None,
        voxels=None,
        voxel_volume_mm3=None,
    )
    changed = tuple(new if record.id == new.id else record for record in records)
    return tuple(_derived(record, changed, new.id) for record in changed)


def expect_plausible(
    change: Overridden, records: Sequence[Measurement], known: Sequence[Organ]
) -> None:
    """Raise EditError for a volume far outside what the organs know its structure to have."""
    old = next(record for record in records if record.id == change.record)
    ranges = {structure.name: structure.plausible_ml for o in known for structure in o.structures}
    plausible_ml = ranges.get(old.structure)
    if plausible_ml is None or old.quantity not in VOLUMES:
        return
    least_ml, most_ml = plausible_ml[0] / FARTHEST, plausible_ml[1] * FARTHEST
    if change.value < least_ml or change.upper > most_ml:
        msg = (
            f"expected {least_ml:g} to {most_ml:g} mL for {old.id}, the {old.side} {old.structure},"
            f" found {change.value:g} ({change.lower:g} to {change.upper:g}); enter it in mL"
        )
        raise EditError(Denial.IMPLAUSIBLE, msg)


def parts_fit(records: Sequence[Measurement], known: Sequence[Organ]) -> bool:
    """Tell whether on each side the bounds of every whole meet those of its parts together."""
    return all(
        _fits(whole, organ, [record for record in records if record.side == side])
        for organ in known
        for whole in organ.structures
        for side in {record.side for record in records}
    )


def _fits(whole: Structure, organ: Organ, records: Sequence[Measurement]) -> bool:
    """Compare one whole with its parts; what is withheld of these may be of any volume."""
    parts = [one for one in organ.structures if {*one.labels} < {*whole.labels}]
    volumes = {
        record.structure: record.interval
        for record in records
        if record.quantity == VOLUME and record.reason is None and record.interval is not None
    }
    of_whole, labels = volumes.get(whole.name), [label for one in parts for label in one.labels]
    if of_whole is None or len({*labels}) != len(labels):  # of parts that overlap there is no sum
        return True
    found = [volumes[part.name] for part in parts if part.name in volumes]
    is_all = len(found) == len(parts) and {*labels} == {*whole.labels}
    is_above = sum(part.lower for part in found) > of_whole.upper
    return not is_above and not (is_all and sum(part.upper for part in found) < of_whole.lower)


def _derived(record: Measurement, records: Sequence[Measurement], changed: str) -> Measurement:
    """Evaluate a derived record again where it rests on a changed one.

    Its bounds are the least and the greatest that any corner of the bounds below it gives. Like
    those that a person stated, they have no coverage. A change that cannot be compared stays one,
    and none is judged by the repeatability of a network that did not measure both volumes.
    """
    if record.expression is None or changed not in (names := names_in(record.expression)):
        return record
    used = {other.id: other for other in records if other.id in names}
    if any(other.value is None or other.interval is None for other in used.values()):
        return record
    values = {name: other.value for name, other in used.items() if other.value is not None}
    bounds = [(o.interval.lower, o.interval.upper) for o in used.values() if o.interval]
    try:
        value = evaluate(record.expression, values)
        ends = [
            evaluate(record.expression, dict(zip(used, corner, strict=True)))
            for corner in product(*bounds)
        ]
    except ZeroDivisionError as error:
        msg = f"{record.id} cannot be derived from nothing; enter a value above zero"
        raise EditError(Denial.NOT_DERIVABLE, msg) from error
    if record.reason not in (None, Reason.DEPENDS_ON_UNRELIABLE):
        return record if record.value is None else replace(record, value=value)
    is_sound = all(other.reason is None for other in used.values())
    return replace(
        record,
        value=value,
        interval=Interval(min(ends), max(ends), coverage=None),
        reliability=Reliability.REPORTABLE if is_sound else record.reliability,
        reason=None if is_sound else record.reason,
        calibration=None,
        reference=None if record.is_of_comparison else record.reference,
    )
