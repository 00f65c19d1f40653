"""Cuts a rendered sentence into tokens: numbers, names, markers, glue, and whatever is left over.

Knows the lexicon of a language and nothing of records. Whatever it cannot name is residue: a
sentence about a record may hold none.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Literal

import prompts
from prompts import TERMS, Phrasebook

Kind = Literal[
    "name",
    "side",
    "quantity",
    "denominator",
    "order",
    "comparator",
    "difference",
    "zero",
    "change",
    "bounds",
    "size",
    "precision",
    "reportable",
    "withheld",
    "because",
    "uncertainty",
    "reason",
    "scope",
    "hedge",
    "interval",
    "basis",
    "reference",
    "central",
    "cases",
    "prior",
    "since",
    "fault",
    "outcome",
    "criterion",
    "rule",
    "source",
    "stance",
    "relation",
    "limit of",
    "probability",
    "origin",
    "glue",
    "term",
    "number word",
    "number",
    "range",
    "limit",
    "date",
    "joiner",
    "stop",
    "punctuation",
    "residue",
]
LISTS: Mapping[str, Kind] = {
    "hedge": "hedge",
    "interval": "interval",
    "reference": "reference",
    "central": "central",
    "cases": "cases",
    "prior": "prior",
    "since": "since",
    "because": "because",
    "uncertainty": "uncertainty",
    "glue": "glue",
}
TABLES: Mapping[str, Kind] = {
    "quantities": "quantity",
    "sides": "side",
    "denominators": "denominator",
    "order": "order",
    "comparators": "comparator",
    "sizes": "size",
    "differences": "difference",
    "zero": "zero",
    "changes": "change",
    "bounds": "bounds",
    "precision": "precision",
    "bases": "basis",
    "reportable": "reportable",
    "withheld": "withheld",
    "incomparable": "withheld",
}
DATE = re.compile(
    r"(?<!\w)([0-9]{4})-([0-9]{2})-([0-9]{2})(?!\w)"
    r"|([0-9]{4}) ?年 ?([0-9]{1,2}) ?月 ?([0-9]{1,2}) ?日"
)
DIGITS = re.compile(r"[-\u2010-\u2015−+±]?[0-9]+(?:[.,'’][0-9]+)*")
LIMIT = re.compile(r"(?<![\w<>=.,])([<>])([0-9]{1,2}) %(?![\w%‰^²³/×*+−-])")
HAN_NUMBER = re.compile(
    r"[〇零一二两三四五六七八九十百千万亿壹贰叁肆伍陆柒捌玖拾佰仟廿卅]"
    r"(?:[〇零一二两三四五六七八九十百千万亿点壹贰叁肆伍陆柒捌玖拾佰仟]+|(?=[毫立升厘例倍岁]))"
)
ROMAN = re.compile(r"(?<![A-Za-z])[IVX]{2,}(?![A-Za-z])")
WORD = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*")
STOP = re.compile(r"[.!?](?=\s|$)|[。！？]")
NUMERIC: tuple[Kind, ...] = ("number", "range", "number word", "limit", "date")
GLUING = frozenset(".,'’/%‰°^~+-−–±×÷=<>≤≥≈")
PUNCTUATION = frozenset(" ,;:()，；：（）、")


@dataclass(frozen=True)
class Number:
    """A number as written: its value and how many decimals it shows."""

    value: Decimal
    decimals: int


@dataclass(frozen=True)
class Token:
    """A piece of a sentence; ``key`` is what it stands for, ``numbers`` one or two as written."""

    kind: Kind
    text: str
    key: str = ""
    numbers: tuple[Number, ...] = ()
    unit: str | None = None

    @property
    def is_numeric(self) -> bool:
        """Whether it holds a number, even one that cannot be read, such as 3,10 or 1/2 or 9x."""
        is_digits = any(unicodedata.category(character).startswith("N") for character in self.text)
        return self.kind in NUMERIC or (self.kind == "residue" and is_digits)


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The phrases of one language, compiled; the longest phrase wins."""

    pattern: re.Pattern[str]
    phrases: Mapping[str, tuple[Kind, str]]
    unit_pattern: re.Pattern[str]
    units: Mapping[str, str]
    decimal: str
    joiner: str

    def phrase(self, text: str, position: int) -> Token | None:
        """Return the longest phrase that starts at a position."""
        match = self.pattern.match(text, position)
        if match is None:
            return None
        kind, key = self.phrases[match[0].lower()]
        return Token(kind, match[0], key)


