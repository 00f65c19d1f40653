"""A reference report becomes a target: its numbers are bound to the study's ledger, as slots.

A number is bound where a record of the structure, side and unit written beside it rounds to it;
what cannot be bound is listed with its reason, never guessed. A target holds what the grammar of
its ledger demands. Knows nothing of files or models.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache

import numpy as np

from assistant.draft import Section, Statement
from assistant.exams import Exam
from assistant.ledger import Ledger
from assistant.writers import assess
from assistant.writers.phrasings import load
from assistant.writers.vlm.asking import COMPARED, prose
from assistant.writers.vlm.author import Author, whole
from assistant.writers.vlm.data import Pair
from assistant.writers.vlm.prompt import Task
from assistant.writers.vlm.slots import (
    SECTION_TOKEN,
    TEXT_SLOT,
    SlotTable,
    fields_of,
    stock_of,
)
from prompts import Phrasebook
from segment.measurement import Measurement, Reliability

Judge = Callable[[Statement, Ledger, Phrasebook], tuple[str, ...]]

# What is written, in the unit that records have, and by which factor.
CONVERTED: Mapping[str, tuple[str, Decimal]] = {
    "mL": ("mL", Decimal(1)),
    "cm3": ("mL", Decimal(1)),
    "mm3": ("mL", Decimal("0.001")),
    "L": ("mL", Decimal(1000)),
    "%": ("%", Decimal(1)),
}
NUMBER = re.compile(r"(?<![A-Za-z0-9.,])[-−]?\d+(?:[.,]\d+)*")
THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+")
CLAUSE = re.compile(r"\s*(?:[;；，]|,? and (?:that )?|,? while |,? whereas |, )\s*")
STOPS = ".!?。！？;；,，"

Place = tuple[str, tuple[str, ...], bool]  # section, records, whether only their range is told of


@dataclass(frozen=True)
class Unbound:
    """A piece of a report that is not trained on, and why."""

    study: str
    text: str
    reason: str


@dataclass(frozen=True)
class Written:
    """A number with its unit as it stands in a sentence; ``step`` is its last decimal."""

    start: int
    end: int
    value: Decimal
    step: Decimal
    unit: str

    def is_of(self, record: Measurement) -> bool:
        """Tell whether a record's value, in the written unit, rounds to what is written."""
        unit, factor = CONVERTED[self.unit]
        if record.value is None or record.unit != unit:
            return False
        return abs(Decimal(record.value) / factor - self.value) <= self.step / 2


class Refused(Exception):  # noqa: N818  # no error: an answer about one sentence
    """A sentence that cannot be bound, and why."""


def bind_report(
    study: str, text: str, ledger: Ledger, exam: Exam, words: Phrasebook, judge: Judge
) -> tuple[Pair | None, tuple[Unbound, ...]]:
    """Make a pair of a reference report; None where no sentence of it could be bound.

    ``judge`` renders a statement and says why it may not stand, as a report's verifier does. A
    record that the report does not mention is told of as the other training does.
    """
    bound: list[Statement] = []
    unbound: list[Unbound] = []
    for section, sentence in sentences(text, words):
        try:
            found = bind(sentence, section, ledger, exam, words)
            for statement in found:
                if why := judge(statement, ledger, words):
                    raise Refused(why[0])
            bound += found
        except Refused as error:
            unbound.append(Unbound(study, sentence, str(error)))
    if not bound:
        return None, tuple(unbound)
    statements, left = _completed(study, bound, ledger, words)
    unbound += [Unbound(study, statement.text, why) for statement, why in left]
    return _pair(statements, ledger, words), tuple(unbound)


def sentences(text: str, words: Phrasebook) -> Iterator[tuple[Section, str]]:
    """Cut a report into sentences of its findings and impression; other sections are passed."""
    section: Section | None = "findings"
    for line in text.splitlines():
        heading, rest = _heading(line.strip(), words)
        if heading is not None:
            section = _section(heading)
        for sentence in SENTENCE.split(rest if heading is not None else line):
            if sentence.strip() and section is not None:
                yield section, sentence.strip()


