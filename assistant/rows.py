"""Records as rows of a table, in the words of a language. Knows no report and no file."""

import unicodedata
from collections.abc import Mapping, Sequence
from math import floor, log10
from typing import Any

from assistant.judgement import Judgement, limit_digits
from assistant.score import Score, percent
from prompts import Phrasebook
from segment.measurement import Interval, Measurement, Reliability

MOST_DECIMALS: Mapping[str, int] = {"mL": 2, "%": 1, "%/a": 1}
MOST_DIGITS = 3  # of a value without an interval, where it has decimals
HIDDEN = ("Cc", "Cf", "Cs")  # control, formatting, halves of characters


def decimals(interval: Interval, unit: str) -> int:
    """Return how many decimals a value deserves: two significant digits of the half width."""
    most = MOST_DECIMALS.get(unit, 0)
    half_width = (interval.upper - interval.lower) / 2
    if half_width <= 0:
        return most
    return min(max(1 - floor(log10(half_width)), 0), most)


def decimals_alone(value: float, unit: str) -> int:
    """Return how many decimals a value without an interval is written with.

    Nothing says how many it deserves: there are as few as three significant digits need.
    """
    if value == 0:
        return 0
    return min(max(MOST_DIGITS - 1 - floor(log10(abs(value))), 0), MOST_DECIMALS.get(unit, 0))


def one_line(text: str) -> str:
    """Return a text as one line that shows all it holds: no control, no change of direction."""
    visible = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in HIDDEN)
    return " ".join(visible.split())


def measurement_row(m: Measurement, words: Phrasebook) -> tuple[str, ...]:
    """Write one record; one that may not be reported shows its reason in place of numbers.

    Of a value without an interval the column of intervals says so.
    """
    none = words.marks["none"]
    value = interval = reference = none
    reliability = words.reliability[m.reliability]
    if m.reason is not None:
        reliability += words.marks["colon"] + words.reasons[m.reason]
    if m.reliability is Reliability.WITHOUT_INTERVAL and m.value is not None:
        value = words.amount(m.value, m.unit, decimals_alone(m.value, m.unit))
        interval = words.marks["no_interval"]
    elif m.reason is None and m.value is not None and m.interval is not None:
        digits = decimals(m.interval, m.unit)
        value = words.amount(m.value, m.unit, digits)
        bounds = words.range(m.interval.lower, m.interval.upper, m.unit, digits)
        coverage = m.interval.coverage
        basis = words.marks[str(m.basis)] if coverage is None else words.share(coverage)
        interval = f"{bounds} ({basis})"
        if m.reference is not None:
            bounds = words.range(m.reference.lower, m.reference.upper, m.unit, digits)
            reference = f"{bounds} (n = {m.reference.n})"
    name = words.structure(m.structure, "none" if m.side == "none" else m.side)
    quantity = words.quantities[m.quantity]
    return (m.id, name, _side(m, words), quantity, value, interval, reliability, reference)


def _side(m: Measurement, words: Phrasebook) -> str:
    """Name the side of a record; a structure without a left and a right one has none."""
    is_unpaired = words.structures[m.structure].keys() == {"none"}
    return words.marks["none"] if is_unpaired else words.sides[m.side]


def columns_of(records: Sequence[Measurement], words: Phrasebook) -> dict[str, str]:
    """Name the columns of the table; bounds that a person stated are no prediction."""
    is_predicted = {record.basis for record in records} <= {"predicted", None}
    return dict(words.columns) | ({} if is_predicted else {"interval": words.marks["bounds"]})


def judgement_row(
    judgement: Judgement, records: Sequence[Measurement], words: Phrasebook
) -> tuple[str, ...]:
    """Write what became of one criterion, of which side, under the columns of the measurements."""
    none, reason = words.marks["none"], judgement.reason
    limits = words.marks["and"].join(
        words.marks["limit"].format(
            relation=words.relations[condition.relation],
            limit=words.amount(condition.limit, condition.unit, limit_digits(condition.limit)),
        )
        for condition in judgement.conditions
    )
    outcome = words.outcomes[judgement.outcome]
    if reason is not None:
        outcome += words.marks["colon"] + words.obstacles[reason]
    rule = words.rule(judgement.rule, judgement.version)
    criterion = words.criterion(judgement.rule, judgement.criterion)
    cited = [record for record in records if record.id in judgement.cites]
    side = _side(cited[0], words) if cited else none
    cells = (judgement.id, rule, side, criterion, outcome, none, judgement.source, limits)
    return tuple(map(one_line, cells))


def score_row(score: Score, words: Phrasebook) -> tuple[str, ...]:
    """Write one score of a fault under the columns of the measurements."""
    none, name = words.marks["none"], words.faults.get(score.value, score.finding)
    by = words.marks["read"].format(reader=score.reader, calibration=score.calibration)
    value = words.numbers["amount"].format(number=percent(score.probability), unit="%")
    quantity = words.marks["probability"].format(finding=name)
    cells = (score.id, none, none, quantity, value, none, by, none)
    return tuple(map(one_line, cells))


def provenance_rows(
    provenance: Mapping[str, Any], words: Phrasebook
) -> tuple[tuple[str, str], ...]:
    """Write what the report was made with as labels and values."""
    return tuple(
        (one_line(words.provenance.get(key, key.replace("_", " "))), one_line(_plain(entry)))
        for key, entry in provenance.items()
    )


def _plain(entry: object) -> str:
    """Write a value, a list or a table on one line; a table in another stands in brackets."""
    if isinstance(entry, Mapping):
        return ", ".join(f"{key} {_inner(value)}" for key, value in entry.items())
    if isinstance(entry, list | tuple):
        mark = "; " if any(isinstance(value, Mapping) for value in entry) else ", "
        return mark.join(map(_plain, entry))
    return str(entry)


def _inner(entry: object) -> str:
    """Write what stands in a table; of what is empty, a dash."""
    if isinstance(entry, Mapping | list | tuple) and not entry:
        return "–"
    is_table = isinstance(entry, Mapping) or (
        isinstance(entry, list | tuple) and any(isinstance(value, Mapping) for value in entry)
    )
    return f"({_plain(entry)})" if is_table else _plain(entry)