@cache
def lexicon(phrasebook: Phrasebook) -> Lexicon:
    """Compile what a language says of measurements; raises ValueError as ``compiled`` does."""
    return compiled(entries(phrasebook), phrasebook)


def compiled(entries: Iterable[tuple[str, Kind, str]], phrasebook: Phrasebook) -> Lexicon:
    """Compile phrases with what they mean; raises ValueError where one has two meanings."""
    phrases: dict[str, tuple[Kind, str]] = {}
    for phrase, kind, key in entries:
        if phrases.setdefault(phrase.lower(), (kind, key)) != (kind, key):
            msg = f"{phrase!r} means {phrases[phrase.lower()]} and {(kind, key)}"
            raise ValueError(msg)
    units = {text: unit for unit, texts in phrasebook.lexicon["units"].items() for text in texts}
    return Lexicon(
        pattern=re.compile(_longest_first(phrases), re.IGNORECASE),
        phrases=phrases,
        unit_pattern=re.compile(rf" ?({_longest_first(units)})"),
        units=units,
        decimal=phrasebook.numbers["decimal"],
        joiner=phrasebook.numbers["joiner"],
    )


def entries(phrasebook: Phrasebook) -> Iterator[tuple[str, Kind, str]]:
    """List every phrase about a measurement with what it stands for."""
    yield from _names(phrasebook)
    yield from ((text, "reason", key) for key, text in phrasebook.reasons.items())
    yield from ((text, "scope", key) for key, text in phrasebook.scopes.items())
    yield from ((term, "term", term) for term in TERMS)
    for name, kind in LISTS.items():
        yield from ((phrase, kind, "") for phrase in phrasebook.lexicon[name])
    for name, kind in TABLES.items():
        for key, texts in phrasebook.lexicon[name].items():
            yield from ((phrase, kind, key) for phrase in texts)
    yield from number_words()


def number_words() -> Iterator[tuple[str, Kind, str]]:
    """List the number words of every language: none may slip in from another one."""
    for language in prompts.languages():
        for word in prompts.load(language).lexicon["number_words"]:
            yield word, "number word", ""


def _names(phrasebook: Phrasebook) -> Iterator[tuple[str, Kind, str]]:
    """List every name of every structure and side."""
    for structure, names in phrasebook.structures.items():
        yield from ((name, "name", f"{structure}|{side}") for side, name in names.items())
    for structure, sides in phrasebook.lexicon["names"].items():
        for side, others in sides.items():
            yield from ((name, "name", f"{structure}|{side}") for name in others)


def _longest_first(phrases: Mapping[str, object]) -> str:
    """Write phrases as one alternation; those of Latin letters match as whole words only."""
    ordered = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    return "|".join(_whole(phrase) for phrase in ordered)


def _whole(phrase: str) -> str:
    """Escape a phrase and forbid a Latin letter or digit on either side of its Latin ends."""
    start = r"(?<![A-Za-z0-9])" if phrase[0].isascii() and phrase[0].isalnum() else ""
    end = r"(?![A-Za-z0-9^³²])" if phrase[-1].isascii() and phrase[-1].isalnum() else ""
    return start + re.escape(phrase) + end


