"""Says what holds of a record in one of many wordings. Knows nothing of models or of questions.

Each method returns a statement with slots; the wordings come from the folder ``phrasings``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from assistant import exams
from assistant.draft import Section, Statement
from assistant.exams import Exam
from assistant.ledger import Ledger
from assistant.writers import Assessment, assess, difference, verdict
from assistant.writers.phrasings import Part, Phrasings, joined, of_part
from assistant.writers.template import ASYMMETRY, IN_SHORT
from assistant.writers.vlm.ledgers import EXAM
from assistant.writers.vlm.prompt import is_wide
from assistant.writers.vlm.slots import (
    FIELDS,
    OF_CHANGE,
    OF_EARLIER,
    SlotTable,
    fields_of,
    stock_of,
)
from prompts import Phrasebook
from segment.change import OF_EXAMINATIONS
from segment.measurement import EARLIER, Measurement, Reliability

FIXED = "abcd"  # wordings of an uncited sentence; the last is held out, as every fourth
PLAIN = ("",)  # of closings: nothing is added
Detail = Literal["range", "words", "none"]  # how a reference range is told of


@dataclass(frozen=True, eq=False)
class Author:
    """Writes about one ledger in one language, choosing among the wordings of a part."""

    rng: np.random.Generator
    part: Part
    words: Phrasebook
    phrasings: Phrasings
    ledger: Ledger

    def findings(self) -> tuple[Statement, ...]:
        """Say every record in order; how much is said of the parts' ranges is drawn once a report.

        A whole structure and an index are compared with their reference range and its limits.
        """
        of_parts: Detail = self._drawn() if self.chance(0.4) else "none"
        found: list[Statement] = []
        for group in SlotTable.of(self.ledger).groups():
            record = group[0]
            if record.reason is not None:
                found.append(self.withheld(group, "findings"))
            elif record.quantity == ASYMMETRY:
                found.append(self.asymmetry(record, "findings"))
                if record.reference:
                    found.append(self.reference(record, "findings"))
            else:
                found.append(
                    self.volume(record, "findings", "range" if whole(record) else of_parts)
                )
        return tuple(found)

    def _drawn(self) -> Detail:
        return "range" if self.chance(0.5) else "words"

    def impression(self, section: Section = "impression") -> tuple[Statement, ...]:
        """Say the whole structures again, and a part where it alone is withheld or unusual."""
        tells_parts = self.chance(0.5)
        outside = {r.side: assess(r) for r in self.ledger.records if whole(r)}
        found: list[Statement] = []
        for group in SlotTable.of(self.ledger).groups():
            record = group[0]
            if record.reason is not None:
                wholes = tuple(member for member in group if whole(member))
                found.append(self.withheld(wholes or group, section))
            elif record.quantity == ASYMMETRY:
                found.append(self.asymmetry(record, section))
            elif whole(record) or (tells_parts and _is_unusual(record, outside.get(record.side))):
                found.append(self.volume(record, section, "words"))
        return tuple(found)

    def comparison(self, side: Sequence[str]) -> tuple[Statement, ...]:
        """Say every record of a side's comparison in order: as it was before, and what changed."""
        groups = SlotTable.of(self.ledger, side).groups()
        return tuple(self._compared(group, "comparison", "range") for group in groups)

    def changes(
        self, side: Sequence[str], section: Section = "impression"
    ) -> tuple[Statement, ...]:
        """Say shortly how the whole structures of a side have changed."""
        groups = told_shortly(SlotTable.of(self.ledger, side))
        return tuple(self._compared(group, section, "words") for group in groups)

    def _compared(
        self, group: tuple[Measurement, ...], section: Section, detail: Detail
    ) -> Statement:
        if group[0].reason is not None:
            return self.withheld(group, section)
        return self.tell(group[0], section, detail)

    def tell(self, record: Measurement, section: Section, detail: Detail) -> Statement:
        """Say what holds of any record."""
        if record.reason is not None:
            return self.withheld((record,), section)
        if record.quantity == ASYMMETRY:
            return self.asymmetry(record, section)
        if record.quantity == EARLIER:
            return self.earlier(record)
        if record.comparator is not None:
            return self.change(record, section, detail)
        return self.volume(record, section, detail)

    def earlier(self, record: Measurement) -> Statement:
        """State a volume of an earlier examination, with its date if that is known."""
        kind = "earlier" if record.date else "earlier_undated"
        pool = joined(self.phrasings.openings[kind], PLAIN, self.part)
        return self._say(self.one_of(pool), (record,), "comparison")

    def change(self, record: Measurement, section: Section, detail: Detail) -> Statement:
        """State a change and what it is beside its measurement error.

        The range of that is told of a whole structure, if ``detail`` asks for it.
        """
        closings = self.phrasings.closings[f"change_{verdict(record) or 'plain'}"]
        wording = self.one_of(joined(self.phrasings.openings["change"], closings, self.part))
        if detail != "range" or not tells_error(record):
            wording = self.phrasings.without_error(wording)
        return self._say(wording, (record,), section)

    def volume(self, record: Measurement, section: Section, detail: Detail) -> Statement:
        """State a volume, compared with its reference range if it has one and ``detail`` asks."""
        placed = assess(record) if detail != "none" else None
        closings = self.phrasings.closings[f"volume_{placed or 'plain'}"]
        pool = joined(self.phrasings.openings["volume"], closings, self.part)
        wording = self.one_of(pool)
        if detail != "range":
            wording = self.phrasings.without_norm(wording)
        return self._say(wording, (record,), section)

    def asymmetry(self, record: Measurement, section: Section) -> Statement:
        """State an asymmetry index and which side it shows to be larger."""
        closings = self.phrasings.closings[f"asymmetry_{difference(record)}"]
        pool = joined(self.phrasings.openings["asymmetry"], closings, self.part)
        return self._say(self.one_of(pool), (record,), section)

    def reference(self, record: Measurement, section: Section) -> Statement:
        """Compare an asymmetry index with its reference range."""
        placed = assess(record)
        kind = "reference_interval" if placed == "overlaps" else "reference"
        closings = self.phrasings.closings[f"reference_{placed}"]
        pool = joined(self.phrasings.openings[kind], closings, self.part)
        return self._say(self.one_of(pool), (record,), section)

    def withheld(self, records: tuple[Measurement, ...], section: Section) -> Statement:
        """Say that records are withheld, and why."""
        if records[0].reliability is Reliability.NOT_ASSESSED:
            return self._sentence("not_assessed", records, section)
        if records[0].comparator is None:
            return self._sentence("not_reliable", records, section)
        is_apart = records[0].reason in OF_EXAMINATIONS
        kind = "not_comparable" if is_apart else "change_withheld"
        return self._sentence(kind, records, section)

    def sure(self, record: Measurement) -> Statement:
        """Say how sure a measurement is: its interval, or that it is withheld."""
        if record.reason is not None:
            return self.withheld((record,), "answer")
        return self._sentence("sure_wide" if is_wide(record) else "sure", (record,), "answer")

    def reliable(self, record: Measurement) -> Statement:
        """Say that a measurement is reliable, or why it is not."""
        if record.reason is not None:
            return self.withheld((record,), "answer")
        return self._sentence("reliable", (record,), "answer")

    def fixed(self, topic: str) -> Statement:
        """Say an uncited sentence of the phrasebook, word for word."""
        letter = self.one_of(of_part(tuple(FIXED), self.part))
        return self.verbatim(f"answer.{topic}.{letter}")

    def verbatim(self, key: str) -> Statement:
        """Say a phrase of the phrasebook that has one wording."""
        return Statement("answer", self.words.phrases[key], (), key)

    def chance(self, share: float) -> bool:
        """Draw whether something happens."""
        return bool(self.rng.random() < share)

    def one_of(self, wordings: Sequence[str]) -> str:
        """Draw a wording."""
        return wordings[int(self.rng.integers(len(wordings)))]

    def _sentence(self, kind: str, records: tuple[Measurement, ...], section: Section) -> Statement:
        """Say a whole sentence about records."""
        wording = self.one_of(of_part(self.phrasings.sentences[kind], self.part))
        return self._say(wording, records, section)

    def _say(self, wording: str, records: tuple[Measurement, ...], section: Section) -> Statement:
        """Make a statement of a wording."""
        text = fill(wording, records, self.words, self.phrasings) + self.phrasings.words["stop"]
        cites = tuple(record.id for record in records)
        return Statement(section, text, cites, stock_of(text, records, section, exam(), self.words))


