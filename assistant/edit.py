"""A report that a person corrects: each change, and everything that follows from it.

Knows nothing of pages, files or of who may change what.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import prompts
from assistant import exams
from assistant.acts import (
    Accepted,
    Change,
    Edited,
    Removed,
    change_from_record,
    change_record,
)
from assistant.criteria import criteria_statements, told_together
from assistant.denial import Denial
from assistant.draft import Section, Statement
from assistant.ledger import Ledger
from assistant.override import EditError, Overridden, expect_plausible, overridden, parts_fit
from assistant.quality import quality_statements
from assistant.render import SLOT, SlotError, render, slot
from assistant.report import READ_AGAIN, Line, Origin, Problem, Report
from assistant.rows import decimals, one_line
from assistant.rules import judge
from assistant.verify import untold, verify_line
from assistant.writers import Brief, drain
from assistant.writers.template import NOTHING, Template, phrase_statement, stock_statement
from prompts import Phrasebook
from segment import organs
from segment.measurement import Reliability

__all__ = [
    "Accepted",
    "Change",
    "EditError",
    "Edited",
    "Manuscript",
    "Overridden",
    "Passage",
    "Removed",
    "change_from_record",
    "change_record",
    "filled",
]

LONGEST_SENTENCE = 2000  # characters
STATED = (
    "technique.caution",
    "technique.scanner_unknown",
    "technique.trend_dates",
    "technique.sample",
    "technique.resampled",
    "technique.radiological",
    "technique.neurological",
)


@dataclass(frozen=True)
class Passage:
    """One line of the report and the slots that it was filled from.

    ``edited_by`` and ``accepted_by`` name a person; ``contradictions`` say where a number of
    theirs differs from the record. ``is_overtaken`` is a sentence of theirs that nobody has read
    since a value that it is about was changed.
    """

    line: Line
    statement: Statement
    edited_by: str | None = None
    accepted_by: str | None = None
    contradictions: tuple[str, ...] = ()
    is_overtaken: bool = False


@dataclass(frozen=True)
class Manuscript:
    """A draft and what people changed in it, in order; ``report`` is what it says now.

    ``original`` is the report as the assistant made it and ``statements`` what its writer wrote.
    Undoing is leaving the last change out.
    """

    original: Report
    statements: tuple[Statement, ...] = ()
    changes: tuple[Change, ...] = field(default=())

    @cached_property
    def passages(self) -> tuple[Passage, ...]:
        """The lines as they stand, in the order of the report."""
        return self._state[1]

    @cached_property
    def report(self) -> Report:
        """The report as it stands: always a draft."""
        ledger, passages = self._state
        contradicted = [Problem(p.line.text, p.contradictions) for p in passages]
        return replace(
            self.original,
            lines=tuple(passage.line for passage in passages),
            measurements=ledger.records,
            judgements=ledger.judgements,
            problems=(*self.original.problems, *(p for p in contradicted if p.why)),
            provenance={**self.original.provenance, **self._trail()},
            status="draft",
            signed_by=None,
        )

    @cached_property
    def _state(self) -> tuple[Ledger, tuple[Passage, ...]]:
        ledger = self.original.ledger
        passages = tuple(_passages(self.original, self.statements))
        for change in self.changes:
            ledger, passages = _applied(change, ledger, passages, self.original)
        return ledger, passages

    def _trail(self) -> dict[str, Any]:
        """Say for the report's provenance who changed what, and what must be read again."""
        texts = [_told(c, self.original) for c in self.changes if not isinstance(c, Accepted)]
        overtaken = [passage.line.text for passage in self.passages if passage.is_overtaken]
        trail = {"changed": texts, READ_AGAIN: overtaken}
        return {key: told for key, told in trail.items() if told}

    def with_change(self, change: Change) -> "Manuscript":
        """Make one change; raises EditError where it cannot be made."""
        changed = replace(self, changes=(*self.changes, change))
        _ = changed.report
        if isinstance(change, Overridden):
            expect_plausible(change, self.original.measurements, _organs(self.original))
        if isinstance(change, Removed):
            _expect_told(self.report, changed.report)
        return changed

    def undone(self) -> "Manuscript":
        """Leave the last change out; raises EditError where there is none."""
        if not self.changes:
            msg = "expected a change to undo, found none; nothing was changed"
            raise EditError(Denial.NOTHING_TO_UNDO, msg)
        return replace(self, changes=self.changes[:-1])


def filled(text: str, ledger: Ledger, phrasebook: Phrasebook) -> str:
    """Fill the slots of a person's sentence; other numbers in it stay as they are typed.

    Raises EditError for a slot that nothing in the ledger fills.
    """
    parts, end = [], 0
    for match in SLOT.finditer(text):
        record_id, name = match.groups()
        try:
            written = slot(record_id, name, ledger, phrasebook)
        except KeyError as error:
            msg = f"expected a slot such as {{m1.value}}, found {match[0]}; write one of a record"
            raise EditError(Denial.UNKNOWN_SLOT, msg) from error
        parts += [text[end : match.start()], written]
        end = match.end()
    rest = text[end:]
    if any(brace in part for part in (*parts[::2], rest) for brace in "{}"):
        msg = "expected slots such as {m1.value}, found a brace that is none; take it out"
        raise EditError(Denial.STRAY_BRACE, msg)
    return "".join((*parts, rest))


