"""Answers a question: what is told is planned from its topic, how it is told the model writes.

What no record holds is said in fixed words, so the model writes no line without a measurement. A
line that is true and no answer gives way to the stock sentence that was planned.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from assistant.draft import Draft, Statement
from assistant.writers import Brief, drain
from assistant.writers.questions import understand
from assistant.writers.questions.asked import Asked
from assistant.writers.template import respond
from assistant.writers.vlm.asking import Request, Wanted, compared_line
from assistant.writers.vlm.joining import joined
from assistant.writers.vlm.ready import Ready
from assistant.writers.vlm.slots import TEXT_SLOT, SlotTable, of_one_text
from assistant.writers.vlm.tell import NAME, tell
from prompts import Phrasebook

FREE = ("sure", "reliable")  # topics whose lines may hold any field of their record
PLACED = ("reading", "norm")  # what a size holds where its stock sentence does
NO_ANSWER = "a line of the language model was no answer to the question"
TRUSTED = "reportable"  # of the lexicon: what calls it reliable

Telling = Callable[[Request], Generator[Statement, None, Draft]]


def reply(ready: Ready, brief: Brief, request: Request) -> Generator[Statement, None, Draft]:
    """Answer with a model in memory, as ``planned`` does."""
    nothing = Draft((), NAME, request.seed, ready.facts)
    telling, compares = partial(tell, ready, brief), ready.compares
    return (yield from planned(telling, nothing, brief, request, compares=compares))


def planned(
    telling: Telling, nothing: Draft, brief: Brief, request: Request, *, compares: bool = False
) -> Generator[Statement, None, Draft]:
    """Yield each statement as soon as it is finished; return the whole.

    A line that the model does not come to is told in the stock sentence that was planned;
    ``nothing`` is the draft of a model that is asked for no line. Lines about a comparison are a
    text of their own, of a model that ``compares``.
    """
    assert request.question is not None
    asked = understand(request.question, brief.ledger, brief.phrasebook, request.turns)
    plan = [
        (said, wanted_of(said, asked, brief, compares=compares)) for said in respond(asked, brief)
    ]
    lines = _of_two_texts([wanted for _, wanted in plan if wanted is not None])
    texts = {about: _text(request, lines, is_compared=about) for about in (False, True)}
    writings = {about: _Writing(telling(text) if text else None) for about, text in texts.items()}
    written = {key: iter(writing) for key, writing in writings.items()}
    kept: list[Statement] = []
    missed: list[str] = []
    for said, wanted in plan:
        statement = said if wanted is None else next(written[wanted.is_of_comparison], said)
        if not _answers(statement, said, asked, brief.phrasebook):
            statement = said
            missed.append(NO_ANSWER)
        kept.append(replace(statement, stock=said.stock))
        yield kept[-1]
    for rest in written.values():
        drain(rest)
    draft = joined([w.draft for w in writings.values() if w.draft is not None] or [nothing])
    return replace(
        draft,
        statements=tuple(kept),
        failures=(*draft.failures, *missed),
    )


def _of_two_texts(lines: Sequence[Wanted]) -> list[Wanted]:
    """Leave lines about a comparison out for which one text has no slots: they stay stock."""
    compared = [wanted for wanted in lines if wanted.is_of_comparison]
    room = of_one_text([[record.id for record in wanted.records] for wanted in compared])
    return [wanted for wanted in lines if wanted not in compared[room:]]


def _text(request: Request, lines: Sequence[Wanted], *, is_compared: bool) -> Request | None:
    """Ask for the lines about a comparison, or for the others; None where there are none."""
    own = tuple(wanted for wanted in lines if wanted.is_of_comparison == is_compared)
    if not own:
        return None
    ids = (record.id for wanted in own for record in wanted.records)
    return replace(request, lines=own, compared=tuple(ids) if is_compared else ())


@dataclass(eq=False)
class _Writing:
    """Lines of a model, if any are asked for; its draft once they have ended."""

    steps: Generator[Statement, None, Draft] | None
    draft: Draft | None = None

    def __iter__(self) -> Generator[Statement, None, None]:
        if self.steps is not None:
            self.draft = yield from self.steps


def wanted_of(
    said: Statement, asked: Asked, brief: Brief, *, compares: bool = False
) -> Wanted | None:
    """Say what the line in the place of a planned sentence must hold; None where it is fixed."""
    if not said.cites:
        return None
    cited = tuple(record for record in brief.ledger.records if record.id in said.cites)
    if compares and cited and cited[0].is_of_comparison:
        return compared_line(cited, is_short=".error}" not in said.text)
    shown = SlotTable.of(brief.ledger).records
    records = tuple(record for record in cited if record in shown)
    if len(records) < len(said.cites):
        return None
    if records[0].reason is not None:
        return Wanted(records, ("reason",))
    if asked.topic == "size":
        return Wanted(records, tuple(field for field in PLACED if f".{field}}}" in said.text))
    return Wanted(records, () if asked.topic in FREE else ("reading",))


def _answers(statement: Statement, planned: Statement, asked: Asked, words: Phrasebook) -> bool:
    """Tell whether a line says what was asked, and not only something that is true."""
    if statement is planned or statement.cites != planned.cites:
        return statement is planned
    held = {field for _, field in TEXT_SLOT.findall(statement.text)}
    if asked.topic == "sure":
        return bool(held & {"reading", "interval", "reason"})
    if asked.topic == "reliable" and not held & {"reason", "since"}:
        phrases = (phrase for told in words.lexicon[TRUSTED].values() for phrase in told)
        return any(phrase in statement.text for phrase in phrases)
    return True
