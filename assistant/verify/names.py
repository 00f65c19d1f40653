"""What a structure may be called: by words that name it and state nothing of it.

Knows the words of each language and nothing of organs or records.
"""

import re
from functools import cache

import prompts
from assistant.verify.lexer import Kind, lexicon, tokens
from prompts import Phrasebook

NUMBERS: tuple[Kind, ...] = ("number", "number word")
OWN: tuple[Kind, ...] = ("residue", "name")  # of which a name holds one at least
# Words that state nothing by themselves; in Chinese a character of a name may be one of them.
BESIDE: tuple[Kind, ...] = (
    *("side", "central", "cases", "since", "because", "glue", "term"),
    *("joiner", "stop", "punctuation"),
)


def is_known(text: str, phrasebook: Phrasebook) -> bool:
    """Whether a text, as a report would hold it, is what something else is called."""
    return [token.kind for token in tokens(text, lexicon(phrasebook))] == ["name"]


def check_name(name: str, phrasebook: Phrasebook, *, has_sides: bool = False) -> None:
    """Refuse a name that would state something in a report; raises ValueError.

    Where the structure ``has_sides``, a report says which, and its name does not.
    """
    found = tokens(name, lexicon(phrasebook))
    if has_sides and (sides := [token.text for token in found if token.kind == "side"]):
        msg = f"expected a name without a side, which a report adds, found {sides[0]!r} in"
        raise ValueError(f"{msg} {name!r}; leave it out")
    if any(token.kind in NUMBERS for token in found):
        msg = f"expected a name that no reader takes for a number, found {name!r}; call it"
        raise ValueError(f"{msg} otherwise")
    claims = [token.text for token in found if token.kind not in (*OWN, *BESIDE)]
    if stated := _stating().search(name.lower()):
        claims.append(stated[0])
    if claims:
        msg = "expected a name that states no finding, negation or judgement, found"
        raise ValueError(f"{msg} {claims[0]!r} in {name!r}; call it otherwise")
    if not any(token.kind in OWN for token in found):
        msg = f"expected a name with a word of its own, found {name!r}; call it otherwise"
        raise ValueError(msg)


@cache
def _stating() -> re.Pattern[str]:
    """Compile what no name may hold, of every language: none may slip in from another one."""
    books = map(prompts.load, prompts.languages())
    patterns = "|".join(pattern for book in books for pattern in book.lexicon["no_name"])
    return re.compile(rf"(?<![a-z])(?:{patterns})(?![a-z])")
