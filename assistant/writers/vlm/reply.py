"""Answers a question: what is told is planned from its topic, how it is told the model writes.

What no record holds is said in fixed words, so the model writes no line without a measurement. A
line that is true and no answer gives way to the stock sentence that was planned.
"""

from collections.abc import Generator
from dataclasses import replace

from assistant.draft import Draft, Statement
from assistant.writers import Brief
from assistant.writers.questions import Asked, understand
from assistant.writers.template import respond
from assistant.writers.vlm.ready import Ready
from assistant.writers.vlm.slots import MOST_RECORDS, TEXT_SLOT
from assistant.writers.vlm.tell import NAME, Request, Wanted, tell
from prompts import Phrasebook

FREE = ("size", "sure", "reliable")  # topics whose lines may hold any field of their record
NO_ANSWER = "a line of the language model was no answer to the question"
COMPARED = ("comparators", "sizes")  # of the lexicon: what places a value


def reply(ready: Ready, brief: Brief, request: Request) -> Generator[Statement, None, Draft]:
    """Yield each statement as soon as it is finished; return the whole.

    A line that the model does not come to is told in the stock sentence that was planned.
    """
    assert request.question is not None
    asked = understand(
        request.question, brief.ledger, brief.phrasebook, request.turns, ready.listener
    )
    planned = tuple(respond(asked, brief))
    heard = {"heard_by": "n-grams" if ready.listener is None else "n-grams, hidden states"}
    lines = tuple(wanted for said in planned if (wanted := wanted_of(said, asked, brief)))
    if not lines:
        yield from planned
        return Draft(planned, NAME, request.seed, {**ready.facts, **heard})
    writing = tell(ready, brief, replace(request, lines=lines))
    missed: tuple[str, ...] = ()
    kept: list[Statement] = []
    draft: Draft | None = None
    for said in planned:
        statement = said
        if draft is None and wanted_of(said, asked, brief) is not None:
            try:
                statement = replace(next(writing), stock=said.stock)
            except StopIteration as end:
                draft = end.value
        if statement is not said and not _answers(statement, said, asked, brief.phrasebook):
            statement, missed = said, (*missed, NO_ANSWER)
        kept.append(statement)
        yield statement
    draft = draft or _end_of(writing)
    return replace(
        draft,
        statements=tuple(kept),
        facts={**draft.facts, **heard},
        failures=(*draft.failures, *missed),
    )


def wanted_of(said: Statement, asked: Asked, brief: Brief) -> Wanted | None:
    """Say what the line in the place of a planned sentence must hold; None where it is fixed."""
    shown = brief.ledger.records[:MOST_RECORDS]
    records = tuple(record for record in shown if record.id in said.cites)
    if not said.cites or len(records) < len(said.cites):
        return None
    if records[0].reason is not None:
        return Wanted(records, "reason")
    return Wanted(records, None if asked.topic in FREE else "reading")


def _answers(statement: Statement, planned: Statement, asked: Asked, words: Phrasebook) -> bool:
    """Tell whether a line says what was asked, and not only something that is true."""
    held = {field for _, field in TEXT_SLOT.findall(statement.text)}
    if statement.cites != planned.cites:
        return False
    if asked.topic == "sure":
        return bool(held & {"reading", "interval", "reason"})
    if asked.topic == "size" and not held & {"norm", "reason"}:
        if ".norm}" not in planned.text:
            return True
        phrases = (p for kind in COMPARED for told in words.lexicon[kind].values() for p in told)
        return any(phrase in statement.text for phrase in phrases)
    return True


def _end_of(writing: Generator[Statement, None, Draft]) -> Draft:
    """Return what a writing returns after its last line."""
    while True:
        try:
            next(writing)
        except StopIteration as end:
            draft: Draft = end.value
            return draft
