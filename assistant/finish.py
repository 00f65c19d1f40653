"""Turns a draft into a report: renders, verifies, and puts stock sentences where one fails."""

from collections.abc import Iterator, Mapping
from typing import Any

from assistant.draft import Draft, Statement
from assistant.exams import Exam
from assistant.ledger import Ledger
from assistant.render import SlotError, render
from assistant.report import SECTIONS, Line, Origin, Problem, Report
from assistant.verify import verify_line
from assistant.writers.template import fixed_statements, phrase_statement, stock_statement
from prompts import Phrasebook
from segment.measurement import Reliability


class StockError(RuntimeError):
    """A stock sentence failed its own check: the phrasebook and the verifier do not agree."""


def finish(
    draft: Draft,
    ledger: Ledger,
    exam: Exam,
    phrasebook: Phrasebook,
    provenance: Mapping[str, Any],
    stated: tuple[str, ...] = (),
) -> Report:
    """Return the report of a draft; every line in it is rendered and verified.

    ``stated`` are keys of fixed sentences to be added to the technique, such as
    ``technique.sample``. A statement that fails is listed as a problem and replaced by the stock
    sentence of the same records; a record that no line cites gets its stock sentence.
    """
    lines: list[Line] = []
    problems: list[Problem] = []
    for statement in (*draft.statements, *_fixed(ledger, exam, phrasebook, stated)):
        line, why = _attempt(statement, ledger, phrasebook)
        if line is None:
            problems.append(Problem(statement.text, why))
            lines += _stock_lines(statement, ledger, exam, phrasebook)
        elif line not in lines:
            lines.append(line)
    cited = {cite for line in lines for cite in line.cites}
    for record in ledger.records:
        if record.id not in cited:
            lines.append(_certain(stock_statement(record, exam, phrasebook), ledger, phrasebook))
    ordered = sorted(dict.fromkeys(lines), key=lambda line: SECTIONS.index(line.section))
    return Report(
        exam=exam.name,
        language=phrasebook.language,
        lines=tuple(ordered),
        measurements=ledger.records,
        problems=tuple(problems),
        provenance={**provenance, "replaced": len(problems)},
    )


def _fixed(
    ledger: Ledger, exam: Exam, phrasebook: Phrasebook, stated: tuple[str, ...]
) -> Iterator[Statement]:
    """List the sentences that every report of the exam holds, and those asked for."""
    for key in stated:
        yield phrase_statement(key, (), phrasebook, "technique")
    yield from fixed_statements(ledger, exam, phrasebook)


def _attempt(
    statement: Statement, ledger: Ledger, phrasebook: Phrasebook
) -> tuple[Line | None, tuple[str, ...]]:
    """Render and verify one statement; return its line, or None and why it may not stand."""
    try:
        text = render(statement, ledger, phrasebook)
        line = Line(statement.section, text, statement.cites, _origin(statement, ledger))
    except (SlotError, ValueError) as error:
        return None, (str(error),)
    why = verify_line(line, {record.id: record for record in ledger.records}, phrasebook)
    return (None, why) if why else (line, ())


def _origin(statement: Statement, ledger: Ledger) -> Origin:
    """Say where a statement's content comes from."""
    if not statement.cites:
        return "not assessed" if statement.section == "not_assessed" else "stated"
    states = [ledger[cite].reliability for cite in statement.cites if cite in ledger]
    is_assessed = any(state is not Reliability.NOT_ASSESSED for state in states)
    return "measured" if is_assessed else "not assessed"


def _stock_lines(
    statement: Statement, ledger: Ledger, exam: Exam, phrasebook: Phrasebook
) -> list[Line]:
    """Say what holds of the records that a failed statement was about, one line each."""
    known = tuple(cite for cite in dict.fromkeys(statement.cites) if cite in ledger)
    section = statement.section if statement.section == "impression" else "findings"
    return [
        _certain(stock_statement(ledger[cite], exam, phrasebook, section), ledger, phrasebook)
        for cite in known
    ]


def _certain(statement: Statement, ledger: Ledger, phrasebook: Phrasebook) -> Line:
    """Render a stock sentence; raises StockError where it does not pass its own check."""
    line, why = _attempt(statement, ledger, phrasebook)
    if line is None:
        msg = f"the stock sentence {statement.stock} fails its check: {'; '.join(why)}"
        raise StockError(msg)
    return line
