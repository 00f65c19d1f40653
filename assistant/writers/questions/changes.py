"""Whether a question asks for a change or for what was measured earlier. Knows no answers.

The trained topics were made of questions that name no date; what is said of time is the same in
every wording.
"""

import re

from assistant.writers.questions.criteria import holds
from prompts import Phrasebook

# Of these a question is taken for one about change where it speaks of time. One about size is told
# with its change anyhow.
SIGNAL = "signal"
MISHEARD = ("volume", "sure", "reliable", "sides", "asymmetry", "interval", SIGNAL)


def asks_for_change(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question speaks of what became of something over time."""
    is_told = any(holds(asked, text) for text in words.lexicon["change_asked"])
    has_year = re.search(words.lexicon["year_asked"], asked) is not None
    return is_told or has_year or asks_for_earlier(asked, words)


def asks_for_earlier(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question asks for a value of the earlier examination."""
    is_told = any(holds(asked, text) for text in words.lexicon["earlier_asked"])
    return is_told or re.search(words.lexicon["before_asked"], asked) is not None


def is_of_signal(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question says itself that it is about the signal."""
    return any(holds(asked, text) for text in words.lexicon["signal_asked"])


def is_in_millilitres(asked: str, words: Phrasebook) -> bool:
    """Tell whether a simplified question names the unit of a volume."""
    texts = (text for unit in ("mL", "mm3", "cm3") for text in words.lexicon["units"][unit])
    return any(re.search(rf"(?<![a-z]){re.escape(t.lower())}(?![a-z])", asked) for t in texts)
