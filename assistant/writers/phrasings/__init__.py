"""The wordings that training targets and questions are made of, a file of each per language.

Knows which wordings are held out of training and nothing of records.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Literal

KINDS = ("", ".questions")  # what is said, what is asked
Part = Literal["training", "held out"]
EVERY = 4  # of the wordings, and of their pairs, one is held out


@dataclass(frozen=True, eq=False)
class Phrasings:
    """The tables of one language; an opening and a closing make a wording."""

    language: str
    words: Mapping[str, str]
    short: Mapping[str, str]
    openings: Mapping[str, tuple[str, ...]]
    closings: Mapping[str, tuple[str, ...]]
    sentences: Mapping[str, tuple[str, ...]]
    questions: Mapping[str, tuple[str, ...]]
    follow_ups: Mapping[str, tuple[str, ...]]

    def without_norm(self, closing: str) -> str:
        """Cut the reference range out of a closing."""
        return closing.replace(self.words["norm"], "")

    def without_error(self, closing: str) -> str:
        """Cut the range of the measurement error out of a closing."""
        return closing.replace(self.words["error"], "")


@cache
def load(language: str) -> Phrasings:
    """Read one language; raises ValueError for unknown or missing tables or an unknown language."""
    if language not in languages():
        msg = f"there are no wordings to train on for the language {language!r}; add its files"
        raise ValueError(msg)
    table = {
        name: wordings
        for kind in KINDS
        for name, wordings in tomllib.loads(_text(f"{language}{kind}.toml")).items()
    }
    known = {field.name for field in fields(Phrasings)} - {"language"}
    if unknown := sorted(table.keys() ^ known):
        msg = f"wordings of {language}: the tables {unknown} are missing or unknown"
        raise ValueError(msg)
    lists = ("openings", "closings", "sentences", "questions", "follow_ups")
    frozen = {name: {key: tuple(v) for key, v in table[name].items()} for name in lists}
    return Phrasings(language, table["words"], table["short"], **frozen)


def languages() -> tuple[str, ...]:
    """Name the languages that have a file here."""
    here = files(__package__)
    return tuple(
        sorted(
            f.name.partition(".")[0] for f in here.iterdir() if f.name.endswith(KINDS[-1] + ".toml")
        )
    )


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def is_held_out(number: int) -> bool:
    """Tell whether the wording of a number is held out: every fourth.

    The number of a whole sentence is its place in its list; that of an opening with a closing is
    the sum of both places.
    """
    return number % EVERY == EVERY - 1


@cache
def of_part(wordings: tuple[str, ...], part: Part) -> tuple[str, ...]:
    """Return the wordings of a list that belong to a part."""
    return tuple(w for n, w in enumerate(wordings) if is_held_out(n) == (part == "held out"))


@cache
def joined(openings: tuple[str, ...], closings: tuple[str, ...], part: Part) -> tuple[str, ...]:
    """Return the pairs of an opening and a closing that belong to a part."""
    return tuple(
        opening + closing
        for i, opening in enumerate(openings)
        for j, closing in enumerate(closings)
        if is_held_out(i + j) == (part == "held out")
    )
