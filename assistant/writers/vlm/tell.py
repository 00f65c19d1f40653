"""Asks the model for a report or the lines of an answer, and reads what it writes line by line.

Knows nothing of how a model is loaded and nothing of what becomes of a statement.
"""

from collections.abc import Generator
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
)
from assistant.writers.vlm.generate import Decoded, DecodingError, Prompt, Sampling, Statistics
from assistant.writers.vlm.ready import Ready
from assistant.writers.vlm.slots import SECTION_TOKEN, SlotTable, SlotTokenError, parse_line
from assistant.writers.vlm.vision import normalised

NAME = "vlm"


def tell(ready: Ready, brief: Brief, request: Request) -> Generator[Statement, None, Draft]:
    """Yield each statement as soon as its line is written; return the whole.

    What stops the writing is a failure of the draft: the statements before it stand.
    """
    kept: list[Statement] = []
    facts: dict[str, Any] = dict(ready.facts)
    failures: list[str] = []
    took: dict[str, float] = {}
    try:
        asked = ask(brief, request, _reading(ready))
        facts |= {"grammar_sha256": asked.grammar.sha256, **left_out(asked.text)}
        failures += said_of(asked.text)
        sampling = Sampling(request.seed)
        lines = ready.decoder.stream(_prompt(ready, asked), asked.grammar, sampling, ready.bounds)
        first: Section = "findings" if request.question is None else "answer"
        decoded = yield from _collected(_read(lines, first, asked.table, brief), kept)
        took = _times(decoded.statistics)
    except (DecodingError, SlotTokenError, PromptError) as error:
        failures.append(f"the language model wrote no more: {error}")
    return Draft(tuple(kept), NAME, request.seed, facts, tuple(failures), took=took)


def _reading(ready: Ready) -> Reading:
    """Say how a model in memory reads."""
    tokenizer, room = ready.model.tokenizer, ready.model.window - ready.bounds.tokens
    return Reading(
        ready.markup, ready.model.image_px, room, lambda text: len(tokenizer.encode(text).ids)
    )


def _prompt(ready: Ready, asked: Asked) -> Prompt:
    """Cut the prompt into tokens and scale its pictures."""
    tokens = torch.tensor(ready.model.tokenizer.encode(asked.text.text).ids)
    return Prompt(tokens, normalised(asked.pixels) if len(asked.pixels) else None)


def _collected(
    statements: Generator[Statement, None, Decoded], kept: list[Statement]
) -> Generator[Statement, None, Decoded]:
    """Pass statements on and keep them."""
    while True:
        try:
            statement = next(statements)
        except StopIteration as end:
            decoded: Decoded = end.value
            return decoded
        kept.append(statement)
        yield statement


def _read(
    lines: Generator[str, None, Decoded], section: Section, table: SlotTable, brief: Brief
) -> Generator[Statement, None, Decoded]:
    """Read each line as a statement; after the section token they are the impression's."""
    while True:
        try:
            line = next(lines)
        except StopIteration as end:
            decoded: Decoded = end.value
            return decoded
        if line == SECTION_TOKEN:
            section = "impression"
        else:
            yield parse_line(line, section, table, brief.exam, brief.phrasebook)


def _times(statistics: Statistics) -> dict[str, float]:
    counted = asdict(statistics) | {"tokens_per_s": statistics.tokens_per_s}
    return {name: float(number) for name, number in counted.items()}