def bind(
    sentence: str, section: Section, ledger: Ledger, exam: Exam, words: Phrasebook
) -> list[Statement]:
    """Bind a sentence, clause by clause where it tells of several; raises Refused."""
    if len(_quantities(sentence, words)) < 2:
        return [_bound(sentence, section, ledger, exam, words)]
    stop = sentence[-1] if sentence[-1] in STOPS else ""
    clauses = [clause for clause in CLAUSE.split(sentence.rstrip(STOPS)) if clause]
    found = [
        _bound(clause[:1].upper() + clause[1:] + stop, section, ledger, exam, words)
        for clause in clauses
    ]
    return found


def _bound(
    clause: str, section: Section, ledger: Ledger, exam: Exam, words: Phrasebook
) -> Statement:
    """Put a slot in the place of a clause's one number."""
    quantities = _quantities(clause, words)
    if not quantities:
        raise Refused("tells of nothing that was measured, and only measurements are written of")
    if len(quantities) > 1:
        raise Refused("holds several numbers in one clause, and a slot stands for one")
    written = quantities[0]
    record = _record(clause, written, ledger, words)
    before = re.sub(rf"(?:{_hedges(words)})\s*$", "", clause[: written.start], flags=re.IGNORECASE)
    if _numerals(before + clause[written.end :]):
        raise Refused("holds a number besides that of the measurement")
    slotted = f"{before}{{{record.id}.reading}}{clause[written.end :]}"
    _check_characters(slotted, words)
    stock = stock_of(slotted, (record,), section, exam, words)
    table = SlotTable.of(ledger)
    plain, cites = table.decode(table.encode(Statement(section, slotted, (record.id,), stock)))
    return Statement(section, plain, cites, stock)


def _check_characters(text: str, words: Phrasebook) -> None:
    """Refuse characters that no text of the language has outside of its slots."""
    known = prose(words.language)
    written = {*TEXT_SLOT.sub("", text)} - {*known.letters, *known.marks, *"".join(known.pairs)}
    if written:
        raise Refused(f"holds {min(written)!r}, which is written in no sentence")


def _record(clause: str, written: Written, ledger: Ledger, words: Phrasebook) -> Measurement:
    """Find the record that a number states, by structure, side, unit and value."""
    pattern, meant = _names(words)
    named = {meant[match[0].lower()] for match in pattern.finditer(clause)}
    if len(named) != 1:
        told = "no structure that is measured" if not named else "several structures"
        raise Refused(f"names {told} beside the number")
    (name,) = named
    records = [r for r in ledger.records if (r.structure, r.side) == name]
    if not records:
        raise Refused(f"{' '.join(reversed(name))} was not measured in this study")
    reliable = [r for r in records if r.reliability is Reliability.REPORTABLE]
    if not reliable:
        raise Refused(f"{records[0].id} is {records[0].reliability} here ({records[0].reason})")
    if not (found := [record for record in reliable if written.is_of(record)]):
        raise Refused(
            f"{clause[written.start : written.end]} is not what {reliable[0].id} rounds to"
        )
    return found[0]


def _quantities(text: str, words: Phrasebook) -> list[Written]:
    """List the numbers of a text that have a unit of ours."""
    units = {spelt: key for key, all_ in words.lexicon["units"].items() for spelt in all_}
    ordered = sorted((u for u in units if units[u] in CONVERTED), key=len, reverse=True)
    unit = re.compile(rf"\s?({'|'.join(map(re.escape, ordered))})(?![A-Za-z0-9³²^])")
    found = []
    for match in NUMBER.finditer(text):
        following = unit.match(text, match.end())
        value = _value(match[0], words.numbers["decimal"])
        if following is not None and value is not None:
            step = Decimal(1).scaleb(int(value.as_tuple().exponent))
            end = following.end()
            found.append(Written(match.start(), end, value, step, units[following[1]]))
    return found


def _value(raw: str, decimal: str) -> Decimal | None:
    """Read a number as written; None where its marks can be read in two ways."""
    plain = raw.replace("−", "-")
    if decimal == "." and THOUSANDS.fullmatch(plain.lstrip("-")):
        plain = plain.replace(",", "")
    plain = plain.replace(decimal, ".") if decimal != "." else plain
    return Decimal(plain) if re.fullmatch(r"-?\d+(?:\.\d+)?", plain) else None


