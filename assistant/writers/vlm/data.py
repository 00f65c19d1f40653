"""Pairs to train the writer on: a task about a ledger and the text, with slots, to be written.

Knows what is asked and which facts answer it; renders nothing and reads no picture. Held out are
every fifth subject (``ledgers``) and every fourth wording and question (``phrasings``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

import prompts
from assistant.draft import Statement
from assistant.writers import Turn
from assistant.writers.phrasings import Part, Phrasings, load, of_part
from assistant.writers.template import ASYMMETRY, gaps
from assistant.writers.template.answers import TOLD
from assistant.writers.vlm.author import Author, Detail, exam, fill, whole
from assistant.writers.vlm.ledgers import Made, make_ledger
from assistant.writers.vlm.prompt import Task
from assistant.writers.vlm.slots import SECTION_TOKEN, SlotTable, of_one_text, sides_compared
from segment.change import RELATIVE
from segment.measurement import Measurement

REPORTS = 0.4  # of all pairs
TWO_TURNS = 0.25  # of the dialogues
WITH_QUALITY = 0.2
WITH_INSTRUCTION = 0.08  # of the questions that records answer
QUALITY = ("motion", "noise", "low resolution", "bias field", "clipping")
# What a dialogue is about, and how often. Topics not told of records have fixed answers.
TOPICS: Mapping[str, int] = {
    **{"volume": 12, "size": 10, "sides": 9, "sure": 9, "reliable": 8},
    **{"not_assessed": 6, "summary": 5, "asymmetry": 4, "interval": 3},
    **{"greeting": 3, "off_topic": 3, "instructions": 4, "prior": 6},
    **{"other_structures": 5, "signal": 3, "diagnosis": 3, "treatment": 3, "age": 3},
    **{"head_size": 3, "identity": 3, "not_measured": 4},
}
DRAWN = tuple(topic for topic, share in TOPICS.items() for _ in range(share))
UNANSWERABLE = (
    *("prior", "other_structures", "signal", "diagnosis", "treatment", "age", "head_size"),
    *("identity", "not_measured"),
)
QUANTITY = "{quantity}"  # where a wording names what was measured
FOLLOW_UPS = ("sure", "size", "reliable", "volume")
OF_CHANGES = ("sure", "reliable")  # of the follow-ups, those that a change can have
PRIOR, CHANGE = "prior", "change"  # what is asked of a comparison: where there is none, and one
COMPARISONS, CHANGES = 0.6, 0.3  # of the reports and of the dialogues with a prior
DETAILS: tuple[Detail, ...] = ("range", "words", "none")


@dataclass(frozen=True)
class Pair:
    """A task and what is to be said: with text slots, and the part of it that the task is for.

    The target is empty where all that is said is fixed.
    ``topic`` is ``report``, ``comparison`` or what the last question is about; ``cases`` are the
    training cases behind the left and the right side, None where they were invented.
    """

    task: Task
    statements: tuple[Statement, ...]
    target: str
    topic: str
    cases: tuple[int | None, int | None]


@dataclass(frozen=True)
class Exchange:
    """A question, its answer and the record that both are about, if it is one."""

    topic: str
    question: str
    answer: tuple[Statement, ...]
    record: Measurement | None = None


def training_pairs(
    rng: np.random.Generator, n: int, spoken: Sequence[str] = ("en", "zh")
) -> Iterator[Pair]:
    """Make pairs of training subjects, training wordings and invented ledgers.

    Those of which the model writes nothing are left out.
    """
    return islice((pair for pair in _pairs(rng, "training", spoken) if pair.target), n)


def held_out_pairs(
    rng: np.random.Generator,
    n: int,
    spoken: Sequence[str] = ("en", "zh"),
    told: Callable[[str], Phrasings] = load,
) -> Iterator[Pair]:
    """Make pairs of subjects and wordings that training never shows.

    ``told`` may give a language questions of somebody else.
    """
    return islice(_pairs(rng, "held out", spoken, told), n)


def _pairs(
    rng: np.random.Generator,
    part: Part,
    spoken: Sequence[str],
    told: Callable[[str], Phrasings] = load,
) -> Iterator[Pair]:
    """Make pairs without end, one language and ledger each."""
    while True:
        language = spoken[int(rng.integers(len(spoken)))]
        made = make_ledger(rng, part)
        author = Author(rng, part, prompts.load(language), told(language), made.ledger)
        yield _report(author, made) if author.chance(REPORTS) else _dialogue(author, made)


def _report(author: Author, made: Made) -> Pair:
    """Write a report; of one with a prior the task is for a side's comparison more often."""
    own = (*author.findings(), *author.impression())
    sides = {
        side: (*author.comparison(side), *author.changes(side))
        for side in sides_compared(made.ledger)
    }
    statements = (*own, *(said for told in sides.values() for said in told))
    compared: tuple[str, ...] = ()
    if sides and author.chance(COMPARISONS):
        compared = tuple(sides)[int(author.rng.integers(len(sides)))]
    task = Task(made.ledger, author.words.language, quality=_quality(author), compared=compared)
    target = _target(task.table, sides[compared] if compared else own)
    return Pair(task, statements, target, "comparison" if compared else "report", _cases(made))


