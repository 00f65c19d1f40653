"""Whether each number of a line is one that a cited record holds, by a plain expression.

Knows neither the renderer nor the verifier, so that what both read wrongly is still seen here.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from assistant.report import Line
from segment.measurement import Measurement

NUMBER = re.compile(r"(?<![A-Za-z\d.,])([−-]?)(\d+)(?:\.(\d+))?")  # T1 and CA3 are names
UNIT = re.compile(r"mL|%/year|%/年|%|cases|例")
A_YEAR: Mapping[str, str] = {"%/year": "%/a", "%/年": "%/a"}  # as a record has it
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
SINCE = re.compile(r"(?:since the examination of|between|自) (\d{4}-\d{2}-\d{2})")
COUNTED = ("cases", "例")
SIDES: Mapping[str, tuple[str, str]] = {"left": ("left", "左"), "right": ("right", "右")}
WORDS = (
    *("one(?! study)", "two(?! (?:examinations|visits|stated))", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty"),
    *("ninety", "hundred", "thousand", "million", "half", "third", "quarter", "dozen", "twice"),
)
WORD = re.compile(rf"(?<![a-z])(?:{'|'.join(WORDS)})(?![a-z])")
HAN_NUMBER = re.compile(
    r"[零一二两三四五六七八九十百千万亿]{2,}|[二两三四五六七八九十百千万亿半](?=[毫立升厘例倍成])"
)
EXACT = 1e-9


def foreign(line: Line, records: Mapping[str, Measurement]) -> tuple[str, ...]:
    """Name each number of a line, in digits or in words, that no cited record holds."""
    cited = [records[cite] for cite in line.cites if cite in records]
    return tuple(_foreign(line.text, cited))


def unbound(line: Line, records: Mapping[str, Measurement]) -> tuple[str, ...]:
    """Name each cited record whose side, and no other, a line with numbers does not name."""
    if not numbers(line.text):
        return ()
    cited = [records[cite] for cite in line.cites if cite in records]
    return tuple(record.id for record in cited if not _names_side(record, line.text))


def numbers(text: str) -> tuple[str, ...]:
    """List the numbers that are written in digits, days apart."""
    return tuple(match[0] for match in NUMBER.finditer(DATE.sub("", text)))


def _foreign(text: str, cited: Sequence[Measurement]) -> Iterator[str]:
    yield from (f"number word {match[0]}" for match in WORD.finditer(text.lower()))
    yield from (f"number word {match[0]}" for match in HAN_NUMBER.finditer(text))
    yield from (
        f"numeral {character}"
        for character in text
        if unicodedata.category(character).startswith("N") and character not in "0123456789"
        if not _is_han(character)
    )
    yield from _foreign_days(text, cited)
    text = DATE.sub("", text)
    for match in NUMBER.finditer(text):
        unit = UNIT.search(text, match.end())
        if not any(_holds(record, match, unit[0] if unit else "") for record in cited):
            yield f"number {match[0]}"


def _foreign_days(text: str, cited: Sequence[Measurement]) -> Iterator[str]:
    """Name the days of no cited record, and those from which no cited change is counted."""
    firsts = [match[1] for match in SINCE.finditer(text)]
    yield from (
        f"first day {day}" for day in firsts if day not in [record.comparator for record in cited]
    )
    dates = [record.date for record in cited]
    yield from (f"day {day}" for day in DATE.findall(SINCE.sub("", text)) if day not in dates)


def _is_han(character: str) -> bool:
    """Tell of a Han numeral; it may be part of a word, and HAN_NUMBER says when it counts."""
    return unicodedata.name(character, "").startswith("CJK UNIFIED")


def _holds(record: Measurement, match: re.Match[str], unit: str) -> bool:
    """Tell whether a reportable record holds a number, rounded to the decimals that it shows."""
    if record.reason is not None:
        return False
    decimals = len(match[3] or "")
    shown = float(f"{match[2]}.{match[3] or '0'}") * (-1 if match[1] else 1)
    half_step = 0.5 * 10.0**-decimals + EXACT
    return any(abs(shown - held) <= half_step for held in _held(record, unit))


def _held(record: Measurement, unit: str) -> Iterator[float]:
    """List the numbers of a record that have a unit."""
    interval, reference = record.interval, record.reference
    if unit in COUNTED and reference is not None:
        yield float(reference.n)
    if unit == "%":
        yield from (100 * spread.coverage for spread in (interval, reference) if spread)
    if A_YEAR.get(unit, unit) == record.unit:
        assert record.value is not None
        yield record.value
        for spread in (interval, reference):
            if spread is not None:
                yield from (spread.lower, spread.upper)


def _names_side(record: Measurement, text: str) -> bool:
    """Tell whether a text with numbers is about the side of a record and about no other."""
    if record.side not in SIDES:
        return True
    plain = text.lower()
    said = {side for side, words in SIDES.items() if any(word in plain for word in words)}
    return said == {record.side}
