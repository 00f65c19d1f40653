"""Which examination a question is about, by its date or its year. Knows no wordings."""

import re
from collections.abc import Container, Iterable
from dataclasses import replace

from assistant.ledger import Ledger
from assistant.writers.questions.asked import Asked
from assistant.writers.questions.hints import is_of_signal, years_asked
from assistant.writers.questions.names import mentions_index, named
from assistant.writers.questions.topics import LESION, OF_RECORDS, PRIOR, UNKNOWN
from prompts import Phrasebook
from segment.measurement import EARLIER, EARLIER_LOAD, PIECES, Measurement

DATE = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")


def on_its_dates(heard: Asked, asked: str, ledger: Ledger) -> Asked:
    """Keep the records of the dates that a question names; of another date nothing was measured.

    Where a volume is asked for, that of an earlier examination is told of its own date.
    """
    dates = set(DATE.findall(asked))
    known = {date for record in ledger.records for date in (record.date, record.comparator)}
    if not dates or not any(known) or heard.topic not in (*OF_RECORDS, PRIOR, LESION):
        return heard
    told = heard.records or tuple(r for r in ledger.records if r.is_of_comparison)
    if not told:
        return heard
    if kept := tuple(r for r in told if dates <= {r.date, r.comparator}):
        return replace(heard, records=kept) if heard.records else heard
    mine = {(record.structure, record.side) for record in told if record.unit != PIECES}
    earlier = (r for r in ledger.records if r.quantity in (EARLIER, EARLIER_LOAD))
    found = tuple(r for r in earlier if {r.date} == dates and (r.structure, r.side) in mine)
    return Asked(PRIOR, found) if found else Asked(UNKNOWN)


def on_earlier_dates(ledger: Ledger) -> Asked:
    """Find the earlier volumes, which say their dates, of what a report begins with."""
    first = ledger.records[0].structure if ledger.records else None
    earlier = (r for r in ledger.records if r.quantity in (EARLIER, EARLIER_LOAD))
    return Asked(PRIOR, tuple(record for record in earlier if record.structure == first))


def in_its_year(asked: str, ledger: Ledger, words: Phrasebook) -> Asked | None:
    """Find the volumes of a year, of the structures named; None where no such year is asked for.

    Of a year in which nobody was examined nothing was measured.
    """
    years, names = years_asked(asked, words), named(asked, words)
    is_of_volume = not is_of_signal(asked, words) and not mentions_index(asked, words)
    if not years or not names or not is_of_volume or not _is_dated(ledger):
        return None
    volumes = in_years((r for r in ledger.records if r.quantity in ("volume", EARLIER)), years)
    found = tuple(
        record
        for record in volumes
        if any(record.structure == s and side in (record.side, "none") for s, side in names)
    )
    return Asked("volume", found) if found else Asked(UNKNOWN)


def lesions_in_its_year(
    asked: str, ledger: Ledger, words: Phrasebook, quantities: Container[str]
) -> Asked | None:
    """Find the total or the count of lesions in a year; None where no year is asked for."""
    years = years_asked(asked, words)
    if not years or not _is_dated(ledger):
        return None
    found = in_years((r for r in ledger.records if r.quantity in quantities), years)
    return Asked(LESION, found) if found else Asked(UNKNOWN)


def in_years(records: Iterable[Measurement], years: Container[str]) -> tuple[Measurement, ...]:
    """List the records of examinations in some years."""
    return tuple(r for r in records if r.date is not None and r.date[:4] in years)


def _is_dated(ledger: Ledger) -> bool:
    """Tell whether an earlier examination is told with its date."""
    return any(r.quantity in (EARLIER, EARLIER_LOAD) and r.date for r in ledger.records)
