"""The finished report: lines that cite records. Knows nothing of writers, slots or checks."""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from math import floor, log10
from typing import Any, Literal

import prompts
from assistant.draft import Section
from assistant.judgement import (
    Condition,
    Judgement,
    Obstacle,
    Outcome,
    limit_digits,
)
from assistant.ledger import Ledger
from assistant.referral import quotable
from assistant.score import Score, percent
from prompts import TERMS, Phrasebook
from segment.measurement import (
    Calibration,
    Interval,
    Measurement,
    Reason,
    Reference,
    Reliability,
)

SCHEMA_VERSION = 1
SECTIONS: tuple[Section, ...] = (
    "indication",
    "technique",
    "comparison",
    "findings",
    "criteria",
    "impression",
    "not_assessed",
)
Origin = Literal["measured", "read from the image", "not assessed", "edited by", "stated", "quoted"]
QUOTING: tuple[Section, ...] = ("indication", "comparison")
MOST_DECIMALS: Mapping[str, int] = {"mL": 2, "%": 1, "%/a": 1}
MOST_DIGITS = 3  # of a value without an interval, where it has decimals
HIDDEN = ("Cc", "Cf", "Cs")  # control, formatting, halves of characters
SYNTAX = re.compile(r"([\\`*<>\[\]&|])")
TERM = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(TERMS)})(?![A-Za-z0-9]|[.,]\d)")
CJK_NUMBER = re.compile(
    r"[零一二两三四五六七八九十百千万亿]{2,}|[零一二两三四五六七八九十百千万亿](?=[点毫立升厘例倍岁])"
)


def holds_quantity(text: str) -> bool:
    """Tell whether a text holds a number in any script, apart from terms such as T1."""
    rest = TERM.sub("", text)
    if CJK_NUMBER.search(rest):
        return True
    return any(unicodedata.category(character).startswith("N") for character in rest)


@dataclass(frozen=True)
class Line:
    """One sentence, the records it rests on and where it comes from.

    A quotation is what others wrote: it rests on no record, so a number in it is none of ours.
    """

    section: Section
    text: str
    cites: tuple[str, ...]
    origin: Origin

    def __post_init__(self) -> None:
        if self.origin == "quoted":
            self._check_quotation()
        elif not self.cites and holds_quantity(self.text):
            msg = f"a line with a number cites the record it comes from; {self.text!r} cites none"
            raise ValueError(msg)

    def _check_quotation(self) -> None:
        if self.cites or self.section not in QUOTING:
            msg = f"a quotation stands in {' or '.join(QUOTING)} and cites no record"
            raise ValueError(msg)
        if not self.text or self.text != quotable(self.text):
            msg = "a quotation is one line of visible characters in which no double mark ends it"
            raise ValueError(msg)


