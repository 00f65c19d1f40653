"""What the model is asked, as text: pictures, the ledger without a digit, the task at the end.

Knows nothing of tokenizers (a caller counts) and nothing of what is answered.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace

from assistant.draft import Statement
from assistant.ledger import Ledger
from assistant.report import CJK_NUMBER
from assistant.rows import HIDDEN
from assistant.writers import Turn, assess, difference, verdict
from assistant.writers.vlm.slots import SlotTable
from segment.measurement import Measurement, Reliability

LONGEST_QUESTION = 240  # characters; the rest is cut
QUESTION = "question: "
REPORT, COMPARISON = "task: report", "task: comparison"
PLACED = {
    "below": "below reference",
    "within": "within reference",
    "above": "above reference",
    "overlaps": "crosses reference limit",
}
CHANGED = {
    "increased": "increased beyond error",
    "decreased": "decreased beyond error",
    "within_error": "within error",
}
NOT_COMPARABLE = "not comparable"
DIFFERS = {
    "left_larger": "left larger",
    "right_larger": "right larger",
    "no_difference_shown": "no difference shown",
}
WIDE = 0.20  # (upper - lower) / value above which a value is only approximate
MARKUP = re.compile(r"<[^<>\s]{0,40}>|[<>{}\[\]|`]")
NUMBER_MARK = "#"


@dataclass(frozen=True)
class Markup:
    """Special tokens around pictures and turns; a turn's are empty where a model has none."""

    picture_start: str = "<start_of_image>"
    picture: str = "<unused3000>"
    picture_end: str = "<end_of_image>"
    tokens_a_picture: int = 16
    user: str = "<start_of_turn>user\n"
    model: str = "<start_of_turn>model\n"
    end: str = "<end_of_turn>\n"

    def pictures(self, count: int) -> str:
        """Write the placeholders of some pictures."""
        return (
            self.picture_start + self.picture * self.tokens_a_picture + self.picture_end
        ) * count


@dataclass(frozen=True)
class Task:
    """What is asked of the model about one ledger; a report where there is no question.

    ``quality`` are keys of what the image reader found, such as ``motion``. Where records of a
    comparison are ``compared``, the task is about these alone.
    """

    ledger: Ledger
    language: str
    pictures: int = 0
    quality: tuple[str, ...] = ()
    question: str | None = None
    turns: tuple[Turn, ...] = ()
    compared: tuple[str, ...] = ()

    @property
    def table(self) -> SlotTable:
        """The slots that the task is about."""
        return SlotTable.of(self.ledger, self.compared)


@dataclass(frozen=True)
class Prompt:
    """A prompt, and what had to be left out of it: ids of records and a count of turns."""

    text: str
    left_out: tuple[str, ...] = ()
    turns_left_out: int = 0


def write_prompt(
    task: Task,
    markup: Markup,
    window: int | None = None,
    count: Callable[[str], int] = len,
) -> Prompt:
    """Write a task; where it exceeds ``window`` by ``count``, whole turns and records go.

    The oldest turns go first, then the last records. Raises ValueError where what remains is
    still too long.
    """
    table = task.table
    kept, turns = len(table.records), len(task.turns)
    while True:
        shown = SlotTable(table.records[:kept], ())
        text = _write(replace(task, turns=task.turns[len(task.turns) - turns :]), shown, markup)
        if window is None or count(text) <= window:
            left_out = (*(record.id for record in table.records[kept:]), *table.left_out)
            return Prompt(text, left_out, len(task.turns) - turns)
        if turns:
            turns -= 1
        elif len(groups := shown.groups()) > 1:
            kept -= len(groups[-1])
        else:
            msg = f"the prompt needs {count(text)} tokens and the window has {window}"
            raise ValueError(f"{msg}; use a model with a longer window")


