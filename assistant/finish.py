"""From statements to lines: renders, verifies, and puts stock sentences where one fails.

The report, its steps and an answer all come through here. Knows nothing of models or scans.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.criteria import criteria_statements
from assistant.draft import Draft, Section, Statement
from assistant.exams import Exam
from assistant.ledger import Ledger
from assistant.quality import quality_statements
from assistant.render import SlotError, render
from assistant.report import SECTIONS, Line, Origin, Problem, Report
from assistant.verify import verify_line
from assistant.writers import Brief, drain
from assistant.writers.template import (
    Template,
    fixed_statements,
    phrase_statement,
    stock_statement,
)
from prompts import Phrasebook
from segment.measurement import Reliability

OWN_STOCK: tuple[Section, ...] = (
    "comparison",
    "impression",
    "answer",
)  # where stock sentences also stand


class StockError(RuntimeError):
    """A stock sentence failed its own check: the phrasebook and the verifier do not agree."""


@dataclass(frozen=True)
class Composed:
    """A draft and what became of it: the lines that hold, and what could not stand.

    ``statements`` are those behind the lines, stock sentences among them.
    """

    draft: Draft
    lines: tuple[Line, ...]
    statements: tuple[Statement, ...]
    problems: tuple[Problem, ...]


def compose(
    writing: Generator[Statement, None, Draft], brief: Brief
) -> Generator[Line, None, Composed]:
    """Yield each line as soon as its statement is written and has passed; return the whole.

    In the place of a statement that fails stand the stock sentences of the records that it cites.
    """
    lines: dict[Line, Statement] = {}
    problems: list[Problem] = []
    while True:
        try:
            statement = next(writing)
        except StopIteration as end:
            draft: Draft = end.value
            break
        line, why = _attempt(statement, brief)
        if line is None:
            problems.append(Problem(statement.text, why))
            held = _stock(statement, brief)
        else:
            held = [(line, statement)]
        for line, said in held:
            if line not in lines:
                lines[line] = said
                yield line
    problems += [Problem("", (failure,)) for failure in draft.failures]
    return Composed(draft, tuple(lines), tuple(lines.values()), tuple(problems))


def complete(
    composed: Composed,
    brief: Brief,
    provenance: Mapping[str, Any],
    stated: tuple[str, ...] = (),
    quoted: tuple[Line, ...] = (),
) -> Report:
    """Return the report of what was composed; every line in it is rendered and verified.

    ``quoted`` are lines that others wrote: they join it here, after all writing is done.

    Added is what every report of the exam says, the technique's fixed sentences of the keys
    ``stated``, the faults that a reader found in the pictures, what became of each criterion, the
    stock sentence of each record that no line cites, and an impression where there is none.
    """
    words, exam, ledger = brief.phrasebook, brief.exam, brief.ledger
    keys = (*composed.draft.stated, *stated)
    added = tuple(phrase_statement(key, (), words, "technique") for key in keys)
    read = quality_statements(ledger, words)
    judged = criteria_statements(ledger, words)
    fixed = Draft((*added, *fixed_statements(ledger, exam, words), *read, *judged), "exam")
    always = drain(compose(replay(fixed), brief))
    lines = [*composed.lines, *always.lines]
    lines += [_certain(statement, brief) for statement in _left_out(lines, brief)]
    lines = [*quoted, *lines]
    ordered = sorted(dict.fromkeys(lines), key=lambda line: SECTIONS.index(line.section))
    problems = (*composed.problems, *always.problems)
    return Report(
        exam=exam.name,
        language=words.language,
        lines=tuple(ordered),
        measurements=ledger.records,
        problems=problems,
        provenance={**provenance, "replaced": len(problems)},
        scores=ledger.scores,
        judgements=ledger.judgements,
    )


def _left_out(lines: Sequence[Line], brief: Brief) -> Iterator[Statement]:
    """Say in stock sentences what no line says: of each record, and in the impression.

    A writer that is not told of changes leaves them out of its impression; they stand there anyway.
    """
    cited = {cite for line in lines if line.section != "criteria" for cite in line.cites}
    for record in brief.ledger.records:
        if record.id not in cited:
            yield stock_statement(record, brief.exam, brief.phrasebook)
    impression = [line for line in lines if line.section == "impression"]
    told = {cite for line in impression for cite in line.cites}
    for said in drain(Template().write(brief)).statements:
        is_untold = any(
            brief.ledger[cite].is_of_comparison for cite in said.cites if cite not in told
        )
        if said.section == "impression" and (is_untold or not impression):
            yield said


def finish(
    draft: Draft,
    ledger: Ledger,
    exam: Exam,
    phrasebook: Phrasebook,
    provenance: Mapping[str, Any],
    stated: tuple[str, ...] = (),
) -> Report:
    """Return the report of a draft that is written already."""
    brief = Brief(ledger, exam, phrasebook)
    return complete(drain(compose(replay(draft), brief)), brief, provenance, stated)


def replay(draft: Draft) -> Generator[Statement, None, Draft]:
    """Yield the statements of a draft as its writer did."""
    yield from draft.statements
    return draft


def _attempt(statement: Statement, brief: Brief) -> tuple[Line | None, tuple[str, ...]]:
    """Render and verify one statement; return its line, or None and why it may not stand."""
    ledger, words = brief.ledger, brief.phrasebook
    try:
        text = render(statement, ledger, words)
        line = Line(statement.section, text, statement.cites, _origin(statement, ledger))
    except (SlotError, ValueError) as error:
        return None, (str(error),)
    records = {record.id: record for record in ledger.records}
    why = verify_line(line, records, words, ledger.scores, ledger.judgements)
    return (None, why) if why else (line, ())


def _origin(statement: Statement, ledger: Ledger) -> Origin:
    """Say where a statement's content comes from."""
    if not statement.cites:
        return "not assessed" if statement.section == "not_assessed" else "stated"
    if all(ledger.holds_score(cite) for cite in statement.cites):
        return "read from the image"
    states = [ledger[cite].reliability for cite in statement.cites if cite in ledger]
    is_assessed = any(state is not Reliability.NOT_ASSESSED for state in states)
    return "measured" if is_assessed else "not assessed"


def _stock(statement: Statement, brief: Brief) -> list[tuple[Line, Statement]]:
    """Say what holds of the records that a failed statement was about.

    It is the sentence that was to stand there, else one line a record.
    """
    if statement.stock in brief.phrasebook.phrases:
        section = statement.section
        planned = phrase_statement(statement.stock, statement.cites, brief.phrasebook, section)
        line, _ = _attempt(planned, brief)
        if line is not None:
            return [(line, planned)]
    known = (cite for cite in dict.fromkeys(statement.cites) if cite in brief.ledger)
    section = statement.section if statement.section in OWN_STOCK else "findings"
    said = [
        stock_statement(brief.ledger[cite], brief.exam, brief.phrasebook, section) for cite in known
    ]
    return [(_certain(stock, brief), stock) for stock in said]


def _certain(statement: Statement, brief: Brief) -> Line:
    """Render a stock sentence; raises StockError where it does not pass its own check."""
    line, why = _attempt(statement, brief)
    if line is None:
        msg = f"the stock sentence {statement.stock} fails its check: {'; '.join(why)}"
        raise StockError(msg)
    return line
