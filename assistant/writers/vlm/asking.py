"""What a language model is asked about a brief, and what its text must look like.

Knows nothing of where a model is or of how it writes, and nothing of what becomes of a statement.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float32

import prompts
from assistant.quality import told
from assistant.writers import Brief, Turn
from assistant.writers.template import ASYMMETRY
from assistant.writers.vlm.author import tells_error, told_shortly, whole
from assistant.writers.vlm.corpus import corpus, joints, leads, turns
from assistant.writers.vlm.grammar import (
    Grammar,
    Group,
    Prose,
    answer_grammar,
    comparison_grammar,
    prose_of,
    report_grammar,
)
from assistant.writers.vlm.pictures import pick
from assistant.writers.vlm.prompt import Markup, Prompt, Task, write_prompt
from assistant.writers.vlm.slots import (
    AHEAD,
    SECTION_TOKEN,
    SlotTable,
    fields_of,
    sides_compared,
    worded,
)
from segment.measurement import Measurement

FORBIDDEN = ("number_words", "hedge")  # of the lexicon
COMPARED = "norm"  # the field that a comparison leads to
SPOKEN = re.compile(r"<unused\d+>|\n")  # between pieces of prose


@dataclass(frozen=True, eq=False)
class Request:
    """A question, or None for a report; what was asked before; and the seed.

    ``pixels`` are shown in the place of pictures of the brief's scan: an evaluation's. ``lines``
    say of each line of an answer which fields of which records it must hold. A text about records
    that are ``compared`` tells of these alone, and no picture is shown with it.
    """

    question: str | None = None
    turns: tuple[Turn, ...] = ()
    seed: int = 0
    pixels: Float32[np.ndarray, "picture h w"] | None = None
    lines: tuple["Wanted", ...] = ()
    compared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """Records that a line is about, withheld together or one alone, and the fields it must hold.

    The fields stand in their order. Without any each of the record's will do. ``beside`` are what
    it may hold as well, where that is not all that the record has.
    """

    records: tuple[Measurement, ...]
    fields: tuple[str, ...] = ()
    beside: tuple[str, ...] | None = None

    @property
    def is_of_comparison(self) -> bool:
        """Whether the line is about an earlier examination, or compares with one."""
        return self.records[0].is_of_comparison


@dataclass(frozen=True)
class Reading:
    """How a model reads: its markup, the size of its pictures, and how much of a text it takes.

    ``compares`` tells whether it was trained to word comparisons with earlier examinations.
    """

    markup: Markup
    image_px: int
    window: int
    count: Callable[[str], int] = len
    compares: bool = False


@dataclass(frozen=True, eq=False)
class Asked:
    """What a model is shown, and what its text must look like."""

    text: Prompt
    table: SlotTable
    grammar: Grammar
    pixels: Float32[np.ndarray, "picture h w"]


class PromptError(ValueError):
    """The study does not fit into the model's window."""


def ask(brief: Brief, request: Request, reading: Reading) -> Asked:
    """Write the prompt, within the model's window, and the grammar of what it shows.

    Raises PromptError where nothing fits and SlotTokenError for a line about a record left out.
    """
    words = brief.phrasebook
    pixels = _shown(brief, request, reading.image_px)
    task = Task(
        brief.ledger,
        words.language,
        pictures=len(pixels),
        quality=tuple(score.value for score in told(brief.ledger.scores)),
        question=request.question,
        turns=tuple(_worded(turn, brief) for turn in request.turns),
        compared=request.compared,
    )
    try:
        text = write_prompt(task, reading.markup, reading.window, reading.count)
    except ValueError as error:
        raise PromptError(str(error)) from error
    held = SlotTable.of(brief.ledger, request.compared).records
    table = SlotTable(tuple(r for r in held if r.id not in text.left_out), text.left_out)
    if reading.compares and not request.compared:  # those are told of in texts of their own
        text = replace(text, left_out=tuple(_of_today(text.left_out, brief)))
    if request.question is None:
        grammar = grammar_of(table, words.language)
    else:
        lines = [group_of(wanted, table) for wanted in request.lines]
        grammar = answer_grammar(lines, prose(words.language))
    return Asked(text, table, grammar, pixels)


def texts_of(brief: Brief, request: Request, *, compares: bool) -> tuple[Request, ...]:
    """List the texts that a report is written in: its own, and one for each side that is compared.

    A model that was not trained on comparisons is asked for none.
    """
    if request.question is not None or not compares:
        return (request,)
    sides = sides_compared(brief.ledger)
    return (request, *(replace(request, compared=side) for side in sides))


def _of_today(ids: Iterable[str], brief: Brief) -> Iterator[str]:
    """List the ids of records that are of no comparison."""
    return (record_id for record_id in ids if not brief.ledger[record_id].is_of_comparison)


