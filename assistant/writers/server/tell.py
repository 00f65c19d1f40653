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
from assistant.quality import told
from assistant.writers import Brief, Turn
from assistant.writers.server.connection import Connection, strange
from assistant.writers.server.engine import Served
from assistant.writers.server.messages import MARKUP, messages
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.grammar import Grammar, answer_grammar
from assistant.writers.vlm.pictures import pick
from assistant.writers.vlm.prompt import Prompt, Task, write_prompt
from assistant.writers.vlm.slots import (
    SECTION_TOKEN,
    SlotTable,
    SlotTokenError,
    parse_line,
    worded,
)
from assistant.writers.vlm.tell import Request, grammar_of, group_of, prose

NAME = "server"
MOST_TOKENS = 1536
IMAGE_PX = 448  # a close view of 48 mm has no finer detail
WINDOW = 16_000  # characters of a prompt without its pictures


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


@dataclass(frozen=True, eq=False)
class _Asked:
    """What the model is shown, and what its text must look like."""

    text: Prompt
    table: SlotTable
    grammar: Grammar
    pixels: Float32[np.ndarray, "picture h w"]


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
        asked = _ask(brief, request)
    except (ValueError, SlotTokenError) as error:
        failure = f"the language model wrote nothing: {error}"
        return Draft((), NAME, request.seed, server.facts, (failure,))
    written = _request(server, asked, request.seed)
    kept: list[Statement] = []
    failures = list(_said_of(asked.text))
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


def _ask(brief: Brief, request: Request) -> _Asked:
    """Write the prompt and the grammar of what it shows; raises ValueError without room."""
    words = brief.phrasebook
    pixels = _pictures(brief)
    task = Task(
        brief.ledger,
        words.language,
        pictures=len(pixels),
        quality=tuple(score.value for score in told(brief.ledger.scores)),
        question=request.question,
        turns=tuple(_worded(turn, brief) for turn in request.turns),
    )
    text = write_prompt(task, MARKUP, WINDOW)
    shown = tuple(record for record in brief.ledger.records if record.id not in text.left_out)
    table = SlotTable(shown, text.left_out)
    if request.question is None:
        grammar = grammar_of(table, words.language)
    else:
        lines = [group_of(wanted, table) for wanted in request.lines]
        grammar = answer_grammar(lines, prose(words.language))
    return _Asked(text, table, grammar, pixels)


def _worded(turn: Turn, brief: Brief) -> Turn:
    """Write an earlier answer as the model would have."""
    said = (worded(statement, brief.ledger, brief.phrasebook) for statement in turn.answer)
    return Turn(turn.question, tuple(said))


def _pictures(brief: Brief) -> Float32[np.ndarray, "picture h w"]:
    """Cut close views of what was segmented; none where there is nothing to look at."""
    if brief.shown is None or not brief.shown.subjects:
        return np.zeros((0, IMAGE_PX, IMAGE_PX), dtype=np.float32)
    return pick(brief.shown.volume, brief.shown.subjects, "crop", image_px=IMAGE_PX).pixels


def _request(server: Server, asked: _Asked, seed: int) -> _Written:
    """Ask with pictures, and without them where the server refuses them."""
    pixels = asked.pixels if server.served.takes_pictures else asked.pixels[:0]
    try:
        return _written(server, asked, pixels, seed)
    except ModelError as error:
        if error.code is not Fault.REFUSED or not len(pixels):
            raise
    return _written(server, asked, pixels[:0], seed)


def _written(
    server: Server, asked: _Asked, pixels: Float32[np.ndarray, "picture h w"], seed: int
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


def _facts(server: Server, asked: _Asked, written: _Written) -> dict[str, Any]:
    """Say for the provenance what was sent and what there was no room for."""
    facts: dict[str, Any] = {
        "grammar_sha256": asked.grammar.sha256,
        "grammar_sent": server.served.notation,
        "pictures": written.pictures,
    }
    if asked.text.left_out:
        facts["left_out"] = list(asked.text.left_out)
    if asked.text.turns_left_out:
        facts["turns_left_out"] = asked.text.turns_left_out
    return facts


def _said_of(text: Prompt) -> list[str]:
    if not text.left_out:
        return []
    told = ", ".join(text.left_out)
    return [f"the language model was not shown {told}, for which its prompt has no room"]