def tokens(text: str, words: Lexicon) -> tuple[Token, ...]:
    """Cut a text into tokens; two numbers around the joiner become one range."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        token, position = _next(text, position, words)
        if token.kind != "punctuation" or token.text != " ":
            found.append(token)
    return tuple(_with_ranges(found))


def _next(text: str, position: int, words: Lexicon) -> tuple[Token, int]:
    """Return the token at a position and where the next one starts."""
    if date := DATE.match(text, position):
        year, month, day = (int(part) for part in date.groups() if part)
        return Token("date", date[0], f"{year:04}-{month:02}-{day:02}"), date.end()
    if limit := LIMIT.match(text, position):
        number = Number(Decimal(limit[2]), 0)
        return Token("limit", limit[0], limit[1], (number,), "%"), limit.end()
    if digits := DIGITS.match(text, position):
        return _number(text, digits, words)
    if text.startswith(words.joiner, position) and not words.joiner.isalnum():
        return Token("joiner", words.joiner), position + len(words.joiner)
    if phrase := words.phrase(text, position):
        return phrase, position + len(phrase.text)
    for pattern, kind in PATTERNS:
        if match := pattern.match(text, position):
            is_joiner = match[0].lower() == words.joiner
            return Token("joiner" if is_joiner else kind, match[0]), match.end()
    return _character(text[position]), position + 1


PATTERNS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (HAN_NUMBER, "number word"),
    (ROMAN, "number word"),
    (STOP, "stop"),
    (WORD, "residue"),
)


def _character(character: str) -> Token:
    """Name a single character that no phrase begins with."""
    if unicodedata.category(character).startswith("N"):
        return Token("number word", character)
    return Token("punctuation" if character in PUNCTUATION else "residue", character)


def _number(text: str, digits: re.Match[str], words: Lexicon) -> tuple[Token, int]:
    """Read a number in ASCII digits with its sign and its unit.

    A number glued to a letter, to another number or to anything but a unit is residue.
    """
    start, end = digits.span()
    raw = digits[0]
    before = text[start - 1] if start else " "
    unit = words.unit_pattern.match(text, end)
    after = unit.end() if unit else end
    number = _parse(raw, words.decimal)
    following = text[after : after + 1]
    is_comma = following == "," and not text[after + 1 : after + 2].isdigit()
    is_last = is_comma or STOP.match(text, after) is not None
    is_glued = _is_glued(before) or (not is_last and _is_glued(following))
    if number is None or is_glued:
        return Token("residue", text[start:after]), after
    return Token("number", text[start:after], "", (number,), unit and words.units[unit[1]]), after


def _is_glued(character: str) -> bool:
    """Tell whether a character beside a number changes what the number says."""
    if not character:
        return False
    is_latin = character.isascii() and character.isalpha()
    is_number = unicodedata.category(character).startswith("N")
    return is_latin or is_number or character in GLUING


def _parse(raw: str, decimal: str) -> Number | None:
    """Return what ASCII digits say, or None where they are no plain decimal number."""
    match = re.fullmatch(rf"([-−]?)([0-9]+)(?:{re.escape(decimal)}([0-9]+))?", raw)
    if match is None:
        return None
    sign, whole, fraction = match[1], match[2], match[3] or ""
    return Number(Decimal(f"{'-' if sign else ''}{whole}.{fraction or 0}"), len(fraction))


def _with_ranges(found: list[Token]) -> Iterator[Token]:
    """Join number, joiner, number into one range; the first unit, if written, is the second's."""
    index = 0
    while index < len(found):
        lower = found[index]
        joiner, upper = (found[index + 1 : index + 3] + [Token("stop", "")] * 2)[:2]
        is_range = (lower.kind, joiner.kind, upper.kind) == ("number", "joiner", "number")
        if is_range and lower.unit in (None, upper.unit):
            text = f"{lower.text} {joiner.text} {upper.text}"
            yield Token("range", text, "", lower.numbers + upper.numbers, upper.unit)
            index += 3
        else:
            yield lower
            index += 1
