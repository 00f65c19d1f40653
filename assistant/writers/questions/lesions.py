"""Questions about lesions: by letter, by what became of them, and by size. Knows no answers.

No topic was trained for them: what is asked is found by its words, the same in every wording.
"""

from collections.abc import Iterable

from assistant.ledger import Ledger
from assistant.writers.questions.asked import Asked
from assistant.writers.questions.hints import (
    asks_for_change,
    asks_for_earlier,
    asks_what_became,
    fates_asked,
    is_about_lesions,
    is_for_count,
    is_for_largest,
    is_for_place,
    is_for_total,
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
    if of_change is None and (found := _of_all(asked, ledger, words)):
        return Asked(LESION, found)
    return None


def topic_of_lesions(topic: str, asked: str, words: Phrasebook) -> str:
    """Say what a question about a report of lesions asks, which was heard as one of structures."""
    if named(asked, words):
        return UNKNOWN
    if topic in KEPT:
        return PRIOR if topic == "size" and asks_for_change(asked, words) else topic
    if is_about_lesions(asked, words):
        return PRIOR if asks_for_change(asked, words) else "summary"
    return UNKNOWN if topic in OF_STRUCTURES else topic


def _of_all(asked: str, ledger: Ledger, words: Phrasebook) -> tuple[Measurement, ...]:
    """List the total and the count that are asked for: today's, or what was before."""
    if asks_for_earlier(asked, words):
        quantities = {EARLIER_LOAD: is_for_total(asked, words)}
    elif asks_for_change(asked, words):
        return ()
    else:
        quantities = {LOAD: is_for_total(asked, words), NUMBER: is_for_count(asked, words)}
    return tuple(record for record in ledger.records if quantities.get(record.quantity))


def _of_letters(letters: Iterable[str], ledger: Ledger) -> tuple[Measurement, ...]:
    """List what is told of lesions by their letters."""
    ends = tuple(f" lesion {what} {letter}" for letter in letters for what in ("volume", "change"))
    return tuple(r for r in ledger.records if r.quantity.endswith(ends))


def _of_fates(fates: Iterable[str], ledger: Ledger) -> tuple[Measurement, ...]:
    """List how many lesions are new, enlarged and so on, and what is told of each of them."""
    starts = tuple(f"{fate} lesion" for fate in fates)
    return tuple(r for r in ledger.records if r.quantity.startswith(starts))
