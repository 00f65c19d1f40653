"""Questions about lesions: by letter, by what became of them, and by size. Knows no answers.

No topic was trained for them: what is asked is found by its words, the same in every wording.
"""

from collections.abc import Iterable

from assistant.ledger import Ledger
from assistant.writers.questions.asked import Asked
from assistant.writers.questions.dates import lesions_in_its_year
from assistant.writers.questions.hints import (
    asks_for_change,
    asks_what_became,
    compares_dates,
    fates_asked,
    is_about_lesions,
    is_for_count,
    is_for_largest,
    is_for_place,
    is_for_total,
    is_of_past,
    lesions_named,
)
from assistant.writers.questions.names import named
from assistant.writers.questions.topics import LESION, LESION_PLACE, OF_TRUST, PRIOR, UNKNOWN
from prompts import Phrasebook
from segment.lesion_records import LARGE, LETTERS, LOAD, NUMBER
from segment.measurement import EARLIER_LOAD, Measurement

# Topics that are answered of lesions as they are heard, also where lesions are named.
KEPT = (PRIOR, "not_assessed", "summary", "size", *OF_TRUST)
# Topics of structures, which no report of lesions measures.
OF_STRUCTURES = ("other_structures", "signal", "head_size", "sides", "asymmetry")


def is_of_lesions(ledger: Ledger) -> bool:
    """Tell whether lesions were counted."""
    return any(record.quantity == LOAD for record in ledger.records)


def about_lesions(
    asked: str, ledger: Ledger, words: Phrasebook, of_change: str | None
) -> Asked | None:
    """Find which lesions a simplified question names; None where it names none of its own."""
    if not is_of_lesions(ledger):
        return None
    if is_for_place(asked, words):
        return Asked(LESION_PLACE)
    if letters := lesions_named(asked, words):
        found = _of_letters(letters, ledger)
        is_of_change = of_change or asks_for_change(asked, words) or asks_what_became(asked, words)
        topic = PRIOR if is_of_change else LESION
        return Asked(topic, found, of_change=of_change) if found else Asked(UNKNOWN)
    if fates := fates_asked(asked, words):
        fated = _of_fates(fates, ledger)
        return Asked(LESION if fated else PRIOR, fated, of_change=of_change)
    if is_for_largest(asked, words):
        found = tuple(r for r in ledger.records if r.quantity == f"{LARGE} {LETTERS[0]}")
        return Asked(LESION, found) if found else Asked(UNKNOWN)
    return None if of_change else _of_all(asked, ledger, words)


def topic_of_lesions(topic: str, asked: str, words: Phrasebook) -> str:
    """Say what a question about a report of lesions asks, which was heard as one of structures."""
    if named(asked, words):
        return UNKNOWN
    if topic in KEPT:
        return PRIOR if topic == "size" and asks_for_change(asked, words) else topic
    if is_about_lesions(asked, words):
        return PRIOR if asks_for_change(asked, words) else "summary"
    return UNKNOWN if topic in OF_STRUCTURES else topic


def _of_all(asked: str, ledger: Ledger, words: Phrasebook) -> Asked | None:
    """Find whether the total or the count is asked for: today's, what was before, or its change."""
    wanted = {LOAD: is_for_total(asked, words), NUMBER: is_for_count(asked, words)}
    if not any(wanted.values()):
        return None
    if compares_dates(asked, words):
        return Asked(PRIOR) if wanted[LOAD] else None
    quantities = (*((LOAD, EARLIER_LOAD) if wanted[LOAD] else ()), *((NUMBER,) * wanted[NUMBER]))
    if (of_year := lesions_in_its_year(asked, ledger, words, quantities)) is not None:
        return of_year
    if is_of_past(asked, words):
        return _of_all_before(ledger, is_of_total=wanted[LOAD])
    if asks_for_change(asked, words):
        return None
    return Asked(LESION, tuple(r for r in ledger.records if wanted.get(r.quantity)))


def _of_all_before(ledger: Ledger, *, is_of_total: bool) -> Asked:
    """Find the total on each earlier date; lesions were counted on none."""
    if not any(record.comparator for record in ledger.records):
        return Asked(PRIOR)
    found = tuple(record for record in ledger.records if record.quantity == EARLIER_LOAD)
    return Asked(LESION, found) if is_of_total and found else Asked(UNKNOWN)


def _of_letters(letters: Iterable[str], ledger: Ledger) -> tuple[Measurement, ...]:
    """List what is told of lesions by their letters."""
    ends = tuple(f" lesion {what} {letter}" for letter in letters for what in ("volume", "change"))
    return tuple(r for r in ledger.records if r.quantity.endswith(ends))


def _of_fates(fates: Iterable[str], ledger: Ledger) -> tuple[Measurement, ...]:
    """List how many lesions are new, enlarged and so on, and what is told of each of them."""
    starts = tuple(f"{fate} lesion" for fate in fates)
    return tuple(r for r in ledger.records if r.quantity.startswith(starts))