def _numerals(text: str) -> bool:
    return any(unicodedata.category(character).startswith("N") for character in text)


@cache
def _names(words: Phrasebook) -> tuple[re.Pattern[str], Mapping[str, tuple[str, str]]]:
    """List how structures of a side are called, the longest name first."""
    meant = words.spellings()
    ordered = sorted(meant, key=len, reverse=True)
    edges = (rf"(?<![A-Za-z]){re.escape(n)}(?![A-Za-z])" for n in ordered)
    return re.compile("|".join(edges), re.IGNORECASE), meant


def _hedges(words: Phrasebook) -> str:
    return "|".join(map(re.escape, sorted(words.lexicon["hedge"], key=len, reverse=True)))


def _heading(line: str, words: Phrasebook) -> tuple[str | None, str]:
    """Return the section whose heading a line begins with, and what follows it."""
    for key, heading in words.headings.items():
        match = re.match(rf"[#*\s]*{re.escape(heading)}[*\s]*(?:[:：]|$)\s*", line, re.IGNORECASE)
        if match is not None:
            return key, line[match.end() :]
    return None, line


def _section(heading: str) -> Section | None:
    """Return the section that is trained on; None for one that code writes."""
    if heading == "findings":
        return "findings"
    return "impression" if heading == "impression" else None


def _completed(
    study: str, bound: list[Statement], ledger: Ledger, words: Phrasebook
) -> tuple[tuple[Statement, ...], list[tuple[Statement, str]]]:
    """Say of each record what training usually says where no bound sentence tells of it.

    Which of the usual wordings that is goes by the name of the study. Returns also what a report's
    grammar has no place for, and why.
    """
    own: dict[Place, Statement] = {}
    left: list[tuple[Statement, str]] = []
    for said in bound:
        whole_of_it = _with_norm(said, ledger, words)
        if whole_of_it is None:
            left.append((said, "goes on after its number where the reference range is told of"))
        elif own.setdefault(_place(said), whole_of_it) is not whole_of_it:
            left.append((said, "says again what a sentence before it says"))
    rng = np.random.default_rng([*study.encode()])
    author = Author(rng, "training", words, load(words.language), ledger)
    usual = {_place(said): said for said in (*author.findings(), *author.impression())}
    extra = [said for place, said in own.items() if place not in usual]
    return (*(own.get(place, said) for place, said in usual.items()), *extra), left


def _place(statement: Statement) -> Place:
    """Tell which line of a report a statement is: one about a reference range has its own."""
    fields = {match[2] for match in TEXT_SLOT.finditer(statement.text)}
    return statement.section, statement.cites, COMPARED in fields and "reading" not in fields


def _with_norm(statement: Statement, ledger: Ledger, words: Phrasebook) -> Statement | None:
    """State the reference range where the findings must: that of a whole structure's volume.

    A sentence that compares in words that a wording has is given the limits; one that ends with
    its number goes on as the stock sentence does; there is none for any other.
    """
    record = ledger[statement.cites[0]]
    is_due = statement.section == "findings" and whole(record) and record.side != "none"
    if not is_due or COMPARED not in fields_of(record):
        return statement
    phrasings = load(words.language)
    stop = phrasings.words["stop"]
    head, slot, tail = statement.text.partition(f"{{{record.id}.reading}}")
    closings = phrasings.closings[f"volume_{assess(record)}"]
    spoken = {phrasings.without_norm(closing): closing for closing in reversed(closings)}
    closing = (spoken | {"": closings[0]}).get(tail.removesuffix(stop))
    if closing is None:
        return None
    norm = f"{{{record.id}.{COMPARED}}}"
    return replace(statement, text=head + slot + closing.replace(f"{{{COMPARED}}}", norm) + stop)


def _pair(statements: tuple[Statement, ...], ledger: Ledger, words: Phrasebook) -> Pair:
    """Write the target of statements."""
    table = SlotTable.of(ledger)
    parts = (
        "\n".join(table.encode(s) for s in statements if s.section == section)
        for section in ("findings", "impression")
    )
    target = f"\n{SECTION_TOKEN}\n".join(parts)
    return Pair(Task(ledger, words.language), statements, target, "report", (None, None))