def _passages(report: Report, statements: Sequence[Statement]) -> Iterator[Passage]:
    """Find the slots of each line: those of its writer, or of the stock sentence that it is."""
    ledger = report.ledger
    words = prompts.load(report.language)
    known: dict[tuple[str, str, tuple[str, ...]], Statement] = {}
    for statement in (*statements, *_stock(report, ledger, words)):
        try:
            text = render(statement, ledger, words)
        except (SlotError, ValueError):
            continue
        known.setdefault((statement.section, text, statement.cites), statement)
    for line in report.lines:
        bare = Statement(line.section, line.text, line.cites, "")
        yield Passage(line, known.get((line.section, line.text, line.cites), bare), line.by)


def _stock(report: Report, ledger: Ledger, words: Phrasebook) -> Iterator[Statement]:
    """List every sentence that can stand in the place of a writer's."""
    exam = exams.load(report.exam)
    yield from drain(Template().write(Brief(ledger, exam, words))).statements
    for key in STATED:
        yield phrase_statement(key, (), words, "technique")
    for record in ledger.records:
        yield stock_statement(record, exam, words)
        yield stock_statement(record, exam, words, "impression")
    yield from quality_statements(ledger, words)
    yield from criteria_statements(ledger, words)


def _applied(
    change: Change,
    ledger: Ledger,
    passages: tuple[Passage, ...],
    report: Report,
) -> tuple[Ledger, tuple[Passage, ...]]:
    """Return the records and lines after a change."""
    if isinstance(change, Overridden):
        changed = overridden(change, ledger.records)
        moved = {new.id for new, old in zip(changed, ledger.records, strict=True) if new != old}
        followed = _judged_again(replace(ledger, records=changed, judgements=()), ledger)
        return followed, tuple(_followed(passages, followed, moved, report))
    if not 0 <= change.line < len(passages):
        msg = f"expected a line from 1 to {len(passages)}, found {change.line + 1}; choose another"
        raise EditError(Denial.NO_SUCH_LINE, msg)
    old = passages[change.line]
    if isinstance(change, Removed):
        _expect_removable(old.line)
        return ledger, (*passages[: change.line], *passages[change.line + 1 :])
    if isinstance(change, Accepted):
        new = replace(old, accepted_by=change.who, is_overtaken=False)
    else:
        new = _written(change, old, ledger, prompts.load(report.language))
    return ledger, (*passages[: change.line], new, *passages[change.line + 1 :])


def _expect_removable(line: Line) -> None:
    """Refuse to take out what others wrote, and what says how the report was made."""
    if line.origin in ("quoted", "stated"):
        msg = f"expected a sentence about this study, found one that is {line.origin}; it stays"
        raise EditError(Denial.FIXED_SENTENCE, msg)


def _expect_told(before: Report, after: Report) -> None:
    """Refuse to take out the only sentence about a record, or the one about a gap."""
    if missing := [why for why in untold(after) if why not in untold(before)]:
        msg = f"expected another sentence that says the same, but {missing[0]}; edit it instead"
        raise EditError(Denial.LAST_TOLD, msg)


def _judged_again(changed: Ledger, before: Ledger) -> Ledger:
    """Hold changed records against the rules that they were held against before."""
    names = tuple(dict.fromkeys(judgement.rule for judgement in before.judgements))
    return replace(changed, judgements=judge(names, changed))


def _written(change: Edited, old: Passage, ledger: Ledger, words: Phrasebook) -> Passage:
    """Return a line in a person's words, marked as theirs, with what its numbers contradict."""
    if old.line.origin == "quoted":
        msg = "expected a sentence of the report, found a quotation of others; leave it as it is"
        raise EditError(Denial.QUOTATION, msg)
    text = one_line(change.text)
    if not text or len(text) > LONGEST_SENTENCE:
        msg = f"expected a sentence of at most {LONGEST_SENTENCE} characters, found {len(text)}"
        raise EditError(Denial.SENTENCE_LENGTH, msg)
    slots = (match[1] for match in SLOT.finditer(text))
    cites = tuple(dict.fromkeys((*old.statement.cites, *slots)))
    statement = Statement(old.statement.section, text, cites, old.statement.stock)
    return _marked(statement, change.who, ledger, words)


def _marked(statement: Statement, who: str, ledger: Ledger, words: Phrasebook) -> Passage:
    """Fill a person's sentence and hold its numbers against the records."""
    try:
        text = filled(statement.text, ledger, words)
        line = Line(statement.section, text, statement.cites, "edited by", one_line(who))
    except SlotError as error:
        raise EditError(Denial.UNKNOWN_SLOT, str(error)) from error
    except EditError:
        raise
    except ValueError as error:
        msg = (
            "expected a number that belongs to a record, found one in a line that cites none;"
            " write it into a line about that record, or take it out"
        )
        raise EditError(Denial.FOREIGN_NUMBER, msg) from error
    records = {record.id: record for record in ledger.records}
    why = verify_line(line, records, words, ledger.scores, ledger.judgements)
    return Passage(line, statement, who, contradictions=why)


