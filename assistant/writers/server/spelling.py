"""Slots as a server reads and writes them. Knows nothing of records beyond their place.

Only vLLM is asked to write special tokens out; llama.cpp and `transformers serve` leave them out of
what they answer. So for these a slot is spelled in letters: the first record's reading is
``{a.reading}``. Neither spelling has a digit of the model's own in it.
"""

import re
from dataclasses import dataclass
from string import ascii_lowercase

from assistant.writers.vlm.slots import FIELDS, FIRST, SECTION_TOKEN, TOKEN, SlotTokenError

SECTION = "{impression}"
FIELD = re.compile(rf"\{{([a-z])\.({'|'.join(FIELDS)})\}}")
ANY_BRACE = re.compile(r"[{}]")


@dataclass(frozen=True)
class Spelling:
    """How slots stand in prompts and answers: as tokens of Gemma's, or in letters."""

    in_letters: bool

    def written(self, text: str) -> str:
        """Spell the tokens of a prompt or a grammar as the server is to read them."""
        return TOKEN.sub(lambda found: _letters(found[0]), text) if self.in_letters else text

    def read(self, line: str) -> str:
        """Return an answered line with tokens; raises SlotTokenError for what is no slot."""
        if not self.in_letters:
            return _without(ANY_BRACE, line)
        plain = _without(TOKEN, line).replace(SECTION, SECTION_TOKEN)
        return _without(ANY_BRACE, FIELD.sub(_token, plain))


def _letters(token: str) -> str:
    """Spell one token in letters; raises SlotTokenError for one without a letter."""
    if token == SECTION_TOKEN:
        return SECTION
    index, field = divmod(int(token[len("<unused") : -1]) - FIRST, len(FIELDS))
    if not 0 <= index < len(ascii_lowercase):
        msg = f"token {token} has no letter: expected a slot of the first records"
        raise SlotTokenError(msg)
    return f"{{{ascii_lowercase[index]}.{FIELDS[field]}}}"


def _token(found: re.Match[str]) -> str:
    """Return the token that is spelled in letters."""
    index, field = ascii_lowercase.index(found[1]), FIELDS.index(found[2])
    return f"<unused{FIRST + index * len(FIELDS) + field}>"


def _without(pattern: re.Pattern[str], line: str) -> str:
    """Return a line as it is; raises SlotTokenError where it holds the pattern."""
    if found := pattern.search(line):
        msg = f"expected slots as they were shown, found {found[0]!r} in a line"
        raise SlotTokenError(msg)
    return line