@dataclass(frozen=True)
class Problem:
    """A sentence that could not stand, and why."""

    text: str
    why: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """A report, a draft until somebody signs it.

    ``measurements`` are all records of its ledger, ``scores`` all that the reader said of the
    pictures, and ``judgements`` which criteria of published rules are met; the last two are empty
    where no reader ran and nothing was held against a rule.
    """

    exam: str
    language: str
    lines: tuple[Line, ...]
    measurements: tuple[Measurement, ...]
    problems: tuple[Problem, ...]
    provenance: Mapping[str, Any]
    status: Literal["draft", "signed"] = "draft"
    signed_by: str | None = None
    scores: tuple[Score, ...] = ()
    judgements: tuple[Judgement, ...] = ()

    def __post_init__(self) -> None:
        if (self.status == "signed") != (self.signed_by is not None):
            msg = f"a report is signed by somebody or is a draft, not {self.status} by nobody"
            raise ValueError(msg)
        ledger = self.ledger
        known = {*(m.id for m in ledger.records), *(score.id for score in ledger.scores)}
        known |= {judgement.id for judgement in ledger.judgements}
        cited = {cite for line in self.lines for cite in line.cites}
        if unknown := sorted(cited - known):
            msg = f"the report cites records that it does not hold: {unknown}"
            raise ValueError(msg)

    @property
    def ledger(self) -> Ledger:
        """All that its lines may rest on; raises ValueError where that contradicts itself."""
        return Ledger(self.measurements, self.scores, self.judgements)

    def markdown(self) -> str:
        """Write the report for people, in its own language."""
        words = prompts.load(self.language)
        marks = words.marks
        blocks = [f"**{_literal(self.mark())}**", self.disclaimer()]
        exam = words.exams.get(self.exam, _literal(self.exam))
        blocks.append("# " + marks["title"].format(exam=exam))
        for section in SECTIONS:
            lines = [_cited(line, words) for line in self.lines if line.section == section]
            if lines:
                blocks += [f"## {words.headings[section]}", "\n".join(lines)]
        blocks += [f"## {words.headings['measurements']}", _table(self, words)]
        blocks += [f"## {words.headings['provenance']}", _provenance(self.provenance, words)]
        return "\n\n".join(blocks) + "\n"

    def mark(self) -> str:
        """Say that the report is a draft, or who signed it."""
        marks = prompts.load(self.language).marks
        if self.signed_by is None:
            return marks["draft"]
        return marks["signed"].format(name=one_line(self.signed_by))

    def disclaimer(self) -> str:
        """Say what the report is not, and for a draft what must be done with it."""
        marks = prompts.load(self.language).marks
        return marks["disclaimer" if self.status == "draft" else "disclaimer_signed"]

    def to_json(self, created: str | None = None) -> dict[str, Any]:
        """Return what report.json holds; only ``created`` differs between equal reports."""
        return {
            "schema_version": SCHEMA_VERSION,
            "exam": self.exam,
            "language": self.language,
            "status": self.status,
            "signed_by": self.signed_by,
            "lines": [asdict(line) | {"cites": list(line.cites)} for line in self.lines],
            "measurements": [measurement_record(m) for m in self.measurements],
            "scores": [asdict(score) for score in self.scores],
            "judgements": [asdict(judgement) for judgement in self.judgements],
            "problems": [{"text": p.text, "why": list(p.why)} for p in self.problems],
            "provenance": dict(self.provenance),
            "created": created,
        }


def report_bytes(report: Report, created: str | None = None) -> bytes:
    """Return the bytes of report.json: equal for equal reports and equal ``created``."""
    text = json.dumps(
        report.to_json(created), sort_keys=True, ensure_ascii=False, indent=2, allow_nan=False
    )
    return (text + "\n").encode()


def report_from_json(table: Mapping[str, Any]) -> Report:
    """Read a report back from what report.json holds; raises ValueError, KeyError, TypeError.

    Where ``scores`` or ``judgements`` are absent, as before there were a reader and rules, the
    report has none.
    """
    return Report(
        exam=table["exam"],
        language=table["language"],
        lines=tuple(Line(**{**line, "cites": tuple(line["cites"])}) for line in table["lines"]),
        measurements=tuple(measurement_from_record(m) for m in table["measurements"]),
        problems=tuple(Problem(p["text"], tuple(p["why"])) for p in table["problems"]),
        provenance=table["provenance"],
        status=table["status"],
        signed_by=table["signed_by"],
        scores=tuple(_score(score) for score in table.get("scores", ())),
        judgements=tuple(_judgement(entry) for entry in table.get("judgements", ())),
    )


def schema(name: Literal["report", "measurements"]) -> dict[str, Any]:
    """Read a published JSON schema (draft 2020-12)."""
    path = files("assistant").joinpath("schemas", f"{name}.schema.json")
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table


def measurement_record(measurement: Measurement) -> dict[str, Any]:
    """Return a measurement as plain JSON values, every field by its own name."""
    return asdict(measurement)


def measurement_from_record(record: Mapping[str, Any]) -> Measurement:
    """Read a measurement back; raises ValueError where it is none."""
    expected = {field.name for field in fields(Measurement)}
    if unknown := sorted(record.keys() ^ expected):
        msg = f"record {record.get('id')}: the keys {unknown} are missing or unknown"
        raise ValueError(msg)
    interval, calibration = record["interval"], record["calibration"]
    reason, reference = record["reason"], record["reference"]
    parts = {
        "value": _float(record["value"]),
        "voxel_volume_mm3": _float(record["voxel_volume_mm3"]),
        "interval": None if interval is None else Interval(**_floats(interval)),
        "calibration": None if calibration is None else Calibration(**calibration),
        "reference": None if reference is None else Reference(**_floats(reference)),
        "reason": None if reason is None else Reason(reason),
        "reliability": Reliability(record["reliability"]),
    }
    return Measurement(**{**record, **parts})


