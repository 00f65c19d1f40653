"""Fills the slots of statements from the ledger. Knows nothing of sections or of checking."""

import re
from collections.abc import Callable, Mapping
from string import Formatter
from typing import TypeVar

from assistant.draft import Statement
from assistant.judgement import Condition, Judgement, limit_digits
from assistant.ledger import Ledger
from assistant.report import holds_quantity
from assistant.rows import decimals, decimals_alone
from assistant.score import Score, percent
from assistant.writers import verdict
from prompts import Phrasebook
from segment.measurement import PIECES, Interval, Measurement, Reference, Reliability

SLOT = re.compile(r"\{(\w+)\.(\w+)\}")
BETWEEN_HAN = re.compile(r"(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")
BEFORE_NUMBER = re.compile(r"(?<=[\u4e00-\u9fff])(?=−?[0-9])")
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
HEDGE_ABOVE = 0.20  # (upper - lower) / value above which a value is written as approximate


T = TypeVar("T")


class SlotError(ValueError):
    """A slot that nothing in the ledger fills."""


def render(statement: Statement, ledger: Ledger, phrasebook: Phrasebook) -> str:
    """Fill the slots of a statement; raises SlotError where the ledger does not carry them."""

    def fill(match: re.Match[str]) -> str:
        record_id, field = match.groups()
        if record_id not in statement.cites:
            msg = f"slot {match[0]} is of a record that is not cited or not in the ledger"
            raise SlotError(msg)
        try:
            return slot(record_id, field, ledger, phrasebook)
        except KeyError as error:
            msg = f"slot {match[0]} is unknown: {error.args[0]}"
            raise SlotError(msg) from error

    prose = SLOT.sub("", statement.text)
    if "{" in prose or "}" in prose:
        msg = f"a slot is a record and a field in braces; {statement.text!r} holds another"
        raise SlotError(msg)
    if holds_quantity(prose):
        msg = f"numbers are written as slots; {statement.text!r} holds one that is not"
        raise SlotError(msg)
    return BEFORE_NUMBER.sub(" ", BETWEEN_HAN.sub("", SLOT.sub(fill, statement.text)))


def slot(entry_id: str, field: str, ledger: Ledger, phrasebook: Phrasebook) -> str:
    """Write one field of a record, a score or a judgement.

    Raises KeyError where there is no such entry or field, SlotError where the entry lacks it.
    """
    if ledger.holds_score(entry_id):
        return _field(SCORE_FIELDS, field)(ledger.score(entry_id), phrasebook)
    if ledger.holds_judgement(entry_id):
        return _field(JUDGEMENT_FIELDS, field)(ledger.judgement(entry_id), phrasebook)
    if entry_id not in ledger:
        msg = f"{entry_id} is not cited or not in the ledger"
        raise KeyError(msg)
    return _field(FIELDS, field)(ledger[entry_id], phrasebook)


def _field(
    known: Mapping[str, Callable[[T, Phrasebook], str]], name: str
) -> Callable[[T, Phrasebook], str]:
    """Return what writes a field."""
    if name not in known:
        msg = f"the fields are {', '.join(known)}"
        raise KeyError(msg)
    return known[name]


def is_hedged(measurement: Measurement) -> bool:
    """Tell whether a value is written as approximate, for its wide interval; a count never is."""
    if measurement.unit == PIECES:
        return False
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
    key = "since" if m.date is None else "same_day" if m.date == m.comparator else "between"
    return words.marks[key].format(earlier=m.comparator, later=m.date)


def _write_against(m: Measurement, words: Phrasebook) -> str:
    """Say which examination a finding of another date is held against."""
    if m.comparator is None or not ISO_DATE.fullmatch(m.comparator):
        return words.marks["against_earlier"]
    key = "against_same_day" if m.date == m.comparator else "against"
    return words.marks[key].format(earlier=m.comparator)


def _write_verdict(m: Measurement, words: Phrasebook) -> str:
    """Say what a change is beside its measurement error."""
    return _write_key(verdict(m), words.verdicts, m)


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
    "against": _write_against,
    "verdict": _write_verdict,
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


def _condition(judgement: Judgement) -> Condition:
    """Return the only condition of a judgement, which is all that a sentence has room for."""
    if len(judgement.conditions) > 1:
        msg = f"{judgement.id} has {len(judgement.conditions)} conditions; a sentence tells of one"
        raise SlotError(msg)
    return judgement.conditions[0]


def _write_limit(judgement: Judgement, words: Phrasebook) -> str:
    """Write a limit as its source states it."""
    condition = _condition(judgement)
    return words.amount(condition.limit, condition.unit, limit_digits(condition.limit))


def _write_missing(judgement: Judgement, words: Phrasebook) -> str:
    """Name the quantities that nothing measured."""
    return words.marks["and"].join(words.quantities[quantity] for quantity in judgement.missing)


JUDGEMENT_FIELDS: Mapping[str, Callable[[Judgement, Phrasebook], str]] = {
    "rule": lambda judgement, words: words.rule(judgement.rule, judgement.version),
    "source": lambda judgement, words: judgement.source,
    "criterion": lambda judgement, words: words.criterion(judgement.rule, judgement.criterion),
    "outcome": lambda judgement, words: words.outcomes[judgement.outcome],
    "relation": lambda judgement, words: words.relations[_condition(judgement).relation],
    "limit": _write_limit,
    "missing": _write_missing,
}