def _followed(
    passages: Sequence[Passage], ledger: Ledger, moved: set[str], report: Report
) -> Iterator[Passage]:
    """Write each line about changed records anew; the stock sentence where it no longer holds."""
    words, exam = prompts.load(report.language), exams.load(report.exam)
    seen: set[Line] = set()
    told = _with_bounds(passages, words)
    for passage in _with_parts(told, words, fit=parts_fit(ledger.records, _organs(report))):
        for new in _rewritten(passage, ledger, moved, words, exam):
            if new.line not in seen:
                seen.add(new.line)
                yield new


def _with_bounds(passages: Sequence[Passage], words: Phrasebook) -> Iterator[Passage]:
    """Say beside the prediction intervals that there are bounds which a person stated."""
    told = words.phrases["technique.interval"]
    for passage in passages:
        if passage.line.text == told:
            text = words.phrases["technique.bounds"]
            statement = replace(passage.statement, text=text, stock="technique.bounds")
            yield Passage(replace(passage.line, text=text), statement)
        else:
            yield passage


def _with_parts(passages: Iterator[Passage], words: Phrasebook, *, fit: bool) -> Iterator[Passage]:
    """Say last of all, where it moves no other line, that parts no longer fit their whole."""
    text = words.phrases["technique.parts"]
    yield from (passage for passage in passages if passage.line.text != text)
    if not fit:
        statement = phrase_statement("technique.parts", (), words, "technique")
        yield Passage(Line("technique", text, (), "stated"), statement)


def _organs(report: Report) -> list[organs.Organ]:
    """Read the organs of a report's exam."""
    return [organs.load(name) for name in exams.load(report.exam).organs]


def _rewritten(
    passage: Passage, ledger: Ledger, moved: set[str], words: Phrasebook, exam: exams.Exam
) -> Iterator[Passage]:
    """Return what becomes of one line."""
    if passage.line.text == words.phrases[NOTHING]:
        entered = (record.id for record in ledger.records if record.id in moved)
        yield from _stocked(entered, "impression", ledger, words, exam)
    elif not moved & set(passage.line.cites):
        yield passage
    elif passage.edited_by is not None:
        marked = _marked(passage.statement, passage.edited_by, ledger, words)
        yield replace(marked, is_overtaken=True)
    elif (line := _holding(passage.statement, ledger, words)) is not None:
        yield Passage(line, passage.statement)
    elif passage.line.section == "criteria":
        judged = [ledger.judgement(c) for c in passage.line.cites if ledger.holds_judgement(c)]
        for statement in told_together(judged, ledger, words):
            line = _holding(statement, ledger, words)
            assert line is not None, statement.stock
            yield Passage(line, statement)
    else:
        section = passage.line.section
        place = section if section == "impression" else "findings"
        yield from _stocked(passage.line.cites, place, ledger, words, exam)


def _stocked(
    cites: Iterable[str], section: Section, ledger: Ledger, words: Phrasebook, exam: exams.Exam
) -> Iterator[Passage]:
    """Say of each record that there is what its stock sentence says."""
    for cite in (cite for cite in cites if cite in ledger):
        statement = stock_statement(ledger[cite], exam, words, section)
        line = _holding(statement, ledger, words)
        assert line is not None, statement.stock
        yield Passage(line, statement)


def _holding(statement: Statement, ledger: Ledger, words: Phrasebook) -> Line | None:
    """Render a statement; None where it says what the records do not carry."""
    records = {record.id: record for record in ledger.records}
    cited = [records[cite] for cite in statement.cites if cite in records]
    is_absent = all(record.reliability is Reliability.NOT_ASSESSED for record in cited)
    origin: Origin = "not assessed" if is_absent else "measured"
    try:
        text = render(statement, ledger, words)
        line = Line(statement.section, text, statement.cites, origin)
    except (SlotError, ValueError):
        return None
    why = verify_line(line, records, words, ledger.scores, ledger.judgements)
    return None if why else replace(line, origin="edited by")


def _told(change: Change, report: Report) -> str:
    """Say what a change was, in one line of provenance."""
    when = f"{one_line(change.who)}, {change.at}"
    if not isinstance(change, Overridden):
        act = "removed" if isinstance(change, Removed) else "edited"
        return f"line {change.line + 1} {act} by {when}"
    old = report.ledger[change.record]
    was = "not assessed"
    if old.value is not None:
        digits = 2 if old.interval is None else decimals(old.interval, old.unit)
        was = f"measured {old.value:.{digits}f}"
    now = f"{change.value:g} ({change.lower:g} to {change.upper:g}) {old.unit}"
    return f"{change.record} {was}, entered {now} by {when}"
