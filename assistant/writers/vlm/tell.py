"""Asks the model for reports or the lines of answers, and reads what it writes line by line.

Knows nothing of how a model is loaded and nothing of what becomes of a statement.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict
from typing import Any

import torch

from assistant.draft import Draft, Section, Statement
from assistant.writers import Brief
from assistant.writers.vlm.asking import (
    Asked,
    PromptError,
    Reading,
    Request,
    ask,
    left_out,
    said_of,
    texts_of,
)
from assistant.writers.vlm.generate import Commission, Decoded, Event, Prompt
from assistant.writers.vlm.joining import joined
from assistant.writers.vlm.pen import Sampling, Statistics
from assistant.writers.vlm.ready import Ready
from assistant.writers.vlm.slots import SECTION_TOKEN, SlotTokenError, parse_line
from assistant.writers.vlm.text import DecodingError
from assistant.writers.vlm.vision import normalised

NAME = "vlm"


def tell(ready: Ready, brief: Brief, request: Request) -> Generator[Statement, None, Draft]:
    """Yield each statement as soon as its line is written; return the whole.

    What stops the writing is a failure of the draft: the statements before it stand.
    """
    for _, told in tell_together(ready, [(brief, request)]):
        if isinstance(told, Draft):
            return told
        yield told
    raise AssertionError  # every request ends in a draft


def tell_together(
    ready: Ready, requests: Iterable[tuple[Brief, Request]], at_once: int = 1
) -> Iterator[tuple[int, Statement | Draft]]:
    """Have so many texts written at once; yield each statement and, at its end, each draft.

    Each comes with the place of its request, of which one is taken when there is room for it. A
    draft is the one that ``tell`` returns: of a report it is that of all of its texts.
    """
    drafts: dict[int, list[Draft | None]] = {}

    def texts() -> Iterator[tuple[tuple[int, int], Brief, Request]]:
        for place, (brief, request) in enumerate(requests):
            wanted = texts_of(brief, request, compares=ready.compares)
            drafts[place] = [None] * len(wanted)
            for number, text in enumerate(wanted):
                yield (place, number), brief, text

    for (place, number), told in _tell_texts(ready, texts(), at_once):
        if not isinstance(told, Draft):
            yield place, told
            continue
        drafts[place][number] = told
        ended = [draft for draft in drafts[place] if draft is not None]
        if len(ended) == len(drafts[place]):
            yield place, joined(ended)


def _tell_texts(
    ready: Ready, texts: Iterable[tuple[tuple[int, int], Brief, Request]], at_once: int
) -> Iterator[tuple[tuple[int, int], Statement | Draft]]:
    """Have so many texts written at once; yield each statement and each draft with its place."""
    unasked: list[_Telling] = []

    def wanted() -> Iterator[tuple[_Telling, Commission]]:
        for place, brief, request in texts:
            telling = _Telling(place, ready, brief, request)
            commission = telling.ask()
            if commission is None:
                unasked.append(telling)
            else:
                yield telling, commission

    for telling, event in ready.decoder.write_together(wanted(), at_once):
        for told in telling.hear(event):
            yield telling.place, told
    for telling in unasked:
        yield telling.place, telling.draft()


class _Telling:
    """A draft in the making: what was read so far, and what went wrong."""

    def __init__(
        self, place: tuple[int, int], ready: Ready, brief: Brief, request: Request
    ) -> None:
        self.place, self._is_over = place, False
        self._ready, self._brief, self._request = ready, brief, request
        self._section = _first_section(request)
        self._kept: list[Statement] = []
        self._facts: dict[str, Any] = dict(ready.facts)
        self._failures: list[str] = []
        self._took: dict[str, float] = {}

    def ask(self) -> Commission | None:
        """Say what is to be written; None where that cannot be asked for."""
        ready, request = self._ready, self._request
        try:
            asked = ask(self._brief, request, _reading(ready))
        except (SlotTokenError, PromptError) as error:
            self._fail(error)
            return None
        self._table = asked.table
        self._facts |= {"grammar_sha256": asked.grammar.sha256, **left_out(asked.text)}
        self._failures += said_of(asked.text)
        sampling = Sampling(request.seed)
        return Commission(_prompt(ready, asked), asked.grammar, sampling, ready.bounds)

    def hear(self, event: Event) -> Iterator[Statement | Draft]:
        """Read what was written: yield a statement, the draft at its end, and nothing after it."""
        if self._is_over:
            return
        statement = self._heard(event)
        if statement is not None:
            yield statement
        if self._is_over:
            yield self.draft()

    def _heard(self, event: Event) -> Statement | None:
        """Read a line as a statement; after the section token they are the impression's."""
        if isinstance(event, Decoded):
            self._took, self._is_over = _times(event.statistics), True
        elif isinstance(event, DecodingError):
            self._fail(event)
        elif event == SECTION_TOKEN:
            self._section = "impression"
        else:
            return self._read(event)
        return None

    def draft(self) -> Draft:
        """Return what has come of it."""
        failures, seed = tuple(self._failures), self._request.seed
        return Draft(tuple(self._kept), NAME, seed, self._facts, failures, took=self._took)

    def _read(self, line: str) -> Statement | None:
        about = self._brief
        try:
            statement = parse_line(line, self._section, self._table, about.exam, about.phrasebook)
        except SlotTokenError as error:
            self._fail(error)
            return None
        self._kept.append(statement)
        return statement

    def _fail(self, error: Exception) -> None:
        self._failures.append(f"the language model wrote no more: {error}")
        self._is_over = True


def _first_section(request: Request) -> Section:
    """Say in which section the first statement of a text stands."""
    if request.question is not None:
        return "answer"
    return "comparison" if request.compared else "findings"


def _reading(ready: Ready) -> Reading:
    """Say how a model in memory reads."""
    tokenizer, room = ready.model.tokenizer, ready.model.window - ready.bounds.tokens
    return Reading(
        ready.markup,
        ready.model.image_px,
        room,
        lambda text: len(tokenizer.encode(text).ids),
        compares=ready.compares,
    )


def _prompt(ready: Ready, asked: Asked) -> Prompt:
    """Cut the prompt into tokens and scale its pictures."""
    tokens = torch.tensor(ready.model.tokenizer.encode(asked.text.text).ids)
    return Prompt(tokens, normalised(asked.pixels) if len(asked.pixels) else None)


def _times(statistics: Statistics) -> dict[str, float]:
    counted = asdict(statistics) | {"tokens_per_s": statistics.tokens_per_s}
    return {name: float(number) for name, number in counted.items()}
