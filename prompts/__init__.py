"""Every word the assistant can say, one folder per language. Knows nothing of scans or records.

A language is complete when it has the same keys and the same slots as ``en``;
``tests/contracts/test_languages.py`` holds it to that.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import ascii_uppercase
from typing import Any

# Names that hold a digit and are no quantity, in any language. Each is compared as a whole word.
TERMS: tuple[str, ...] = (
    *("T1", "T2", "MNI152"),
    *(f"CA{field}" for field in range(1, 5)),
    *(f"C{level}" for level in range(1, 8)),
    *(f"L{level}" for level in range(1, 6)),
)
OF_ORGANS = {"exams", "structures", "phrases"}  # what an organ of the user's has words for


@dataclass(frozen=True, eq=False)
class Phrasebook:
    """The words of one language; each field is a table of ``phrases.toml``.

    ``phrases`` are sentences; their slots ``{a.value}``, ``{b.name}`` stand for fields of the
    first, second, ... record a statement cites. ``units`` are those whose UCUM code is not how they
    are written. ``composites`` join fields of one record, ``lexicon`` is what is
    recognised: by the verifier, and in questions.
    """

    language: str
    numbers: Mapping[str, str]
    marks: Mapping[str, str]
    exams: Mapping[str, str]
    headings: Mapping[str, str]
    columns: Mapping[str, str]
    steps: Mapping[str, str]
    sides: Mapping[str, str]
    structures: Mapping[str, Mapping[str, str]]
    quantities: Mapping[str, str]
    units: Mapping[str, str]
    denominators: Mapping[str, str]
    reliability: Mapping[str, str]
    reasons: Mapping[str, str]
    scopes: Mapping[str, str]
    faults: Mapping[str, str]
    rules: Mapping[str, str]
    criteria: Mapping[str, Mapping[str, str]]
    outcomes: Mapping[str, str]
    obstacles: Mapping[str, str]
    relations: Mapping[str, str]
    verdicts: Mapping[str, str]
    composites: Mapping[str, str]
    phrases: Mapping[str, str]
    provenance: Mapping[str, str]
    export: Mapping[str, str]
    trends: Mapping[str, str]
    lexicon: Mapping[str, Any]

    def number(self, value: float, decimals: int) -> str:
        """Write a number with the decimal sign and the minus of this language."""
        digits = f"{abs(value):.{decimals}f}"
        is_negative = value < 0 and any(digit in "123456789" for digit in digits)
        sign = self.numbers["minus"] if is_negative else ""
        return sign + digits.replace(".", self.numbers["decimal"])

    def amount(self, value: float, unit: str, decimals: int) -> str:
        """Write a number with its unit."""
        number = self.number(value, decimals)
        return self.numbers["amount"].format(number=number, unit=self.unit(unit, number))

    def unit(self, ucum: str, number: str = "") -> str:
        """Write a UCUM unit as this language does, beside a number if that is given."""
        written = self.units.get(ucum, ucum)
        return self.units.get(f"{ucum} one", written) if number == "1" else written

    def range(self, lower: float, upper: float, unit: str, decimals: int) -> str:
        """Write two bounds with their unit."""
        form = self.numbers["percent_range" if unit == "%" else "range"]
        low, high = self.number(lower, decimals), self.number(upper, decimals)
        return form.format(lower=low, upper=high, unit=self.unit(unit, high))

    def share(self, share: float) -> str:
        """Write a share of one as a percentage, without trailing zeros."""
        digits = f"{share * 100:.10g}".replace(".", self.numbers["decimal"])
        return self.numbers["amount"].format(number=digits, unit="%")

    def rule(self, name: str, version: str) -> str:
        """Name a rule with its version; raises KeyError for one without words."""
        return self.marks["rule"].format(name=self.rules[name], version=version)

    def criterion(self, rule: str, name: str) -> str:
        """Name a criterion of a rule; raises KeyError for one without words."""
        return self.criteria[rule][name]

    def structure(self, structure: str, side: str) -> str:
        """Name a structure of one side; raises KeyError for one without words."""
        return self.structures[structure][side]

    def spellings(self) -> dict[str, tuple[str, str]]:
        """List every way to name a structure of a side, in small letters, and what it means."""
        others = self.lexicon["names"]
        return {
            spelt.lower(): (structure, side)
            for structure, sides in self.structures.items()
            for side, name in sides.items()
            for spelt in (name, *others.get(structure, {}).get(side, ()))
        }


def languages() -> tuple[str, ...]:
    """Name the languages that have a folder here."""
    here = files(__package__)
    return tuple(sorted(d.name for d in here.iterdir() if d.joinpath("phrases.toml").is_file()))


@cache
def load(language: str) -> Phrasebook:
    """Read one language; raises ValueError for an unknown one, and unknown or missing tables."""
    table = _with_roles(_with_lesions(read_table(language, "phrases.toml")))
    known = {field.name for field in fields(Phrasebook)} - {"language"}
    if unknown := sorted(table.keys() ^ known):
        msg = f"language {language}: the tables {unknown} of phrases.toml are missing or unknown"
        raise ValueError(msg)
    for own in _own_words(language):
        table = _with_own(table, own)
    return Phrasebook(language=language, **table)


def _with_lesions(table: dict[str, Any]) -> dict[str, Any]:
    """Name the quantities of lesions that are told one by one, by each letter."""
    names = {
        f"{key} {letter}": text.format(letter=letter)
        for key, text in table.pop("lesions").items()
        for letter in ascii_uppercase
    }
    table["quantities"] = {**table["quantities"], **names}
    lexicon = table["lexicon"]
    lexicon["quantities"] |= {key: [text] for key, text in names.items()}
    return table


def _own_words(language: str) -> Iterator[Mapping[str, Mapping[str, Any]]]:
    """Read the words of each organ on the user's shelves; raises ValueError for other tables."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    shelves = Path(os.environ.get("VOXCITE_SHELVES") or Path(base) / "voxcite" / "shelves")
    yield from map(_words_in, sorted(shelves.glob(f"*/words.{language}.toml")))