def clean(text: str) -> str:
    """Return a stranger's text as words alone: one line, no markup, no number, not too long.

    What could be read as a special token or a slot goes; numbers become a mark, since the model
    reads none.
    """
    plain = unicodedata.normalize("NFKC", text)
    plain = "".join(" " if c.isspace() else c for c in plain if c.isspace() or _is_visible(c))
    while (stripped := MARKUP.sub(" ", plain)) != plain:
        plain = stripped
    plain = CJK_NUMBER.sub(NUMBER_MARK, plain)
    plain = "".join(NUMBER_MARK if _is_numeric(c) else c for c in plain)
    plain = re.sub(rf"{NUMBER_MARK}(?:[{NUMBER_MARK}.,]*{NUMBER_MARK})?", NUMBER_MARK, plain)
    return " ".join(plain.split())[:LONGEST_QUESTION].rstrip()


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in (*HIDDEN, "Co", "Cn")


def _is_numeric(character: str) -> bool:
    return unicodedata.category(character).startswith("N")


def _write(task: Task, table: SlotTable, markup: Markup) -> str:
    """Write the prompt of a task with these records and turns."""
    head = [*_records(table), *_context(task)]
    asked = [turn.question for turn in task.turns]
    asks = [f"{QUESTION}{clean(question)}" for question in asked]
    wanted = COMPARISON if task.compared else REPORT
    asks.append(wanted if task.question is None else f"{QUESTION}{clean(task.question)}")
    text = markup.user + markup.pictures(task.pictures) + "\n".join([*head, asks[0]])
    for turn, ask in zip(task.turns, asks[1:], strict=True):
        answer = "\n".join(_encoded(statement, table) for statement in turn.answer)
        text += f"{markup.end}{markup.model}{answer}{markup.end}{markup.user}{ask}"
    return f"{text}{markup.end}{markup.model}"


def _encoded(statement: Statement, table: SlotTable) -> str:
    """Write what was answered; a statement about records that are left out goes with them."""
    known = {record.id for record in table.records}
    return table.encode(statement) if known >= set(statement.cites) else "..."


def _records(table: SlotTable) -> list[str]:
    """Write one line a record or group: what it is, its slots, what may be said of it."""
    lines = []
    for group in table.groups():
        names = " + ".join(_named(record) for record in group)
        slots = "".join(table.slots_of(group))
        words = ", ".join(_attributes(group[0]))
        lines.append(f"{group[0].quantity}, {names}: {slots} {words}")
    return lines


def _named(record: Measurement) -> str:
    """Name a structure by its keys; raises ValueError where they hold a digit."""
    name = record.structure if record.side == "none" else f"{record.side} {record.structure}"
    if any(map(_is_numeric, name + record.quantity)):
        msg = f"{record.id}: a prompt holds no digit; expected a name without, found {name!r}"
        raise ValueError(msg)
    return name


def _attributes(record: Measurement) -> list[str]:
    """List what may be said of a record, coarsely."""
    if record.reason is not None:
        is_absent = record.comparator is None or record.reliability is Reliability.NOT_ASSESSED
        return [str(record.reliability) if is_absent else NOT_COMPARABLE]
    if record.is_of_comparison:
        return ["reliable", *(CHANGED[key] for key in [verdict(record)] if key)]
    differs = difference(record) if record.expression else None
    placed = assess(record)
    found = [
        "approximate" if is_wide(record) else "",
        DIFFERS.get(differs or ""),
        PLACED.get(placed or ""),
    ]
    return ["reliable", *(word for word in found if word)]


def is_wide(record: Measurement) -> bool:
    """Tell whether a reportable value is only approximate."""
    assert record.value is not None
    assert record.interval is not None
    return record.interval.upper - record.interval.lower > WIDE * abs(record.value)


def _context(task: Task) -> list[str]:
    """Write what else is known: an earlier examination, the pictures' quality, the language."""
    has_prior = any(record.comparator for record in task.ledger.records)
    quality = ", ".join(key.replace("_", " ") for key in map(clean, task.quality))
    return [
        f"prior: {'compared' if has_prior else 'none'}",
        *([f"image quality: {quality}"] if quality else []),
        f"language: {task.language}",
    ]
