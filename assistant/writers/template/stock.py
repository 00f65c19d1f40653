"""Stock sentences: what always holds of a record, word for word from the phrasebook.

Knows nothing of how slots are filled or of the order of a report.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import get_args

from assistant.draft import Section, Statement
from assistant.exams import SUPPLIED, Exam
from assistant.ledger import Ledger
from assistant.writers import Brief, assess, difference, verdict
from prompts import Phrasebook
from segment.change import OF_EXAMINATIONS, RELATIVE, TREND
from segment.effort import EFFORT, Effort
from segment.lesion_change import Fate
from segment.lesion_records import COUNTS as FATES
from segment.lesion_records import (
    ENLARGED,
    LARGE,
    LOAD,
    LOAD_CHANGE,
    NEW,
    NUMBER,
    SINCE_BASELINE,
    SINCE_SMALLEST,
    excludes_no_change,
    includes_no_change,
    is_of_one,
    is_same_by_all,
)
from segment.measurement import EARLIER, EARLIER_LOAD, Measurement, Reason, Reliability

SCANS = {"MR": "technique.scan", "CT": "technique.scan.ct"}
MEASURING = ("technique.{exam}", "technique.volume", "technique.interval")
SUPPLYING = (
    "technique.{exam}",
    "technique.volume",
    "technique.attenuation",
    "technique.no_interval",
)
COMPARING = "technique.change"
OF_LESIONS = ("technique.scan.lesions", "technique.{exam}", "technique.lesions")
CHANGED = (NEW, ENLARGED, *(name for fate, name in FATES.items() if fate is not Fate.STABLE))
LESIONS_IN_SHORT = (
    *(LOAD, NUMBER, LOAD_CHANGE, SINCE_SMALLEST, SINCE_BASELINE),
    *(NEW, ENLARGED, FATES[Fate.RESOLVED]),
)
# Classes of lesions that are told in short where they occur.
WHERE_ANY = tuple(
    FATES[fate] for fate in (Fate.SHRUNK, Fate.MERGED, Fate.SPLIT, Fate.MERGED_AND_SPLIT)
)
CAUTION = "technique.caution"
ASYMMETRY = "asymmetry index"
ATTENUATION = "mean attenuation"
ONE_NETWORK = "technique.one_network"
OTHER_EFFORTS = tuple(f", {effort}" for effort in get_args(Effort) if effort != EFFORT)
OWN_MODEL, NETWORK = "technique.own_model", "nnU-Net "
NOTHING = "impression.nothing_measured"
CHANGE, LESION_ERROR = "change", "lesion_error"  # of an exam's not_assessed
IN_SHORT = (RELATIVE, TREND)  # of the records of a comparison, what the impression holds
COUNTS = ("one", "two", "three")  # how many records a stock sentence can withhold together
PLACE = re.compile(r"\{([a-z])\.(\w+)\}")


def fixed_statements(ledger: Ledger, exam: Exam, phrasebook: Phrasebook) -> tuple[Statement, ...]:
    """Return what every report of an exam says: how it was made and what it does not cover.

    Where nothing was assessed, nothing is said of how it was segmented and counted.
    """
    is_of_lesions = exam.compares == "lesions"
    technique = tuple((_of_lesions if is_of_lesions else _technique)(ledger, exam))
    keys: list[tuple[Section, str]] = [
        *(("technique", key.format(exam=exam.name)) for key in technique),
        *(("not_assessed", f"not_assessed.{key}") for key in gaps(ledger, exam)),
    ]
    return tuple(phrase_statement(key, (), phrasebook, section) for section, key in keys)


def _technique(ledger: Ledger, exam: Exam) -> Iterator[str]:
    """List the phrases of what was scanned and, where anything was assessed, of how."""
    assessed = [r for r in ledger.records if r.reliability is not Reliability.NOT_ASSESSED]
    if not any(record.reason is Reason.NOT_HOUNSFIELD for record in ledger.records):
        yield SCANS[exam.modality]
    if assessed and exam.segmenter != SUPPLIED:
        is_single = any(record.method.endswith(OTHER_EFFORTS) for record in assessed)
        yield ONE_NETWORK if is_single else MEASURING[0]
        yield from MEASURING[1:-1]
        is_alone = is_without_intervals(ledger.records)
        yield SUPPLYING[-1] if is_alone else MEASURING[-1]
    elif assessed:
        has_mean = any(record.quantity == ATTENUATION for record in assessed)
        is_drawn_here = any(NETWORK in record.method for record in assessed)
        yield OWN_MODEL if is_drawn_here else SUPPLYING[0]
        yield from (key for key in SUPPLYING[1:] if has_mean or key != "technique.attenuation")
    if any(record.comparator and record.reason is None for record in ledger.records):
        yield COMPARING


def _of_lesions(ledger: Ledger, exam: Exam) -> Iterator[str]:
    """List the phrases of how lesions were counted and, with an earlier study, compared."""
    yield from (key.format(exam=exam.name) for key in OF_LESIONS)
    yield "technique.outline"
    if any(record.comparator for record in ledger.records):
        yield "technique.lesion_change"
    if any(r.quantity in (LOAD, EARLIER_LOAD) and r.value == 0 for r in ledger.records):
        yield "technique.lesions_none"
    if any(record.quantity.startswith(LARGE) for record in ledger.records):
        yield "technique.lesions_largest"
    count = sum(r.value or 0 for r in ledger.records if r.quantity in CHANGED)
    told = [record for record in ledger.records if is_of_one(record)]
    if count > len(told):
        yield "technique.lesions_left_out"


def gaps(ledger: Ledger, exam: Exam) -> tuple[str, ...]:
    """List what a reader could take to be covered and is not.

    Change is, where it was compared; the error of a change of lesions matters where one is shown.
    """
    is_covered = {
        CHANGE: any(record.comparator is not None for record in ledger.records),
        LESION_ERROR: not any(map(excludes_no_change, ledger.records)),
    }
    return tuple(key for key in exam.not_assessed if not is_covered.get(key, False))


def stock_statement(
    record: Measurement, exam: Exam, phrasebook: Phrasebook, section: Section = "findings"
) -> Statement:
    """Return the sentence that always holds of a record; the impression's is shorter."""
    if section == "findings" and record.is_of_comparison:
        section = "comparison"
    if record.is_of_comparison and record.reason is None:
        key = _key_of_comparison(record, exam, section)
    else:
        key = _key(record, exam)
        if section == "impression" and not record.is_withheld:
            key = f"impression.{key}"
    return phrase_statement(key, (record.id,), phrasebook, section)


