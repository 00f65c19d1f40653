"""Asks a server for a report or the lines of an answer, and reads the whole text line by line.

Knows nothing of what becomes of a statement. A text is asked for at once and not as a stream: so a
request that failed can be sent again before anybody has seen a line.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from assistant.draft import Draft, Section, Statement
from assistant.writers import Brief
from assistant.writers.server.connection import Connection, strange
from assistant.writers.server.engine import Served
from assistant.writers.server.messages import MARKUP, messages
from assistant.writers.vlm.asking import (
    Asked,
    PromptError,
    Reading,
    Request,
    ask,
    left_out,
    said_of,
)
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.slots import SECTION_TOKEN, SlotTokenError, parse_line

NAME = "server"
MOST_TOKENS = 1536
IMAGE_PX = 448  # a close view of 48 mm has no finer detail
WINDOW = 16_000  # characters of a prompt without its pictures
READING = Reading(MARKUP, IMAGE_PX, WINDOW)


@dataclass(frozen=True, eq=False)
class Server:
    """A model on a server that was found there, and how many tokens it may write."""

    connection: Connection
    served: Served
    most_tokens: int = MOST_TOKENS

    @property
    def facts(self) -> Mapping[str, Any]:
        """What provenance says of it; the address has no password in it."""
        return {
            "language_model": self.served.model,
            "server": self.connection.root,
            "engine": self.served.engine,
        }


@dataclass(frozen=True)
class _Written:
    """What came back: a text, whether it is whole, and how many pictures were looked at."""

    text: str
    is_whole: bool
    pictures: int


def tell(server: Server, brief: Brief, request: Request) -> Generator[Statement, None, Draft]:
    """Yield each statement of a text; return the whole.

    Raises ModelError where no text is to be had, before the first statement. A line with a slot
    that is none, or a text that was cut off, is a failure of the draft.
    """
    try:
        asked = ask(brief, request, READING)
    except (PromptError, SlotTokenError) as error:
        failure = f"the language model wrote nothing: {error}"
        return Draft((), NAME, request.seed, server.facts, (failure,))
    written = _request(server, asked, request.seed)
    kept: list[Statement] = []
    failures = list(said_of(asked.text))
    section: Section = "findings" if request.question is None else "answer"
    for line in _lines(written):
        try:
            read = server.served.spelling.read(line)
            if read == SECTION_TOKEN:
                section = "impression"
                continue
            kept.append(parse_line(read, section, asked.table, brief.exam, brief.phrasebook))
        except SlotTokenError as error:
            failures.append(f"a line of the language model was left out: {error}")
            continue
        yield kept[-1]
    if not written.is_whole:
        failures.append("the language model wrote no more: the server cut its text off")
    facts = {**server.facts, **_facts(server, asked, written)}
    return Draft(tuple(kept), NAME, request.seed, facts, tuple(failures))


def _request(server: Server, asked: Asked, seed: int) -> _Written:
    """Ask with pictures, and without them where the server refuses them."""
    pixels = asked.pixels if server.served.takes_pictures else asked.pixels[:0]
    try:
        return _written(server, asked, pixels, seed)
    except ModelError as error:
        if error.code is not Fault.REFUSED or not len(pixels):
            raise
    return _written(server, asked, pixels[:0], seed)


def _written(
    server: Server, asked: Asked, pixels: Float32[np.ndarray, "picture h w"], seed: int
) -> _Written:
    """Send one request and take the text out of its answer; raises ModelError."""
    served = server.served
    body = {
        "model": served.model,
        "messages": messages(served.spelling.written(asked.text.text), pixels),
        "temperature": 0.0,
        "seed": seed,
        "max_tokens": server.most_tokens,
        **served.fields(asked.grammar),
    }
    answer = server.connection.post(f"{server.connection.root}/chat/completions", body)
    try:
        choice = answer["choices"][0]
        text, ended = choice["message"]["content"], choice["finish_reason"]
    except (TypeError, KeyError, IndexError) as error:
        raise strange() from error
    if not isinstance(text, str) or not text.strip():
        raise strange()
    return _Written(text, ended == "stop", len(pixels))


def _lines(written: _Written) -> list[str]:
    """Return the lines with something in them; the last of a text that was cut off is none."""
    lines = written.text.splitlines()
    whole = lines if written.is_whole else lines[:-1]
    return [line.strip() for line in whole if line.strip()]


def _facts(server: Server, asked: Asked, written: _Written) -> dict[str, Any]:
    """Say for the provenance what was sent and what there was no room for."""
    return {
        "grammar_sha256": asked.grammar.sha256,
        "grammar_sent": server.served.notation,
        "pictures": written.pictures,
        **left_out(asked.text),
    }
