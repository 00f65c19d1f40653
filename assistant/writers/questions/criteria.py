"""Whether a question asks for the criteria of published rules, and of which. Knows no answers.

No topic was trained for it: rules are called by their names, which are the same in every wording,
or by what they judge where they were held against the study.
"""

import re

from prompts import Phrasebook

CRITERIA = "criteria"  # the topic


def asks_for_criteria(asked: str, words: Phrasebook) -> bool:
    """Tell whether a question speaks of criteria or names a rule."""
    texts = (*words.lexicon["criteria_asked"], *_names(words))
    return any(holds(asked, text) for text in texts)


def rules_named(asked: str, words: Phrasebook) -> tuple[str, ...]:
    """List the rules that a question names; none where it asks for criteria in general."""
    names = words.lexicon["rules_asked"]
    return tuple(rule for rule, texts in names.items() if any(holds(asked, t) for t in texts))


def rules_meant(asked: str, words: Phrasebook) -> tuple[str, ...]:
    """List the rules that a question asks for by what they judge, as "is there activity"."""
    meant = words.lexicon["rules_meant"]
    return tuple(rule for rule, texts in meant.items() if any(holds(asked, t) for t in texts))


def _names(words: Phrasebook) -> tuple[str, ...]:
    return tuple(text for texts in words.lexicon["rules_asked"].values() for text in texts)


def holds(asked: str, text: str) -> bool:
    """Tell whether a text stands in a question, as a whole word where it is of Latin letters."""
    found = re.escape(text.lower())
    pattern = rf"(?<![a-z]){found}(?![a-z])" if text.isascii() else found
    return re.search(pattern, asked.lower()) is not None