def _target(table: SlotTable, told: Sequence[Statement]) -> str:
    """Write statements with tokens, those of the impression after the section token."""
    lines = [table.encode(said) for said in told]
    short = next((n for n, said in enumerate(told) if said.section == "impression"), len(lines))
    parts = (lines[:short], lines[short:])
    return f"\n{SECTION_TOKEN}\n".join("\n".join(part) for part in parts if part)


def _dialogue(author: Author, made: Made) -> Pair:
    """Answer a question; now and then it is the second one of a dialogue."""
    exchange = _exchange(author)
    turns: tuple[Turn, ...] = ()
    if author.chance(TWO_TURNS):
        turns = (Turn(exchange.question, exchange.answer),)
        exchange = _follow_up(author, exchange)
    own, compared = _parts(author, exchange.answer)
    told = compared if compared and (not own or author.chance(0.5)) else own
    ids = tuple(cite for said in told for cite in said.cites) if told is compared else ()
    task = Task(
        made.ledger,
        author.words.language,
        quality=_quality(author),
        question=exchange.question,
        turns=turns,
        compared=ids,
    )
    target = "\n".join(task.table.encode(said) for said in told)
    return Pair(task, exchange.answer, target, exchange.topic, _cases(made))


def _parts(author: Author, answer: Sequence[Statement]) -> tuple[list[Statement], list[Statement]]:
    """Part what is said of records: of the examination itself, and of a comparison."""
    cited = [said for said in answer if said.cites]
    compared = [said for said in cited if author.ledger[said.cites[0]].is_of_comparison]
    own = [said for said in cited if said not in compared]
    return own, compared[: of_one_text([said.cites for said in compared])]


def _quality(author: Author) -> tuple[str, ...]:
    """Draw what the image reader found; it changes no target."""
    return (author.one_of(QUALITY),) if author.chance(WITH_QUALITY) else ()


def _cases(made: Made) -> tuple[int | None, int | None]:
    return made.left_case, made.right_case


def _exchange(author: Author) -> Exchange:
    """Ask about something and answer it."""
    topic = _topic(author)
    record = _subject(author, topic)
    wordings = author.phrasings.questions[PRIOR if topic == CHANGE else topic]
    wording = _wording(author, wordings, record)
    of = _one_of(author, _changes(author)) if topic == CHANGE and "{" in wording else record
    question = _named(author, wording, of)
    answer = _answer(author, topic, of)
    if any(statement.cites for statement in answer) and author.chance(WITH_INSTRUCTION):
        around = author.one_of(of_part(author.phrasings.questions["with_instruction"], author.part))
        question = around.replace("{question}", question)
    return Exchange(topic, question, answer, record)


