"""The finished report: lines that cite records. Knows nothing of writers, slots or checks."""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import prompts
from assistant.draft import Section
from assistant.judgement import (
    Judgement,
)
from assistant.ledger import Ledger
from assistant.records import (
    SCHEMA_VERSION,
    judgement_from_record,
    measurement_from_record,
    measurement_record,
    score_from_record,
)
from assistant.referral import quotable
from assistant.rows import (
    columns_of,
    judgement_row,
    measurement_row,
    one_line,
    provenance_rows,
    score_row,
)
from assistant.score import Score
from prompts import TERMS, Phrasebook
from segment.measurement import (
    Measurement,
)

SECTIONS: tuple[Section, ...] = tuple(name for name in get_args(Section) if name != "answer")
Origin = Literal["measured", "read from the image", "not assessed", "edited by", "stated", "quoted"]
READ_AGAIN = "read_again"  # of the provenance: sentences of people that stop a signature
QUOTING: tuple[Section, ...] = ("indication", "comparison")
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
    ``by`` names the person who wrote the sentence, where one did.
    """

    section: Section
    text: str
    cites: tuple[str, ...]
    origin: Origin
    by: str | None = None

    def __post_init__(self) -> None:
        if self.by is not None and self.origin != "edited by":
            msg = f"a line that a person wrote is edited by them, not {self.origin}"
            raise ValueError(msg)
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

    @cached_property
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
            "lines": [_line_record(line) for line in self.lines],
            "measurements": [measurement_record(m) for m in self.measurements],
            "scores": [asdict(score) for score in self.scores],
            "judgements": [asdict(judgement) for judgement in self.judgements],
            "problems": [{"text": p.text, "why": list(p.why)} for p in self.problems],
            "provenance": dict(self.provenance),
            "created": created,
        }


def _line_record(line: Line) -> dict[str, Any]:
    """Return a line as plain JSON values; one that no person wrote names nobody."""
    record = asdict(line) | {"cites": list(line.cites)}
    return {key: value for key, value in record.items() if (key, value) != ("by", None)}


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
        scores=tuple(score_from_record(score) for score in table.get("scores", ())),
        judgements=tuple(judgement_from_record(entry) for entry in table.get("judgements", ())),
    )


def report_rows(report: Report, words: Phrasebook) -> tuple[tuple[str, ...], ...]:
    """Write the table of a report: measurements, judgements, and the scores that a line cites.

    The other scores stand in report.json alone: a low one beside the findings would be taken for
    the finding that there is no fault.
    """
    cited = {cite for line in report.lines for cite in line.cites}
    rows = [measurement_row(record, words) for record in report.measurements]
    records = report.measurements
    judged = [judgement_row(judgement, records, words) for judgement in report.judgements]
    scored = [score_row(score, words) for score in report.scores if score.id in cited]
    return (*rows, *judged, *scored)


def _literal(text: str) -> str:
    """Escape a text that others wrote, so that Markdown shows it and never obeys it."""
    return SYNTAX.sub(r"\\\1", one_line(text))


def said(line: Line, words: Phrasebook) -> str:
    """Return what every file shows of a line: its text, marked where a person wrote it."""
    text = one_line(line.text)
    if line.by is not None:
        return words.marks["edited"].format(text=text, name=one_line(line.by))
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
