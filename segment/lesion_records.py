"""Lesions and what became of each, as records. Knows nothing of images, sentences or rules.

No interval here is a prediction: the bounds are those of outlines half a voxel off, and of counts
that leave out what is too short to be sure of. Errors of two dates are taken as independent and the
worst of them, since nobody knows how they go together.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase

from segment.change import Visit, why_apart
from segment.geometry import MM3_PER_ML
from segment.lesion_change import (
    Count,
    Fate,
    LesionChange,
    LesionChanges,
    enlarged_count,
    new_count,
    shrunk_count,
)
from segment.measurement import (
    EARLIER_LOAD,
    OUTLINE,
    PIECES,
    Calibration,
    Interval,
    Measurement,
    Reason,
    Reliability,
)
from segment.objects import Lesion, Lesions

LOAD, LOAD_CHANGE = "lesion volume", "lesion volume change"
RELATIVE_LOAD_CHANGE = "relative lesion volume change"
SINCE_SMALLEST = "relative change of the smallest enhancing volume"
SINCE_BASELINE = "relative change of the baseline enhancing volume"
NUMBER, NEW, ENLARGED = "lesion count", "new lesions", "enlarged lesions"
COUNTS = {
    Fate.SHRUNK: "shrunk lesions",
    Fate.RESOLVED: "resolved lesions",
    Fate.STABLE: "unchanged lesions",
    Fate.MERGED: "merged lesions",
    Fate.SPLIT: "split lesions",
    Fate.MERGED_AND_SPLIT: "regrouped lesions",
}
TOLD = (
    *(Fate.NEW, Fate.ENLARGED, Fate.SHRUNK, Fate.RESOLVED),
    *(Fate.MERGED, Fate.SPLIT, Fate.MERGED_AND_SPLIT),
)
# In the quantity of the change of one lesion, and of its volume, before its letter.
ONE_CHANGE, ONE_VOLUME = " lesion change ", " lesion volume "
KINDS = {Fate.MERGED_AND_SPLIT: "regrouped"}  # where a fate is not called by its own word
LARGEST, LARGE = 5, "large lesion volume"  # how many are told by themselves, and as what
TODAY = (LOAD, NUMBER)  # what the first records are of; those of earlier dates follow
SURE_MM = 3.0  # Filippi et al. 2019, Brain 142:1858: a lesion of MS is at least 3 mm long
LETTERS = ascii_uppercase
BOUNDS = Calibration(OUTLINE, 0)
OF_CHANGE = (LOAD_CHANGE, RELATIVE_LOAD_CHANGE, SINCE_SMALLEST, SINCE_BASELINE)
COUNTED = "voxels inside of the outline; bounds: an outline half a voxel off"
MATCHED = "lesions that share a voxel after rigid alignment; bounds: an outline half a voxel off"


def includes_no_change(record: Measurement) -> bool:
    """Tell whether the bounds of a change in the volume of lesions include zero."""
    if not _is_change(record) or record.interval is None:
        return False
    return record.interval.lower <= 0 <= record.interval.upper


def excludes_no_change(record: Measurement) -> bool:
    """Tell whether the bounds of a change in the volume of lesions exclude zero."""
    return _is_change(record) and not includes_no_change(record)


def is_same_by_all(record: Measurement) -> bool:
    """Tell whether a count of lesions has bounds by its outlines that are the count itself."""
    interval = record.interval
    return (
        (record.quantity, record.basis) == (NUMBER, "outlined")
        and interval is not None
        and interval.lower == interval.upper == record.value
    )


def is_of_one(record: Measurement) -> bool:
    """Tell whether a record is the volume of one lesion, which has a letter."""
    return record.quantity[:-1].endswith(ONE_VOLUME)


def _is_change(record: Measurement) -> bool:
    """Tell whether a record states a change in the volume of lesions."""
    is_of_change = record.quantity in OF_CHANGE or ONE_CHANGE in record.quantity
    return is_of_change and record.reason is None


@dataclass(frozen=True, eq=False)
class Seen:
    """The lesions of one examination, and what says whether it can be compared."""

    lesions: Lesions
    visit: Visit


@dataclass(frozen=True)
class Listed:
    """A lesion that changed, by the letter that its records are called by."""

    letter: str
    change: LesionChange


def listed(changes: LesionChanges) -> tuple[Listed, ...]:
    """Letter the lesions that changed, those of a fate together, as far as the letters reach."""
    told = [change for fate in TOLD for change in changes.of(fate)]
    return tuple(Listed(*pair) for pair in zip(LETTERS, told, strict=False))


def lesion_records(
    blank: Measurement,
    now: Seen,
    earlier: Sequence[Seen],
    changes: LesionChanges | None,
    wanted: Collection[str] = (),
) -> tuple[Measurement, ...]:
    """Return what is told of lesions: today's, those of each earlier date, and what became of them.

    ``blank`` says of which structure; ids run m1, m2, ... ``earlier`` comes oldest first, and
    ``changes`` are those since the latest of it, None where the two could not be aligned.
    Without an earlier date the largest lesions are told by themselves. ``wanted`` are quantities
    that a rule goes by besides: SINCE_SMALLEST and SINCE_BASELINE.
    """
    made = [*_of_today(blank, now), *([] if earlier else _of_largest(blank, now))]
    made += [_of_earlier(blank, seen) for seen in earlier]
    if earlier:
        made += _since(blank, now, earlier[-1], changes)
        made += _since_dates(blank, now, earlier, wanted)
    numbered = [replace(record, id=f"m{n}") for n, record in enumerate(made, start=1)]
    return tuple(_with_expressions(numbered))


def _of_today(blank: Measurement, now: Seen) -> Iterator[Measurement]:
    """Yield the volume and the number of lesions."""
    yield _sized(replace(blank, quantity=LOAD, unit="mL"), now.lesions.found, 1.0)
    yield _number(replace(blank, quantity=NUMBER), now.lesions)


def largest(lesions: Lesions) -> tuple[tuple[str, Lesion], ...]:
    """Letter the largest lesions of one examination, the largest first."""
    return tuple(zip(LETTERS, lesions.found[:LARGEST], strict=False))


def _of_largest(blank: Measurement, now: Seen) -> Iterator[Measurement]:
    """Yield the volume of each of the largest lesions."""
    for letter, lesion in largest(now.lesions):
        record = replace(blank, quantity=f"{LARGE} {letter}", unit="mm3")
        yield _sized(record, [lesion], MM3_PER_ML)


def _of_earlier(blank: Measurement, seen: Seen) -> Measurement:
    """Return the volume of lesions on an earlier date."""
    record = replace(blank, quantity=EARLIER_LOAD, unit="mL", date=seen.visit.date)
    return _sized(record, seen.lesions.found, 1.0)


def _number(record: Measurement, lesions: Lesions) -> Measurement:
    """Count lesions, those that are long enough to be sure of at least."""
    found = lesions.found
    sure = sum(lesion.longest_diameter_mm >= SURE_MM for lesion in found)
    counted = Count(len(found), sure, len(found), ())
    return _counted(replace(record, unit=PIECES, method=COUNTED), counted)


def _since(
    blank: Measurement, now: Seen, before: Seen, changes: LesionChanges | None
) -> Iterator[Measurement]:
    """Yield what became of the lesions since an earlier date, or why nobody knows."""
    blank = replace(blank, method=MATCHED, comparator=before.visit.date or "earlier examination")
    reason = why_apart(now.visit, before.visit)
    old, new = before.lesions.found, now.lesions.found
    yield _withheld(_difference(replace(blank, quantity=LOAD_CHANGE, unit="mL"), old, new), reason)
    if old:
        relative = _relative(replace(blank, quantity=RELATIVE_LOAD_CHANGE, unit="%"), old, new)
        yield _withheld(relative, reason)
    if changes is None:
        doubt = before.visit.doubt or Reason.NOT_ALIGNED
        for quantity in (NEW, ENLARGED, *COUNTS.values()):
            yield replace(blank, quantity=quantity, unit=PIECES, reason=doubt)
        return
    counts = {NEW: new_count(changes, SURE_MM), ENLARGED: enlarged_count(changes, SURE_MM)}
    counts |= {name: _plain(changes.of(fate)) for fate, name in COUNTS.items()}
    counts[COUNTS[Fate.SHRUNK]] = shrunk_count(changes)
    for quantity, count in counts.items():
        record = replace(blank, quantity=quantity, unit=PIECES)
        yield _withheld(_counted(record, count), reason)
    for one in listed(changes):
        for record in _of_one(blank, one):
            yield _withheld(record, reason)


def _since_dates(
    blank: Measurement, now: Seen, earlier: Sequence[Seen], wanted: Collection[str]
) -> Iterator[Measurement]:
    """Yield the relative changes since the smallest and the first date; none since nothing."""
    loads = [seen.lesions.load_ml for seen in earlier]
    for quantity, place in ((SINCE_SMALLEST, loads.index(min(loads))), (SINCE_BASELINE, 0)):
        if quantity not in wanted or not loads[place]:
            continue
        before = earlier[place]
        record = replace(blank, quantity=quantity, unit="%", method=COUNTED)
        record = replace(record, comparator=before.visit.date or "earlier examination")
        record = _relative(record, before.lesions.found, now.lesions.found)
        old = f"m{len(TODAY) + place + 1}"
        record = replace(record, expression=f"100 * (m1 - {old}) / {old}")
        yield _withheld(record, why_apart(now.visit, before.visit))


def _plain(changes: tuple[LesionChange, ...]) -> Count:
    return Count(len(changes), len(changes), len(changes), changes)


def _of_one(blank: Measurement, one: Listed) -> Iterator[Measurement]:
    """Yield the volume of a lesion that changed and, where it is on both dates, its change."""
    change = one.change
    kind = KINDS.get(change.fate, str(change.fate))
    record = replace(blank, unit="mm3")
    volume = replace(record, quantity=f"{kind}{ONE_VOLUME}{one.letter}")
    yield _sized(volume, change.after or change.before, MM3_PER_ML)
    if change.before and change.after:
        grown = replace(record, quantity=f"{kind}{ONE_CHANGE}{one.letter}")
        yield _difference(grown, change.before, change.after, MM3_PER_ML)


def _sized(record: Measurement, lesions: Sequence[Lesion], per_ml: float) -> Measurement:
    """Give a record the volume of lesions."""
    value, lower, upper = (per_ml * number for number in _volumes(lesions))
    return _bounded(replace(record, method=record.method or COUNTED), value, lower, upper)


def _difference(
    record: Measurement, old: Sequence[Lesion], new: Sequence[Lesion], per_ml: float = 1.0
) -> Measurement:
    """Give a record what lesions grew by."""
    before, after = _volumes(old), _volumes(new)
    value, lower, upper = after[0] - before[0], after[1] - before[2], after[2] - before[1]
    return _bounded(record, per_ml * value, per_ml * lower, per_ml * upper)


def _relative(record: Measurement, old: Sequence[Lesion], new: Sequence[Lesion]) -> Measurement:
    """Give a record what lesions grew by, in percent of what they were."""
    before, after = _volumes(old), _volumes(new)
    pairs = ((after[0], before[0]), (after[1], before[2]), (after[2], before[1]))
    value, lower, upper = (100 * (one / other - 1) for one, other in pairs)
    return _bounded(replace(record, denominator=EARLIER_LOAD), value, lower, upper)


def _volumes(lesions: Sequence[Lesion]) -> tuple[float, float, float]:
    """Add up the volumes of lesions and their bounds, in mL."""
    return (
        math.fsum(lesion.volume_ml for lesion in lesions),
        math.fsum(lesion.lower_ml for lesion in lesions),
        math.fsum(lesion.upper_ml for lesion in lesions),
    )


def _counted(record: Measurement, count: Count) -> Measurement:
    """Give a record a count."""
    return _bounded(record, float(count.value), float(count.lower), float(count.upper))


def _bounded(record: Measurement, value: float, lower: float, upper: float) -> Measurement:
    """Give a record a value between bounds that are no prediction."""
    return replace(
        record,
        value=value,
        interval=Interval(lower, upper, coverage=None),
        reliability=Reliability.REPORTABLE,
        reason=None,
        calibration=BOUNDS,
    )


def _withheld(record: Measurement, reason: Reason | None) -> Measurement:
    """Withhold a change between examinations that cannot be compared."""
    if reason is None:
        return record
    return replace(record, reliability=Reliability.NOT_RELIABLE, reason=reason)


def _with_expressions(records: Sequence[Measurement]) -> Iterator[Measurement]:
    """Say of the change of the load which two volumes it is the difference of."""
    ids = {record.quantity: record.id for record in records}  # of several earlier ones the latest
    new, old = ids[LOAD], ids.get(EARLIER_LOAD)
    by = {LOAD_CHANGE: f"{new} - {old}", RELATIVE_LOAD_CHANGE: f"100 * ({new} - {old}) / {old}"}
    for record in records:
        yield replace(record, expression=by.get(record.quantity, record.expression))
