"""A study's grammar in llama.cpp's own notation, GBNF. Knows nothing of records or models.

GBNF has no complement, so what the grammar excludes among words (number words, Roman numerals) is
left to the verifier, which puts the stock sentence in the place of a line with one of them.
"""

import re
from collections.abc import Iterator

from assistant.writers.vlm.grammar import Grammar

RULE = re.compile(r"(\w+): (.*)")
EXCEPT = re.compile(r" & ~/.*")
PIECE = re.compile(
    r"(?P<space>\s+)|(?P<text>\"(?:[^\"\\]|\\.)*\")|(?P<slot><unused\d+>)|/(?P<regex>(?:[^/\\]|\\.)*)/"
    r"|(?P<name>\w+)|(?P<mark>[()|?]|\{\d+,\d+\})"
)
PATTERN = re.compile(r"(?P<set>\[[^\]]*\])|(?P<mark>[()|]|\{\d+,\d+\})|(?P<text>\w+)")
CODE = re.compile(r"\\x\{([0-9a-f]+)\}")


class NotationError(ValueError):
    """A grammar holds what GBNF has no notation for: a fault of this program."""


def gbnf(grammar: Grammar) -> str:
    """Write a grammar's rules as GBNF, slots as plain text; raises NotationError."""
    rules = []
    for line in grammar.text.splitlines():
        if line.startswith("%llguidance"):
            continue
        found = RULE.fullmatch(line)
        if found is None:
            raise _unknown(line)
        name = "root" if found[1] == "start" else found[1]
        rules.append(f"{name} ::= {''.join(_body(EXCEPT.sub('', found[2])))}")
    return "\n".join(rules) + "\n"


def _body(text: str) -> Iterator[str]:
    """Write what a rule consists of."""
    for kind, piece in _pieces(PIECE, text):
        if kind == "slot":
            yield f'"{piece}"'
        elif kind == "regex":
            yield f"({''.join(_pattern(piece))})"
        else:
            yield piece


def _pattern(text: str) -> Iterator[str]:
    """Write a regular expression of sets, words, groups and repetitions."""
    for kind, piece in _pieces(PATTERN, text):
        if kind == "set":
            yield CODE.sub(lambda found: _escaped(int(found[1], 16)), piece)
        else:
            yield f'"{piece}"' if kind == "text" else piece


def _pieces(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    """Cut a text into pieces of known kinds; raises NotationError for any other."""
    end = 0
    while end < len(text):
        found = pattern.match(text, end)
        if found is None or found.lastgroup is None:
            raise _unknown(text[end:])
        end = found.end()
        yield found.lastgroup, found[found.lastgroup]


def _escaped(code: int) -> str:
    """Write one character of a set."""
    if code <= 0xFF:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def _unknown(found: str) -> NotationError:
    msg = f"expected a rule of words, slots and sets, found {found[:40]!r}; report it"
    return NotationError(msg)