def _topic(author: Author) -> str:
    """Draw what is asked; the prior is asked for more often where there is one."""
    if not sides_compared(author.ledger):
        return author.one_of(DRAWN)
    topic = CHANGE if author.chance(CHANGES) else author.one_of(DRAWN)
    return CHANGE if topic == PRIOR else topic


def _follow_up(author: Author, first: Exchange) -> Exchange:
    """Ask about the same record again, or about something else."""
    topic = author.one_of(FOLLOW_UPS)
    record = first.record
    if first.topic == CHANGE and topic in OF_CHANGES and author.chance(0.7):
        told = [author.ledger[cite] for said in first.answer for cite in said.cites]
        wording = _wording(author, author.phrasings.follow_ups[topic], told[0])
        question = _named(author, wording, told[0])
        return Exchange(topic, question, tuple(author.tell(r, "answer", "range") for r in told))
    is_same = record is not None and first.topic in ("volume", "size", "sure", "reliable")
    if not is_same or record is None or author.chance(0.3):
        return _exchange(author)
    if topic != "volume" and record.reason is not None:
        topic = "reliable"
    elif topic == "size" and record.quantity == ASYMMETRY:
        topic = "sure"
    wording = _wording(author, author.phrasings.follow_ups[topic], record)
    if topic == "volume" and "{" in wording:
        record = _volume(author)
    question = _named(author, wording, record)
    return Exchange(topic, question, _answer(author, topic, record), record)


def _wording(author: Author, wordings: tuple[str, ...], record: Measurement | None) -> str:
    """Choose the wording of a question.

    An index has the name of the structures that it compares: it is asked for by its quantity.
    """
    wordings = of_part(wordings, author.part)
    if record is not None and record.quantity == ASYMMETRY:
        wordings = tuple(w for w in wordings if QUANTITY in w) or wordings
    return author.one_of(wordings)


def _named(author: Author, wording: str, record: Measurement | None) -> str:
    """Put the record's name into a wording, or some volume's where it is about no record."""
    if "{" not in wording:
        return wording
    return fill(wording, (record or _volume(author),), author.words, author.phrasings)


def _subject(author: Author, topic: str) -> Measurement | None:
    """Draw the record that a question of a topic is about; None where it is about none."""
    if topic in ("volume", "size", "not_measured"):
        return _volume(author)
    if topic == "reliable":
        withheld = [r for r in _askable(author, topic) if r.reason is not None]
        if withheld and author.chance(0.7):
            return _one_of(author, withheld)
    return _one_of(author, _askable(author, topic)) if topic in ("sure", "reliable") else None


def _askable(author: Author, topic: str) -> Sequence[Measurement]:
    """List the records that a wording of a topic can ask for: an index only by its quantity."""
    wordings = of_part(author.phrasings.questions[topic], author.part)
    if any(QUANTITY in wording for wording in wordings):
        return _of_today(author)
    return _volumes(author)


def _of_today(author: Author) -> list[Measurement]:
    return [record for record in author.ledger.records if not record.is_of_comparison]


def _volumes(author: Author) -> list[Measurement]:
    return [record for record in _of_today(author) if record.quantity != ASYMMETRY]


def _changes(author: Author) -> list[Measurement]:
    """List the relative changes, one a structure that is compared."""
    return [record for record in author.ledger.records if record.quantity == RELATIVE]


def _volume(author: Author) -> Measurement:
    """Draw a volume, a whole structure more often than a part."""
    volumes = _volumes(author)
    wholes = [record for record in volumes if whole(record)]
    return _one_of(author, wholes if author.chance(0.5) else volumes)


def _one_of(author: Author, records: Sequence[Measurement]) -> Measurement:
    return records[int(author.rng.integers(len(records)))]