@cache
def exam() -> Exam:
    """Read the exam that targets are written for."""
    return exams.load(EXAM)


def whole(record: Measurement) -> bool:
    """Tell whether a record is of a structure that is no part of another."""
    return record.structure in exam().asymmetry


def tells_error(record: Measurement) -> bool:
    """Tell whether a sentence about a change states its measurement error too."""
    return whole(record) and "error" in fields_of(record)


def told_shortly(table: SlotTable) -> tuple[tuple[Measurement, ...], ...]:
    """List what an impression says of a comparison: of each whole one change and its trend."""
    found = []
    for group in table.groups():
        if group[0].quantity in IN_SHORT:
            wholes = tuple(record for record in group if whole(record))
            found.append(wholes or group)
    return tuple(g for g in found if g[0].reason is not None or whole(g[0]))


def fill(
    wording: str, records: Sequence[Measurement], words: Phrasebook, phrasings: Phrasings
) -> str:
    """Put names and slots of records into a wording; slots are those of the first one."""
    record = records[0]
    name = words.structure(record.structure, record.side)
    short = phrasings.short.get(f"{record.structure}|{record.side}", name)
    places = {
        "name": name,
        "Name": _capital(name),
        "short": short,
        "Short": _capital(short),
        "names": _listed(records, words, phrasings),
        "quantity": words.quantities[record.quantity],
        "Quantity": _capital(words.quantities[record.quantity]),
        **{field: f"{{{record.id}.{field}}}" for field in {*FIELDS, *OF_CHANGE, *OF_EARLIER}},
    }
    for place, text in places.items():
        wording = wording.replace(f"{{{place}}}", text)
    return wording


def _is_unusual(part: Measurement, of_whole: Assessment | None) -> bool:
    """Tell whether a part lies outside its reference range where the whole does not."""
    placed = assess(part)
    return placed in ("below", "above") and placed != of_whole


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(records: Sequence[Measurement], words: Phrasebook, phrasings: Phrasings) -> str:
    """List the names of records as the language does."""
    article = phrasings.words["article"]
    names = [article + words.structure(record.structure, record.side) for record in records]
    if len(names) == 1:
        return names[0]
    return phrasings.words["last"].join((phrasings.words["comma"].join(names[:-1]), names[-1]))
