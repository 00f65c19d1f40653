"""Slots as single tokens of the language model: which there are, and what each stands for.

Knows nothing of words, of models or of how a slot is rendered.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate

from assistant.draft import Section, Statement
from assistant.exams import Exam
from assistant.ledger import Ledger
from assistant.writers import assess
from assistant.writers.template import ASYMMETRY, COUNTS, IN_SHORT, stock_statement, together
from prompts import Phrasebook
from segment.measurement import EARLIER, Measurement, Reliability

FIRST = 1000
FIELDS = ("reading", "interval", "norm", "reason")
# What the places of a record's tokens stand for where it is of a comparison.
OF_CHANGE = ("reading", "since", "error", "reason")
OF_EARLIER = ("reading", "date", "norm", "reason")  # its reference range is never told of
AHEAD = ("since", "date")  # stand before the reading or the reasons of their sentence
MOST_RECORDS = 16
SECTION_TOKEN = "<unused2000>"  # stands alone on the line between findings and impression
TOKEN = re.compile(r"<unused(\d+)>")
TEXT_SLOT = re.compile(r"\{(\w+)\.(\w+)\}")
WORD_SLOT = re.compile(r"\{(\w+)\.(name|quantity)\}")
OPENING = re.compile(r"(?<=[!-')-z|-~])(?=\{)")  # after ASCII but a bracket a slot needs a space


class SlotTokenError(ValueError):
    """A slot or token that the ledger does not give a meaning, or a line that is none."""


@dataclass(frozen=True)
class SlotTable:
    """The slots of one text; records past the sixteenth are left out and have none.

    So are those of a comparison, which texts of their own tell of, by the slots of other tables.
    """

    records: tuple[Measurement, ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, ledger: Ledger, compared: Sequence[str] = ()) -> "SlotTable":
        """Number the records of an examination in their order, or those ``compared`` alone."""
        if compared:
            found = tuple(record for record in ledger.records if record.id in compared)
            ids = tuple(record.id for record in found[MOST_RECORDS:])
            return cls(found[:MOST_RECORDS], ids)
        kept = [record for record in ledger.records if not record.is_of_comparison][:MOST_RECORDS]
        held = {record.id for record in kept}
        rest = (record.id for record in ledger.records if record.id not in held)
        return cls(tuple(kept), tuple(rest))

    def groups(self) -> tuple[tuple[Measurement, ...], ...]:
        """List what shares a sentence: each reportable record alone, withheld neighbours joined."""
        groups: list[tuple[Measurement, ...]] = []
        for records in together(self.records):
            is_withheld = records[0].reason is not None
            groups += [records] if is_withheld else [(record,) for record in records]
        return tuple(groups)

    def slots_of(self, group: Sequence[Measurement]) -> tuple[str, ...]:
        """List the tokens of what shares a sentence; what stands ahead of reasons is said once."""
        first, *others = group
        own = [self.token(first.id, field) for field in fields_of(first)]
        return (*own, *(self.token(record.id, fields_of(record)[-1]) for record in others))

    def tokens(self) -> tuple[str, ...]:
        """List every token that a text about these records may hold, in order."""
        return tuple(self.token(r.id, field) for r in self.records for field in fields_of(r))

    def required(self) -> tuple[str, ...]:
        """List the tokens that the findings must hold, in order: each reading, each reason."""
        return tuple(
            self.token(r.id, "reading" if r.reason is None else "reason") for r in self.records
        )

    def token(self, record_id: str, field: str) -> str:
        """Return the token of one field; raises SlotTokenError where the record has none."""
        for index, record in enumerate(self.records):
            if record.id == record_id and field in fields_of(record):
                place = index * len(FIELDS) + _places(record).index(field)
                return f"<unused{FIRST + place}>"
        msg = f"slot {{{record_id}.{field}}} has no token: expected a slot of the ledger's records"
        raise SlotTokenError(msg)

    def field(self, token: str) -> tuple[Measurement, str]:
        """Return the record and field of a token; raises SlotTokenError for a foreign one."""
        match = TOKEN.fullmatch(token)
        index, place = divmod(int(match[1]) - FIRST, len(FIELDS)) if match else (-1, 0)
        if 0 <= index < len(self.records):
            record = self.records[index]
            field = _places(record)[place]
            if field in fields_of(record):
                return record, field
        msg = f"token {token} is foreign: expected one that a record of the ledger has"
        raise SlotTokenError(msg)

    def encode(self, statement: Statement) -> str:
        """Write a statement with tokens; of a withheld group each record has its own."""

        def write(match: re.Match[str]) -> str:
            record_id, field = match.groups()
            group = statement.cites if field == "reason" else (record_id,)
            return "".join(self.token(cite, field) for cite in group)

        return TEXT_SLOT.sub(write, re.sub(r" (?=\{)", "", statement.text))

    def decode(self, line: str) -> tuple[str, tuple[str, ...]]:
        """Return a line with text slots and the records it cites.

        Raises SlotTokenError for a foreign token and for slots of several records that are not
        withheld together.
        """
        found = [self.field(match[0]) for match in TOKEN.finditer(line)]
        cites = tuple(dict.fromkeys(record.id for record, _ in found))
        return self._text(line if len(cites) < 2 else self._joined(line, cites)), cites

    def _text(self, line: str) -> str:
        """Write text slots in the place of tokens."""

        def read(match: re.Match[str]) -> str:
            record, field = self.field(match[0])
            return f"{{{record.id}.{field}}}"

        return OPENING.sub(" ", TOKEN.sub(read, line))

    def _joined(self, line: str, cites: tuple[str, ...]) -> str:
        """Leave of the reasons of several records, which stand together, the first one's.

        What else it may hold is since when the first one was compared.
        """
        groups = ([r.id for r in group if r.id in cites] for group in self.groups())
        if list(cites) not in groups:
            msg = f"{', '.join(cites)} are not withheld together: expected slots of one record"
            raise SlotTokenError(msg)
        first, *others = (self.token(cite, "reason") for cite in cites)
        run = "".join((first, *others))
        rest = [self.field(match[0]) for match in TOKEN.finditer(line.replace(run, ""))]
        if line.count(run) != 1 or any((r.id, f) != (cites[0], "since") for r, f in rest):
            msg = f"a line holds slots of {', '.join(cites)}: expected those of one record"
            raise SlotTokenError(msg)
        return line.replace(run, first)


def fields_of(record: Measurement) -> tuple[str, ...]:
    """List the fields that a record has a slot for, as a sentence has them."""
    is_change = record.comparator is not None
    if record.reliability is not Reliability.REPORTABLE:
        is_incomparable = is_change and record.reliability is Reliability.NOT_RELIABLE
        return ("since", "reason") if is_incomparable else ("reason",)
    if record.quantity == EARLIER:
        return ("reading",) if record.date is None else ("date", "reading")
    if is_change:
        is_judged = record.quantity in IN_SHORT and record.reference is not None
        return ("since", "reading", "error") if is_judged else ("since", "reading")
    return FIELDS[:2] if record.reference is None else FIELDS[:3]


def _places(record: Measurement) -> tuple[str, ...]:
    """Say what the places of a record's tokens stand for."""
    if record.quantity == EARLIER:
        return OF_EARLIER
    return FIELDS if record.comparator is None else OF_CHANGE