def _words_in(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Read the words of one organ; raises ValueError for anything but its tables."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise _unusable(path, f"expected TOML, found {error}") from error
    if wrong := sorted(table.keys() ^ OF_ORGANS):
        raise _unusable(path, f"the tables {wrong} are missing or unknown")
    structures = table["structures"]
    entries = structures.values() if isinstance(structures, dict) else (structures,)
    if not all(isinstance(one, dict) for one in (*table.values(), *entries)):
        raise _unusable(path, "expected tables of words, found something else")
    return table


def _unusable(path: Path, why: str) -> ValueError:
    """Say what is wrong with the words of an organ of the user's."""
    msg = f"{path.name} of {path.parent.name}: {why}; take the folder off the shelf"
    return ValueError(msg)


def _with_own(table: dict[str, Any], own: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Add the words of a user's organ; what has words keeps them, each side of a structure too."""
    merged = {name: {**words, **table[name]} for name, words in own.items()}
    there = table["structures"]
    of_sides = {name: {**sides, **there.get(name, {})} for name, sides in own["structures"].items()}
    return {**table, **merged, "structures": {**there, **of_sides}}


def _with_roles(table: dict[str, Any]) -> dict[str, Any]:
    """Write the sentences about the series of a study, one for each role."""
    names, sentences = table.pop("roles"), table.pop("of_roles")
    phrases = {
        f"technique.role.{said}.{role}": text.format(role=name)
        for said, text in sentences.items()
        for role, name in names.items()
    }
    table["phrases"] = {**table["phrases"], **phrases}
    return table


def read_table(language: str, name: str) -> dict[str, Any]:
    """Read one file of a language; raises ValueError for an unknown language."""
    if language not in languages():
        msg = f"unknown language {language!r}; there are {', '.join(languages())}"
        raise ValueError(msg)
    text = files(__package__).joinpath(language, name).read_text(encoding="utf-8")
    return tomllib.loads(text)