def _key_of_comparison(record: Measurement, exam: Exam, section: Section) -> str:
    """Choose the phrase of a volume on its date, or of a change with its error told once."""
    on_its_date = "undated" if record.date is None else "dated"
    if record.quantity in (EARLIER, EARLIER_LOAD):
        return f"earlier.{on_its_date}"
    if is_of_one(record):
        return f"lesion.{on_its_date}"
    is_whole = record.structure in exam.asymmetry and record.quantity in IN_SHORT
    start = "" if is_whole and section != "impression" else "impression."
    if includes_no_change(record):
        return f"{start}change.not_shown"
    return f"{start}change.{verdict(record) or 'unjudged'}"


def phrase_statement(
    key: str, cites: tuple[str, ...], phrasebook: Phrasebook, section: Section
) -> Statement:
    """Put the ids of the cited records in the places a, b, c of a phrase.

    Raises KeyError for an unknown phrase and ValueError for one that needs more records.
    """

    def place(match: re.Match[str]) -> str:
        index = ord(match[1]) - ord("a")
        if index >= len(cites):
            msg = f"phrase {key} needs more than the records {cites}"
            raise ValueError(msg)
        return f"{{{cites[index]}.{match[2]}}}"

    return Statement(section, PLACE.sub(place, phrasebook.phrases[key]), cites, key)


