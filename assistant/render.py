"""Fills the slots of statements from the ledger. Knows nothing of sections or of checking."""

import re
from collections.abc import Callable, Mapping
from string import Formatter

from assistant.draft import Statement
from assistant.ledger import Ledger
from assistant.report import decimals, decimals_alone, holds_quantity
from assistant.score import Score, percent
from prompts import Phrasebook
from segment.measurement import Interval, Measurement, Reference, Reliability

SLOT = re.compile(r"\{(\w+)\.(\w+)\}")
BETWEEN_HAN = re.compile(r"(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")
BEFORE_NUMBER = re.compile(r"(?<=[\u4e00-\u9fff])(?=−?[0-9])")
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
HEDGE_ABOVE = 0.20  # (upper - lower) / value above which a value is written as approximate


class SlotError(ValueError):
    """A slot that nothing in the ledger fills."""


def render(statement: Statement, ledger: Ledger, phrasebook: Phrasebook) -> str:
    """Fill the slots of a statement; raises SlotError where the ledger does not carry them."""

    def fill(match: re.Match[str]) -> str:
        record_id, field = match.groups()
        is_read = ledger.holds_score(record_id)
        if record_id not in statement.cites or not (is_read or record_id in ledger):
            msg = f"slot {match[0]} is of a record that is not cited or not in the ledger"
            raise SlotError(msg)
        known = SCORE_FIELDS if is_read else FIELDS
        if field not in known:
            msg = f"slot {match[0]} is unknown; the fields are {', '.join(known)}"
            raise SlotError(msg)
        if is_read:
            return SCORE_FIELDS[field](ledger.score(record_id), phrasebook)
        return FIELDS[field](ledger[record_id], phrasebook)

    prose = SLOT.sub("", statement.text)
    if "{" in prose or "}" in prose:
        msg = f"a slot is a record and a field in braces; {statement.text!r} holds another"
        raise SlotError(msg)
    if holds_quantity(prose):
        msg = f"numbers are written as slots; {statement.text!r} holds one that is not"
        raise SlotError(msg)
    return BEFORE_NUMBER.sub(" ", BETWEEN_HAN.sub("", SLOT.sub(fill, statement.text)))


def is_hedged(measurement: Measurement) -> bool:
    """Tell whether the interval is so wide that the value is written as approximate."""
    value, interval = _value(measurement), _interval(measurement)
    return interval.upper - interval.lower > HEDGE_ABOVE * abs(value)


def _interval(m: Measurement) -> Interval:
    """Return the interval of a reportable measurement."""
    if m.reliability is not Reliability.REPORTABLE or m.interval is None:
        msg = f"{m.id} is {m.reliability} and has no number to be written"
        raise SlotError(msg)
    return m.interval


def _value(m: Measurement) -> float:
    """Return the value of a measurement that is reportable, or has but no interval."""
    if m.reliability is not Reliability.WITHOUT_INTERVAL:
        _interval(m)
    assert m.value is not None
    return m.value


def _reference(m: Measurement) -> Reference:
    """Return the reference range of a reportable measurement."""
    _interval(m)
    if m.reference is None:
        msg = f"{m.id} has no reference range to be written"
        raise SlotError(msg)
    return m.reference


def _write_value(m: Measurement, words: Phrasebook) -> str:
    if m.reliability is Reliability.WITHOUT_INTERVAL:
        return words.amount(_value(m), m.unit, decimals_alone(_value(m), m.unit))
    amount = words.amount(_value(m), m.unit, decimals(_interval(m), m.unit))
    return words.numbers["approximately"].format(amount=amount) if is_hedged(m) else amount


def _write_bounds(m: Measurement, words: Phrasebook) -> str:
    interval = _interval(m)
    return words.range(interval.lower, interval.upper, m.unit, decimals(interval, m.unit))


def _write_reference(m: Measurement, words: Phrasebook) -> str:
    reference = _reference(m)
    digits = decimals(_interval(m), m.unit)
    return words.range(reference.lower, reference.upper, m.unit, digits)


def _write_name(m: Measurement, words: Phrasebook) -> str:
    try:
        return words.structure(m.structure, m.side)
    except KeyError as error:
        msg = f"{words.language} has no name for {m.structure!r} of side {m.side!r}"
        raise SlotError(msg) from error


def _write_key(key: str | None, table: Mapping[str, str], m: Measurement) -> str:
    """Return the words of a key of the record."""
    if key is None or key not in table:
        msg = f"{m.id} holds no words for {key!r}"
        raise SlotError(msg)
    return table[key]


def _write_date(m: Measurement) -> str:
    if m.date is None:
        msg = f"{m.id} has no date to be written"
        raise SlotError(msg)
    return m.date


def _write_since(m: Measurement, words: Phrasebook) -> str:
    """Say from which examination, and to which, a change is counted."""
    if m.comparator is None:
        msg = f"{m.id} is compared with no earlier examination"
        raise SlotError(msg)
    if not ISO_DATE.fullmatch(m.comparator):
        return words.marks["since_earlier"]
    key = "since" if m.date is None else "between"
    return words.marks[key].format(earlier=m.comparator, later=m.date)


Field = Callable[[Measurement, Phrasebook], str]


def _composed(name: str) -> Field:
    """Return the field that the composite of a name writes.

    Ratios and changes may have one of their own, and so may values without an interval and bounds
    that a person stated or that follow from such.
    """

    def write(m: Measurement, words: Phrasebook) -> str:
        kind = "ratio" if m.comparator is None else "change"
        of_ratio = "" if m.denominator is None else f"_of_{kind}"
        basis = "" if m.basis == "predicted" else f"_{m.basis or 'without_interval'}"
        known = [key + basis for key in (name + of_ratio, name)] + [name + of_ratio, name]
        pattern = next(words.composites[key] for key in known if key in words.composites)
        parts = {part for _, part, _, _ in Formatter().parse(pattern) if part}
        return pattern.format(**{part: FIELDS[part](m, words) for part in parts})

    return write


def _write_coverage(m: Measurement, words: Phrasebook) -> str:
    coverage = _interval(m).coverage
    if coverage is None:
        msg = f"{m.id} has bounds that a person stated and no coverage to be written"
        raise SlotError(msg)
    return words.share(coverage)


FIELDS: Mapping[str, Field] = {
    "reading": _composed("reading"),
    "interval": _composed("interval"),
    "norm": _composed("norm"),
    "error": _composed("error"),
    "value": _write_value,
    "bounds": _write_bounds,
    "coverage": _write_coverage,
    "reference": _write_reference,
    "reference_coverage": lambda m, words: words.share(_reference(m).coverage),
    "n": lambda m, words: str(_reference(m).n),
    "scope": lambda m, words: _write_key(_reference(m).scope, words.scopes, m),
    "name": _write_name,
    "quantity": lambda m, words: _write_key(m.quantity, words.quantities, m),
    "denominator": lambda m, words: _write_key(m.denominator, words.denominators, m),
    "reason": lambda m, words: _write_key(m.reason, words.reasons, m),
    "date": lambda m, words: _write_date(m),
    "since": _write_since,
}


def _write_probability(score: Score, words: Phrasebook) -> str:
    """Write the probability of a calibrated score; one that is not calibrated is none."""
    if not score.is_calibrated:
        msg = f"{score.id} is not calibrated and has no probability to be written"
        raise SlotError(msg)
    return words.numbers["amount"].format(number=percent(score.probability), unit="%")


SCORE_FIELDS: Mapping[str, Callable[[Score, Phrasebook], str]] = {
    "probability": _write_probability,
}