def _answer(author: Author, topic: str, record: Measurement | None) -> tuple[Statement, ...]:
    """Answer a question of a topic from the ledger, or by a fixed sentence."""
    if record is not None and topic in OF_RECORD:
        return OF_RECORD[topic](author, record)
    if topic == CHANGE and record is not None:
        return _tell_change(author, record)
    if topic in OF_LEDGER:
        return OF_LEDGER[topic](author)
    return (author.fixed(topic),)


def _tell_volume(author: Author, record: Measurement) -> tuple[Statement, ...]:
    return (author.tell(record, "answer", DETAILS[int(author.rng.integers(len(DETAILS)))]),)


def _tell_size(author: Author, record: Measurement) -> tuple[Statement, ...]:
    """Compare with the reference range and its limits, or say there is none; say how it changed."""
    told = [author.tell(record, "answer", "range")]
    if record.reason is None and record.reference is None:
        told.append(author.fixed("no_reference"))
    own = (record.structure, record.side)
    changes = (r for r in author.ledger.records if r.quantity == RELATIVE)
    told += [
        author.tell(change, "answer", "range")
        for change in changes
        if (change.structure, change.side) == own
    ]
    return tuple(told)


def _tell_changes(author: Author) -> tuple[Statement, ...]:
    """Say how the whole structures changed and how fast."""
    told = [r for r in author.ledger.records if whole(r) and r.quantity in TOLD]
    return tuple(author.tell(record, "answer", "range") for record in told)


def _tell_change(author: Author, change: Measurement) -> tuple[Statement, ...]:
    """Say how the structure of a change changed and how fast."""
    told = (r for r in author.ledger.records if r.quantity in TOLD)
    of = (change.structure, change.side)
    return tuple(author.tell(r, "answer", "range") for r in told if (r.structure, r.side) == of)


def _summary(author: Author) -> tuple[Statement, ...]:
    """Say the impression, with what it says of a comparison."""
    sides = sides_compared(author.ledger)
    changes = (said for side in sides for said in author.changes(side, "answer"))
    return (*author.impression("answer"), *changes)


def _tell_sides(author: Author) -> tuple[Statement, ...]:
    """Compare the sides by the asymmetry index; without one there is one side only."""
    record = _index(author)
    if record is None:
        return (author.fixed("one_side"),)
    told = author.tell(record, "answer", "none")
    if record.reason is None and record.reference and author.chance(0.3):
        return told, author.reference(record, "answer")
    return (told,)


def _index(author: Author) -> Measurement | None:
    return next((r for r in author.ledger.records if r.quantity == ASYMMETRY), None)


def _tell_gaps(author: Author) -> tuple[Statement, ...]:
    """List what is withheld and what the exam does not cover."""
    tables = (SlotTable.of(author.ledger, side) for side in ((), *sides_compared(author.ledger)))
    groups = [group for table in tables for group in table.groups()]
    withheld = [author.withheld(g, "answer") for g in groups if g[0].reason is not None]
    left = gaps(author.ledger, exam())
    missing = [author.verbatim(f"not_assessed.{key}") for key in left]
    return (*(withheld or [author.fixed("nothing_withheld")]), *missing)


def _explain_asymmetry(author: Author) -> tuple[Statement, ...]:
    """Explain the index and give that of this study, if there is one."""
    record = _index(author)
    explained = author.fixed("asymmetry")
    return (explained,) if record is None else (explained, author.tell(record, "answer", "none"))


OF_RECORD: Mapping[str, Callable[[Author, Measurement], tuple[Statement, ...]]] = {
    "volume": _tell_volume,
    "size": _tell_size,
    "sure": lambda author, record: (author.sure(record),),
    "reliable": lambda author, record: (author.reliable(record),),
}
OF_LEDGER: Mapping[str, Callable[[Author], tuple[Statement, ...]]] = {
    "sides": _tell_sides,
    "not_assessed": _tell_gaps,
    "summary": _summary,
    CHANGE: _tell_changes,
    "asymmetry": _explain_asymmetry,
}