def sides_compared(ledger: Ledger) -> tuple[tuple[str, ...], ...]:
    """List the records of a comparison side by side: each side is told of in a text of its own."""
    compared = [record for record in ledger.records if record.is_of_comparison]
    sides = dict.fromkeys(record.side for record in compared)
    return tuple(tuple(r.id for r in compared if r.side == side) for side in sides)


def of_one_text(lines: Sequence[Sequence[str]]) -> int:
    """Count the lines from the first on whose records one text has slots for."""
    counts = accumulate(len(cites) for cites in lines)
    return sum(count <= MOST_RECORDS for count in counts)


def parse_target(
    text: str,
    ledger: Ledger,
    exam: Exam,
    phrasebook: Phrasebook,
    compared: Sequence[str] = (),
) -> tuple[Statement, ...]:
    """Read a report as the model writes it: findings, the section token, the impression.

    Where records are ``compared`` it is a comparison and its impression. Raises SlotTokenError for
    another number of parts, for blank lines and for foreign slots.
    """
    parts = text.split(f"\n{SECTION_TOKEN}\n")
    if len(parts) != 2:
        msg = f"expected findings, one line {SECTION_TOKEN} and an impression, found {len(parts)}"
        raise SlotTokenError(f"{msg} parts")
    table = SlotTable.of(ledger, compared)
    sections: tuple[Section, ...] = ("comparison" if compared else "findings", "impression")
    return tuple(
        parse_line(line, section, table, exam, phrasebook)
        for section, part in zip(sections, parts, strict=True)
        for line in part.split("\n")
    )


def parse_answer(
    text: str,
    ledger: Ledger,
    exam: Exam,
    phrasebook: Phrasebook,
    compared: Sequence[str] = (),
) -> tuple[Statement, ...]:
    """Read an answer as the model writes it, one statement a line; raises as ``parse_target``."""
    table = SlotTable.of(ledger, compared)
    lines = text.split("\n")
    return tuple(parse_line(line, "answer", table, exam, phrasebook) for line in lines)


def stock_of(
    text: str,
    records: tuple[Measurement, ...],
    section: Section,
    exam: Exam,
    phrasebook: Phrasebook,
) -> str:
    """Name the phrase that stands in for a statement about one record or a withheld group.

    A text that only compares an index with its reference range gives way to the same.
    """
    held = {field for _, field in TEXT_SLOT.findall(text)}
    placed = assess(records[0]) if records[0].quantity == ASYMMETRY else None
    if placed and "norm" in held and "reading" not in held:
        return f"reference.{placed}"
    stock = stock_statement(records[0], exam, phrasebook, section).stock
    if len(records) == 1:
        return stock
    return f"{stock.rpartition('.')[0]}.{COUNTS[len(records) - 1]}"


def parse_line(
    line: str, section: Section, table: SlotTable, exam: Exam, phrasebook: Phrasebook
) -> Statement:
    """Read one line; one without slots cites nothing, which only fixed sentences may.

    Raises SlotTokenError for a line that is blank or has space around it, and for foreign slots.
    """
    if not line or line != line.strip():
        msg = f"expected a statement on each line, found {line!r}"
        raise SlotTokenError(msg)
    text, cites = table.decode(line)
    if not cites:
        return Statement(section, text, (), _keys(phrasebook).get(text, ""))
    records = tuple(record for record in table.records if record.id in cites)
    return Statement(section, text, cites, stock_of(text, records, section, exam, phrasebook))


def worded(statement: Statement, ledger: Ledger, words: Phrasebook) -> Statement:
    """Write words out where a stock sentence has slots for them: the model writes words."""

    def word(match: re.Match[str]) -> str:
        record = ledger[match[1]]
        if match[2] == "quantity":
            return words.quantities[record.quantity]
        return words.structure(record.structure, record.side)

    return replace(statement, text=WORD_SLOT.sub(word, statement.text))


@cache
def _keys(phrasebook: Phrasebook) -> Mapping[str, str]:
    """List the keys of fixed sentences by their text."""
    return {text: key for key, text in phrasebook.phrases.items()}