def _key(record: Measurement, exam: Exam) -> str:
    """Choose the phrase of a record by its reliability and its interval."""
    if record.is_withheld:
        return f"{_withheld(record)}.one"
    if record.quantity == ATTENUATION:
        return "attenuation.plain"
    if is_same_by_all(record):
        return "lesions.counted"
    if record.quantity in (LOAD, NUMBER) or record.quantity.startswith(LARGE):
        return "lesions.plain"
    if record.quantity == ASYMMETRY:
        return f"asymmetry.{difference(record)}"
    is_whole = record.structure in exam.asymmetry
    return f"volume.{(assess(record) if is_whole else None) or 'plain'}"


def whole_statements(brief: Brief, section: Section) -> Iterator[Statement]:
    """Say the whole structures shortly, and a part where it alone is withheld."""
    exam, words = brief.exam, brief.phrasebook
    if exam.compares == "lesions":
        yield from _lesions_in_short(brief, section)
        return
    if is_without_intervals(brief.ledger.records):
        yield from _listed(brief, section)
        return
    if section == "impression" and exam.segmenter == SUPPLIED and is_nothing(brief.ledger.records):
        yield phrase_statement(NOTHING, (), words, section)
        return
    for records in together(brief.ledger.records):
        if records[0].is_of_comparison and records[0].quantity not in IN_SHORT:
            continue
        wholes = tuple(record for record in records if record.structure in exam.asymmetry)
        if records[0].is_withheld:
            yield withheld_statement(wholes or records, words, section)
            continue
        for record in wholes:
            short = stock_statement(record, exam, words, "impression")
            yield replace(short, section=section)


def _lesions_in_short(brief: Brief, section: Section) -> Iterator[Statement]:
    """Say how many lesions there are, how large together, and what became of them."""
    for record in brief.ledger.records:
        if record.quantity in LESIONS_IN_SHORT or occurs(record):
            short = stock_statement(record, brief.exam, brief.phrasebook, "impression")
            yield replace(short, section=section)


def occurs(record: Measurement) -> bool:
    """Tell whether a record counts lesions of a rarer class, of which there are any."""
    return record.quantity in WHERE_ANY and not record.is_withheld and bool(record.value)


def is_without_intervals(records: Sequence[Measurement]) -> bool:
    """Tell whether values are stated of which none has an interval to draw a conclusion from."""
    stated = [record for record in records if not record.is_withheld]
    return bool(stated) and all(record.interval is None for record in stated)


def is_nothing(records: Sequence[Measurement]) -> bool:
    """Tell whether no value at all is stated."""
    return all(record.is_withheld for record in records)


def _listed(brief: Brief, section: Section) -> Iterator[Statement]:
    """Say in an impression that nothing follows; elsewhere state every value."""
    if section == "impression":
        yield phrase_statement("impression.no_interval", (), brief.phrasebook, section)
        return
    for record in brief.ledger.records:
        yield stock_statement(record, brief.exam, brief.phrasebook, section)


def together(records: Sequence[Measurement]) -> Iterator[tuple[Measurement, ...]]:
    """Group neighbouring records of one side, quantity, date, reliability and reason."""

    def kind(record: Measurement) -> tuple[str, ...]:
        is_for = (record.side, record.quantity, str(record.date))
        return (*is_for, record.reliability, str(record.reason))

    for _, group in groupby(records, kind):
        members = tuple(group)
        for start in range(0, len(members), len(COUNTS)):
            yield members[start : start + len(COUNTS)]


def withheld_statement(
    records: tuple[Measurement, ...], phrasebook: Phrasebook, section: Section
) -> Statement:
    """Say that one, two or three records are withheld, and why."""
    if section == "findings" and records[0].is_of_comparison:
        section = "comparison"
    cites = tuple(record.id for record in records)
    key = f"{_withheld(records[0])}.{COUNTS[len(cites) - 1]}"
    return phrase_statement(key, cites, phrasebook, section)


def _withheld(record: Measurement) -> str:
    """Say how a withheld record is called: a change is none of a reliable measurement."""
    start = "earlier_" if record.quantity == EARLIER and record.date else ""
    if record.reliability is Reliability.NOT_ASSESSED:
        return f"{start}not_assessed"
    if record.comparator is None:
        return f"{start}not_reliable"
    return "not_comparable" if record.reason in OF_EXAMINATIONS else "change_withheld"