def _score(record: Mapping[str, Any]) -> Score:
    """Read a score back; JSON may write 0 and 1 as integers."""
    return Score(**{**record, "probability": float(record["probability"])})


def _judgement(record: Mapping[str, Any]) -> Judgement:
    """Read a judgement back; JSON may write limits as integers and has no tuples."""
    conditions = (
        Condition(**{**c, "quantities": tuple(c["quantities"]), "limit": float(c["limit"])})
        for c in record["conditions"]
    )
    reason = record["reason"]
    parts = {
        "conditions": tuple(conditions),
        "cites": tuple(record["cites"]),
        "missing": tuple(record["missing"]),
        "outcome": Outcome(record["outcome"]),
        "reason": None if reason is None else Obstacle(reason),
    }
    return Judgement(**{**record, **parts})


def _floats(table: Mapping[str, Any]) -> dict[str, Any]:
    """Read bounds and shares as floats, which JSON may write as integers."""
    numbers = ("lower", "upper", "coverage")
    return {k: float(v) if k in numbers and v is not None else v for k, v in table.items()}


def _float(number: float | int | None) -> float | None:
    """Read a number as a float, which JSON may write as an integer."""
    return None if number is None else float(number)


def measurements_json(
    measurements: tuple[Measurement, ...], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what measurements.json holds."""
    return {
        "schema_version": SCHEMA_VERSION,
        "measurements": [measurement_record(m) for m in measurements],
        "provenance": dict(provenance),
    }


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
    is_unpaired = words.structures[m.structure].keys() == {"none"}
    side = none if is_unpaired else words.sides[m.side]
    return (m.id, name, side, quantity, value, interval, reliability, reference)


def columns_of(records: Sequence[Measurement], words: Phrasebook) -> dict[str, str]:
    """Name the columns of the table; bounds that a person stated are no prediction."""
    is_predicted = {record.basis for record in records} <= {"predicted", None}
    return dict(words.columns) | ({} if is_predicted else {"interval": words.marks["bounds"]})


def report_rows(report: Report, words: Phrasebook) -> tuple[tuple[str, ...], ...]:
    """Write the table of a report: measurements, judgements, and the scores that a line cites.

    The other scores stand in report.json alone: a low one beside the findings would be taken for
    the finding that there is no fault.
    """
    cited = {cite for line in report.lines for cite in line.cites}
    rows = [measurement_row(record, words) for record in report.measurements]
    judged = [judgement_row(judgement, words) for judgement in report.judgements]
    scored = [score_row(score, words) for score in report.scores if score.id in cited]
    return (*rows, *judged, *scored)


def judgement_row(judgement: Judgement, words: Phrasebook) -> tuple[str, ...]:
    """Write what became of one criterion under the columns of the measurements."""
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
    cells = (judgement.id, rule, none, criterion, outcome, none, judgement.source, limits)
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


def _literal(text: str) -> str:
    """Escape a text that others wrote, so that Markdown shows it and never obeys it."""
    return SYNTAX.sub(r"\\\1", one_line(text))


def said(line: Line, words: Phrasebook) -> str:
    """Return what every file shows of a line: its text, marked where it is a quotation."""
    text = one_line(line.text)
    return words.marks["quoted"].format(text=text) if line.origin == "quoted" else text


def _cited(line: Line, words: Phrasebook) -> str:
    """Write one line with its citations."""
    marks = "".join(f" [{cite}]" for cite in line.cites)
    return f"- {_literal(said(line, words))}{marks}"


def _table(report: Report, words: Phrasebook) -> str:
    """Write all records as a table."""
    columns = columns_of(report.measurements, words)
    rows = [tuple(columns.values()), tuple("---" for _ in columns)]
    rows += [tuple(map(_literal, row)) for row in report_rows(report, words)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _provenance(provenance: Mapping[str, Any], words: Phrasebook) -> str:
    """Write what the report was made with as a list."""
    colon = words.marks["colon"]
    return "\n".join(
        f"- {_literal(label)}{colon}{_literal(value)}"
        for label, value in provenance_rows(provenance, words)
    )


def _plain(entry: object) -> str:
    """Write a value, a list or a table on one line."""
    if isinstance(entry, Mapping):
        return ", ".join(f"{key} {_plain(value)}" for key, value in entry.items())
    if isinstance(entry, list | tuple):
        return ", ".join(_plain(value) for value in entry)
    return str(entry)
