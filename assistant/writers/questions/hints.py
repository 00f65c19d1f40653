"""What a question says so plainly that no trained topic need guess it. Knows no answers.

Topics were trained on questions that speak little of time, of the norm and of given numbers; these
are said in few words, the same in every wording.
"""

import re
from collections.abc import Iterable

from assistant.writers.questions.criteria import holds
from assistant.writers.questions.names import mentions_index, mentions_part
from assistant.writers.questions.topics import (
    ACQUISITION,
    IDENTITY,
    OF_RECORDS,
    OF_SIDES,
    OFF_TOPIC,
    UNCLEAR,
    UNKNOWN,
)
from prompts import Phrasebook

SIGNAL, SIDES = "signal", "sides"
OF_LESIONS_ALONE = ("new", "resolved", "merged", "split")  # fates that no total can have
# Of these a question is taken for one about how the scan was made where it says so.
OF_FACTS = (IDENTITY, UNCLEAR)
# Of these a question is taken for one about change where it speaks of time. One about size is told
# with its change anyhow.
MISHEARD = ("volume", "sure", "reliable", "sides", "asymmetry", "interval", SIGNAL)


def asks_for_change(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question speaks of what became of something over time."""
    is_told = _says(asked, words.lexicon["change_asked"])
    has_year = re.search(words.lexicon["year_asked"], asked) is not None
    return is_told or has_year or asks_for_earlier(asked, words)


def asks_for_earlier(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks for a value of the earlier examination."""
    is_told = _says(asked, words.lexicon["earlier_asked"])
    return is_told or re.search(words.lexicon["before_asked"], asked) is not None


def compares_dates(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks how something differs from what it was."""
    is_of_limit = re.search(words.lexicon["limit_asked"], asked) is not None
    return _says(asked, words.lexicon["compared_asked"]) and not is_of_limit


def years_asked(asked: str, words: Phrasebook) -> tuple[str, ...]:
    """List the years of which a simplified question asks for a value, and for no change."""
    if compares_dates(asked, words) or not _says(asked, words.lexicon["value_asked"]):
        return ()
    return tuple(re.findall(words.lexicon["year_of_asked"], asked))


def asks_for_prior_date(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks when the earlier examination was."""
    return re.search(words.lexicon["prior_date_asked"], asked) is not None


def is_of_error(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question is about the measurement error, and no interval."""
    is_of_interval = _says(asked, words.lexicon["interval"])
    return re.search(words.lexicon["error_asked"], asked) is not None and not is_of_interval


def is_of_past(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question points to an earlier examination."""
    return _says(asked, words.lexicon["past_asked"]) or asks_for_earlier(asked, words)


def is_of_signal(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question says itself that it is about the signal."""
    return _says(asked, words.lexicon["signal_asked"])


def is_of_trust_alone(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks how sure all is, and names nothing."""
    whole = asked.strip().rstrip("?？!.。 ")
    return re.fullmatch(words.lexicon["trust_asked"], whole) is not None


def asks_for_caution(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks for caution in reading a report."""
    return _says(asked, words.lexicon["caution_asked"])


def is_of_change_alone(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks for a change, real or fast, and names nothing."""
    whole = asked.strip().rstrip("?？!.。 ")
    return re.fullmatch(words.lexicon["bare_change_asked"], whole) is not None


def asked_of_change(asked: str, words: Phrasebook) -> str | None:
    """Say what a simplified question asks of a change, if it is plain: its reality or its rate."""
    of_change = words.lexicon["of_change_asked"]
    return next((key for key, texts in of_change.items() if _says(asked, texts)), None)


def asks_what_became(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks for what only became of a lesion since before."""
    return any(fate in OF_LESIONS_ALONE for fate in fates_asked(asked, words))


def lesions_named(asked: str, words: Phrasebook) -> tuple[str, ...]:
    """List the letters of the lesions that a simplified question names, as "lesion c"."""
    found = re.finditer(words.lexicon["lesion_asked"], asked)
    return tuple(dict.fromkeys(match[1].upper() for match in found))


def fates_asked(asked: str, words: Phrasebook) -> tuple[str, ...]:
    """List what became of the lesions that a simplified question asks for, as "which are new".

    "Did the lesions grow?" may ask for their total, but "are there new lesions?" may not.
    """
    fates = words.lexicon["fates_asked"]
    found = tuple(fate for fate, texts in fates.items() if _says(asked, texts))
    if _says(asked, words.lexicon["which_asked"]):
        return found
    is_of_fates = is_about_lesions(asked, words) and set(found) <= set(OF_LESIONS_ALONE)
    return found if is_of_fates else ()


def is_about_lesions(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question speaks of lesions."""
    return _says(asked, words.lexicon["lesions_asked"])


def is_for_largest(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks for the largest lesion."""
    return is_about_lesions(asked, words) and _says(asked, words.lexicon["largest_asked"])


def is_for_place(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks where lesions lie."""
    return is_about_lesions(asked, words) and _says(asked, words.lexicon["place_asked"])


def is_for_enhancement(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks for contrast uptake, not whether it was assessed."""
    is_of_gaps = _says(asked, words.lexicon["gap_asked"])
    return _says(asked, words.lexicon["enhancement_asked"]) and not is_of_gaps


def is_for_total(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks for the volume of all lesions."""
    return _says(asked, words.lexicon["total_asked"])


def is_for_count(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks how many lesions there are."""
    return is_about_lesions(asked, words) and _says(asked, words.lexicon["count_asked"])


def is_in_millilitres(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question names the unit of a volume."""
    texts = (text for unit in ("mL", "mm3", "cm3") for text in words.lexicon["units"][unit])
    return any(re.search(rf"(?<![a-z]){re.escape(t.lower())}(?![a-z])", asked) for t in texts)


def topic_of_one_side(asked: str, words: Phrasebook) -> str | None:
    """Say what is asked of one side or of both, each by itself, if that is plain.

    "Are both smaller than normal?" compares no sides, and neither does "is the left below 3 mL?".
    """
    if all(_says(asked, texts) for texts in words.lexicon["sides"].values()):
        return None
    if _says(asked, words.lexicon["norm_asked"]):
        return "size"
    return "volume" if re.search(words.lexicon["number_asked"], asked) else None


def topic_of_parts(topic: str, asked: str, words: Phrasebook) -> str:
    """Return what is asked of parts: their volumes are told side by side, a ratio nobody measured.

    The asymmetry index compares whole structures.
    """
    if not mentions_part(asked, words) or mentions_index(asked, words):
        return topic
    if _says(asked, words.lexicon["ratio_asked"]):
        return UNKNOWN if topic in (*OF_RECORDS, *OF_SIDES, UNCLEAR) else topic
    if topic != SIDES:
        return topic
    return "size" if _says(asked, words.lexicon["norm_asked"]) else "volume"


def topic_aside(topic: str, asked: str, words: Phrasebook) -> str:
    """Return what is plainly asked of no measurement: a poem, an age, how the scan was made."""
    if re.search(words.lexicon["pastime_asked"], asked):
        return OFF_TOPIC
    if re.search(words.lexicon["age_asked"], asked):
        return IDENTITY
    is_of_scan = topic in OF_FACTS and _says(asked, words.lexicon["acquisition_asked"])
    return ACQUISITION if is_of_scan else topic


def _says(asked: str, texts: Iterable[str]) -> bool:
    return any(holds(asked, text) for text in texts)
