"""Questions about a kept study: which language, which turns before, and what is kept after.

Knows nothing of how the page shows an answer.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial

from assistant.answer import Answer
from assistant.draft import Statement
from assistant.page.desk import Desk
from assistant.page.markup import markdown
from assistant.page.telling import Telling
from assistant.pipeline import Assistant
from assistant.report import Line
from assistant.writers import Turn
from assistant.writers.questions import language_of
from prompts import Phrasebook, page
from segment.measurement import Measurement

MOST_TURNS = 6
LOG = logging.getLogger(__name__)


def answering(
    desk: Desk,
    question: str,
    assistant_of: Callable[[str, str], Assistant],
    telling: Telling | None = None,
) -> Iterator[tuple[Line, ...]]:
    """Yield the lines of the answer as they come; the question and its answer are kept.

    What is stopped in ``telling`` goes no further, and is kept by who stops it.
    """
    question = question.strip()
    telling = telling or Telling()
    report = desk.report()
    language = language_of(question)
    turns = tuple(_turns(desk, language))
    for step in assistant_of(report.exam, language).answering(report, question, turns):
        if isinstance(step, Answer):
            if telling.end(step.lines, partial(_keep, desk, step, language)):
                yield step.lines
        elif not telling.add(step):
            return
        else:
            yield telling.lines


def begin(
    desk: Desk, question: str, assistant_of: Callable[[str, str], Assistant], telling: Telling
) -> None:
    """Write an answer in a thread of its own: whoever waits for it can stop at once.

    Gradio closes what it cancels, and lets nobody do anything until that has come to a line's end.
    """

    def write() -> None:
        try:
            for _ in answering(desk, question, assistant_of, telling):
                pass
        except ValueError as error:
            telling.fail(error)
        except Exception:  # of the study alone: the page goes on
            LOG.exception("an answer failed")
            telling.fail(ValueError())

    threading.Thread(target=write, name="answer", daemon=True).start()


def keep_stopped(desk: Desk, question: str, lines: Sequence[Line]) -> None:
    """Keep what was told of an answer before somebody stopped it."""
    question = question.strip()
    record = {"language": language_of(question), "lines": [asdict(line) for line in lines]}
    desk.store.add_turn(desk.study, question, {**record, "is_stopped": True})
    desk.store.record(desk.study, desk.owner, "asked", question=question)


def shown(lines: Sequence[Line]) -> str:
    """Write lines as Markdown of which only the citations are links."""
    return "\n\n".join(
        markdown(line.text) + "".join(f" [{cite}](#cite-{cite})" for cite in line.cites)
        for line in lines
    )


def history(desk: Desk) -> list[dict[str, str]]:
    """Return the kept questions and answers as messages."""
    messages: list[dict[str, str]] = []
    for question, answer in desk.store.turns(desk.study):
        lines = [Line(**{**line, "cites": tuple(line["cites"])}) for line in answer["lines"]]
        told = shown(lines)
        if answer.get("is_stopped"):
            told += f"\n\n{markdown(page.load(answer['language'])['chat.broken_off'])}"
        messages.append({"role": "user", "content": markdown(question)})
        messages.append({"role": "assistant", "content": told})
    return messages


def suggestions(records: Sequence[Measurement], words: Phrasebook) -> tuple[str, ...]:
    """Return questions that the records of a study can answer."""
    say = page.load(words.language)
    whole = next((r for r in records if r.side != "none"), None)
    asked = []
    if whole is not None:
        name = words.structure(whole.structure, whole.side)
        pair = words.structure(whole.structure, "none")
        asked += [say["suggest.volume"].format(name=name), say["suggest.certain"].format(name=pair)]
    asked += [say["suggest.difference"], say["suggest.missing"]]
    return tuple(asked)


def _turns(desk: Desk, language: str) -> Iterator[Turn]:
    """Read the last turns in the same language that were answered to the end."""
    for question, answer in desk.store.turns(desk.study)[-MOST_TURNS:]:
        if answer["language"] == language and not answer.get("is_stopped"):
            yield Turn(
                question,
                tuple(
                    Statement(**{**said, "cites": tuple(said["cites"])})
                    for said in answer["statements"]
                ),
            )


def _keep(desk: Desk, answer: Answer, language: str) -> None:
    record = {
        "language": language,
        "lines": [asdict(line) for line in answer.lines],
        "statements": [asdict(statement) for statement in answer.statements],
    }
    desk.store.add_turn(desk.study, answer.question, record)
    desk.store.record(desk.study, desk.owner, "asked", question=answer.question)
