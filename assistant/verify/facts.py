"""What one record carries, computed anew. Knows nothing of sentences and not of the renderer."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from assistant.ledger import evaluate, names_in
from assistant.verify.lexer import Number
from segment.measurement import EARLIER, PIECES, Measurement, Reason, Reliability

APPROXIMATE_ABOVE = 0.20  # (upper - lower) / value above which a value must be hedged
COUNT, LOAD_CHANGE = "lesion count", "lesion volume change"
VOLUME, TREND = "volume", "yearly volume trend"
LOADS = ("lesion volume", "earlier lesion volume")  # one of each examination
OF_LESION_CHANGE = re.compile(
    r"(relative )?lesion volume change|\w+ lesion change [A-Z]"
    r"|relative change of the (smallest|baseline) enhancing volume"
)
OF_EXAMINATIONS = (
    *(Reason.NOT_ALIGNED, Reason.OTHER_SIZE),
    *(Reason.OTHER_RESOLUTION, Reason.OTHER_PROTOCOL),
)
NO_CHANGE = "no_change"  # the one key of the lexicon's bounds
MOST_DECIMALS: Mapping[str, int] = {"mL": 2, "%": 1, "%/a": 1}


def agrees(shown: Number, actual: float) -> bool:
    """Tell whether a number is what the record holds, rounded to the decimals shown."""
    step = Decimal(1).scaleb(-shown.decimals)
    return Decimal(actual).quantize(step, ROUND_HALF_EVEN) == shown.value


def is_share(shown: Number, share: float) -> bool:
    """Tell whether a percentage says a share of one exactly."""
    return shown.value == Decimal(repr(share)) * 100


def is_precise(shown: Number, actual: float, record: Measurement) -> bool:
    """Tell whether a number shows as many decimals as its record's interval deserves.

    At least the first significant digit of the half width, at most the unit's decimals. Without
    an interval it shows decimals only as far as three significant digits reach.
    """
    most, interval = MOST_DECIMALS.get(record.unit, 0), record.interval
    if interval is None:
        is_short = abs(actual) * 10**shown.decimals < 1000
        return shown.decimals == 0 or (shown.decimals <= most and is_short)
    half_width = (interval.upper - interval.lower) / 2
    least = most if half_width <= 0 else max(-math.floor(math.log10(half_width)), 0)
    return min(least, most) <= shown.decimals <= most


def is_approximate(record: Measurement) -> bool:
    """Tell whether the value must be hedged; a count is what it is between its bounds."""
    if record.interval is None or record.value is None or record.unit == PIECES:
        return False
    width = record.interval.upper - record.interval.lower
    return width > APPROXIMATE_ABOVE * abs(record.value)


def comparison(record: Measurement) -> str | None:
    """Say where the whole interval lies against the reference range; a change has none such."""
    if record.reason is not None or record.interval is None or record.reference is None:
        return None
    if record.comparator is not None:
        return None
    lowest, highest = record.reference.lower, record.reference.upper
    is_low_end_inside = lowest <= record.interval.lower <= highest
    is_high_end_inside = lowest <= record.interval.upper <= highest
    if is_low_end_inside and is_high_end_inside:
        return "within"
    if record.interval.upper < lowest:
        return "below"
    return "above" if record.interval.lower > highest else "overlaps"


def size(record: Measurement) -> str | None:
    """Say how large a volume is by its reference range; other quantities have no size."""
    if record.quantity != "volume":
        return None
    placed = comparison(record)
    return {"below": "small", "within": "usual", "above": "large"}.get(placed or "")


def precision(record: Measurement) -> str | None:
    """Say whether the interval is so wide that the value is approximate."""
    if record.reason is not None or record.interval is None:
        return None
    return "wide" if is_approximate(record) else "narrow"


def sign(record: Measurement) -> int | None:
    """Return the sign that the whole interval shares, 0 where it includes zero."""
    if record.reason is not None or record.interval is None:
        return None
    if record.interval.lower <= 0 <= record.interval.upper:
        return 0
    return 1 if record.interval.lower > 0 else -1


def order(record: Measurement, records: Mapping[str, Measurement]) -> str | None:
    """Say which side an expression subtracts from which, by trying it on a larger left side."""
    if record.expression is None:
        return None
    trial = {"left": 2.0, "right": 1.0, "none": 1.0}
    values = {name: trial[records[name].side] for name in names_in(record.expression)}
    sides = {records[name].side for name in names_in(record.expression)}
    if sides != {"left", "right"}:
        return None
    return "left_minus_right" if evaluate(record.expression, values) > 0 else "right_minus_left"


def difference(record: Measurement, records: Mapping[str, Measurement]) -> str | None:
    """Say which side the interval of a side difference shows to be larger."""
    direction, which = order(record, records), sign(record)
    if direction is None or which is None:
        return None
    if which == 0:
        return "no_difference_shown"
    return "left_larger" if (which > 0) == (direction == "left_minus_right") else "right_larger"


def zero(record: Measurement, records: Mapping[str, Measurement]) -> str | None:
    """Say whether the interval of a side difference includes zero."""
    which = sign(record)
    if order(record, records) is None or which is None:
        return None
    return "inside" if which == 0 else "outside"


def change(record: Measurement) -> str | None:
    """Say what a change is beside its measurement error; None where that is not known.

    It is beyond the error where the value lies outside of the range and the interval excludes zero.
    """
    which, error = sign(record), record.reference
    if record.comparator is None or which is None or record.value is None or error is None:
        return None
    if which > 0 and record.value > error.upper:
        return "increased"
    if which < 0 and record.value < error.lower:
        return "decreased"
    return "within_error"


def includes_no_change(record: Measurement) -> str | None:
    """Say that the bounds of a change of lesions include zero, so that none is shown."""
    is_of_change = OF_LESION_CHANGE.fullmatch(record.quantity) is not None
    return NO_CHANGE if is_of_change and sign(record) == 0 else None


def is_incomparable(record: Measurement) -> bool:
    """Tell whether a change is withheld for what the examinations are, and not for a volume."""
    return record.comparator is not None and record.reason in OF_EXAMINATIONS


def has_since(record: Measurement, dates: Sequence[str], priors: int) -> bool:
    """Tell whether a sentence with these words says from which examination a change is counted."""
    if record.comparator is None:
        return True
    is_dated = re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", record.comparator) is not None
    return record.comparator in dates if is_dated else priors > 0


def basis(record: Measurement) -> str | None:
    """Say what the bounds rest on: a prediction, an outline, a person, or what follows from one."""
    if record.reason is not None or record.interval is None:
        return None
    if record.interval.coverage is not None:
        return "predicted"
    if record.calibration is not None:
        return "outlined"
    return "entered" if record.expression is None else "derived"


def _is_predicted(records: Sequence[Measurement]) -> bool:
    """Tell whether no bounds rest on a person."""
    return not {basis(record) for record in records} & {"entered", "derived"}


def _is_entered(records: Sequence[Measurement]) -> bool:
    """Tell whether some bounds rest on a person."""
    return not _is_predicted(records)


def is_bounded_by_itself(record: Measurement) -> bool:
    """Tell whether a count of lesions has bounds by its outlines that are the count itself."""
    ends = None if record.interval is None else {record.interval.lower, record.interval.upper}
    return (record.quantity, basis(record)) == (COUNT, "outlined") and ends == {record.value}


def _is_first(records: Sequence[Measurement]) -> bool:
    """Tell whether nothing is compared with an earlier examination."""
    return all(record.comparator is None for record in records)


def _is_trend_partial(records: Sequence[Measurement]) -> bool:
    """Tell whether a trend leaves out a date of which there are volumes."""
    dates = {record.date for record in records if record.quantity in (VOLUME, EARLIER)}
    trends = [record.expression for record in records if record.quantity == TREND]
    return any(len(names_in(trend)) < len(dates) for trend in trends if trend is not None)


def _is_one_sided(records: Sequence[Measurement]) -> bool:
    """Tell whether the records are of one side alone."""
    return len({record.side for record in records}) == 1


def _is_complete(records: Sequence[Measurement]) -> bool:
    """Tell whether nothing is withheld."""
    return all(record.reliability is Reliability.REPORTABLE for record in records)


def _is_by_network(records: Sequence[Measurement]) -> bool:
    """Tell whether networks that the user brought drew what was counted."""
    return any(", nnU-Net " in record.method for record in records)


def _is_ct(records: Sequence[Measurement]) -> bool:
    """Tell whether the scan was taken for a CT."""
    return all(record.reason is not Reason.NOT_HOUNSFIELD for record in records)


def _is_cut_short(records: Sequence[Measurement]) -> bool:
    """Tell whether more lesions changed than there are letters to call them by."""
    told = {r.quantity[-2:] for r in records if r.quantity[:-1].endswith(" lesion volume ")}
    counted = ("new", "enlarged", "shrunk", "resolved", "merged", "split", "regrouped")
    names = {f"{kind} lesions" for kind in counted}
    return sum(r.value or 0 for r in records if r.quantity in names) > len(told)


def _is_empty_on_a_date(records: Sequence[Measurement]) -> bool:
    """Tell whether an examination is taken for one without lesions."""
    return any(record.quantity in LOADS and record.value == 0 for record in records)


def _is_of_lesions(records: Sequence[Measurement]) -> bool:
    """Tell whether lesions are compared, of whose volumes no measurement error is known."""
    loads = [record for record in records if record.quantity == LOAD_CHANGE]
    return bool(loads) and all(record.reference is None for record in loads)


def _signs_of_load(records: Sequence[Measurement]) -> set[int | None]:
    """List how the bounds of each change of all lesions together lie to zero."""
    return {sign(record) for record in records if record.quantity == LOAD_CHANGE}


def _is_without_reference(records: Sequence[Measurement]) -> bool:
    """Tell whether no size can be compared with a reference range.

    What changed is held against its repeatability, which is no reference range of a size.
    """
    return all(r.reference is None for r in records if not r.is_of_comparison)


def _is_beyond_outlines(records: Sequence[Measurement]) -> bool:
    """Tell whether a change of lesions is stated whose bounds exclude zero."""
    return any(sign(r) for r in records if OF_LESION_CHANGE.fullmatch(r.quantity))


# Fixed sentences, by the beginning of their key, that hold of some studies and not of others.
CONDITIONS: Mapping[str, Callable[[Sequence[Measurement]], bool]] = {
    "technique.interval": _is_predicted,
    "technique.bounds": _is_entered,
    "technique.parts": _is_entered,
    "impression.nothing_measured": lambda records: all(r.is_withheld for r in records),
    "not_assessed.change": _is_first,
    "not_assessed.lesion_error": _is_beyond_outlines,
    "technique.change": lambda records: not _is_first(records),
    "answer.prior.": _is_first,
    "answer.one_side.": _is_one_sided,
    "answer.nothing_withheld.": _is_complete,
    "answer.no_reference.": _is_without_reference,
    "answer.lesion_error.": _is_of_lesions,
    "answer.lesion_rate.": _is_of_lesions,
    "answer.lesion_place.": lambda records: any(r.quantity in LOADS for r in records),
    "answer.load_differs.": lambda records: _signs_of_load(records) in ({1}, {-1}),
    "technique.trend_dates": _is_trend_partial,
    "technique.lesion_change": lambda records: not _is_first(records),
    "technique.lesions_left_out": _is_cut_short,
    "technique.lesions_none": _is_empty_on_a_date,
    "technique.scan.ct": _is_ct,
    "technique.own_model": _is_by_network,
    "technique.ct-organs": lambda records: not _is_by_network(records),
}


def holds(key: str, records: Sequence[Measurement]) -> bool:
    """Tell whether a fixed sentence holds of the records of a study."""
    return all(test(records) for start, test in CONDITIONS.items() if key.startswith(start))