def _worded(turn: Turn, brief: Brief) -> Turn:
    """Write an earlier answer as the model would have: of a stock sentence the names as words."""
    ledger, words = brief.ledger, brief.phrasebook
    return Turn(turn.question, tuple(worded(said, ledger, words) for said in turn.answer))


def _shown(brief: Brief, request: Request, image_px: int) -> Float32[np.ndarray, "picture h w"]:
    """Say which pictures go with a text."""
    if request.compared:
        return np.zeros((0, image_px, image_px), dtype=np.float32)
    return _pictures(brief, image_px) if request.pixels is None else request.pixels


def _pictures(brief: Brief, image_px: int) -> Float32[np.ndarray, "picture h w"]:
    """Cut close views of what was segmented; none where there is nothing to look at."""
    if brief.shown is None or not brief.shown.subjects:
        return np.zeros((0, image_px, image_px), dtype=np.float32)
    return pick(brief.shown.volume, brief.shown.subjects, "crop", image_px=image_px).pixels


def grammar_of(table: SlotTable, language: str) -> Grammar:
    """Write the grammar of a study's report, or of a comparison where that is in the table."""
    if table.records and table.records[0].is_of_comparison:
        return _grammar_of_comparison(table, language)
    return report_grammar(tuple(_groups(table)), SECTION_TOKEN, prose(language))


def _grammar_of_comparison(table: SlotTable, language: str) -> Grammar:
    """Demand a line about each record or group, and then what is told shortly of wholes."""
    lines = [group_of(compared_line(group), table) for group in table.groups()]
    said = [group_of(compared_line(g, is_short=True), table) for g in told_shortly(table)]
    return comparison_grammar(lines, said, SECTION_TOKEN, prose(language))


def compared_line(records: tuple[Measurement, ...], *, is_short: bool = False) -> Wanted:
    """Say which fields a line about a record of a comparison, or about a withheld group, holds."""
    fields = fields_of(records[0])
    if is_short or not tells_error(records[0]):
        fields = tuple(field for field in fields if field != "error")
    return Wanted(records, fields)


def group_of(wanted: Wanted, table: SlotTable) -> Group:
    """Say which slots a line of an answer must hold and which it may hold as well.

    Raises SlotTokenError for a record that the prompt had no room for.
    """
    records = wanted.records
    first, together = records[0], len(records) > 1 and wanted.fields
    ahead = tuple(field for field in wanted.fields if field in AHEAD)
    held = wanted.fields[len(ahead) :]
    known = fields_of(first) if wanted.beside is None else wanted.beside
    is_alone = together or first.is_of_comparison
    others = () if is_alone else (field for field in known if field not in held)
    begins = held[:1] if held[:1] != (COMPARED,) else ()
    return Group(
        tuple(table.token(record.id, field) for record in records for field in begins),
        tuple(table.token(first.id, field) for field in others),
        tuple(table.token(first.id, field) for field in held[len(begins) :]),
        tuple(table.token(first.id, field) for field in ahead),
    )


@cache
def prose(language: str) -> Prose:
    """Learn what stands between slots from all that can be said in a language.

    The model says no number and hedges none: that is the renderer's, from the interval.
    """
    parts = dict.fromkeys(SPOKEN.split(corpus(language)))
    lexicons = [prompts.load(name).lexicon for name in prompts.languages()]
    forbidden = [word for lexicon in lexicons for key in FORBIDDEN for word in lexicon[key]]
    return prose_of(parts, forbidden, joints(language), leads(language), turns(language))


def _groups(table: SlotTable) -> Iterator[Group]:
    """List what shares a line: a reading with the rest of its record, reasons together.

    What a stock sentence compares with its reference range is compared here too: a volume in the
    line of its reading, an index in a line of its own.
    """
    for records in table.groups():
        if records[0].reason is not None:
            yield group_of(Wanted(records, ("reason",)), table)
            continue
        yield from (group_of(wanted, table) for r in records for wanted in _lines_about(r))


def _lines_about(record: Measurement) -> Iterator[Wanted]:
    """List the lines that the findings hold of a reportable record."""
    has_norm = COMPARED in fields_of(record)
    if record.quantity == ASYMMETRY and has_norm:  # each is said once, in a line of its own
        yield Wanted((record,), ("reading",), beside=())
        yield Wanted((record,), (COMPARED,), beside=())
    elif has_norm and whole(record):
        yield Wanted((record,), ("reading", COMPARED))
    else:
        yield Wanted((record,), ("reading",))


def left_out(text: Prompt) -> dict[str, Any]:
    """Say for the provenance what the prompt had no room for."""
    left: dict[str, Any] = {}
    if text.left_out:
        left["left_out"] = list(text.left_out)
    if text.turns_left_out:
        left["turns_left_out"] = text.turns_left_out
    return left


def said_of(text: Prompt) -> Iterator[str]:
    """Say for the report what the model was not shown."""
    if text.left_out:
        yield (
            f"the language model was not shown {', '.join(text.left_out)}, for which its prompt"
            " has no room"
        )
