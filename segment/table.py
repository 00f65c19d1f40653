"""Tables of TOML files as frozen dataclasses. Knows nothing of what they say."""

import math
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from inspect import signature
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

T = TypeVar("T")
KINDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a finite number",
    str: "a text",
    bool: "true or false",
    Mapping: "a table",
}


@dataclass(frozen=True)
class Range:
    """What a number of a table may be; with ``is_above`` it is more than ``least``."""

    least: float
    most: float = math.inf
    is_above: bool = False

    def __contains__(self, value: float | int) -> bool:
        """Whether a number lies here; what is no number does not."""
        is_enough = value > self.least if self.is_above else value >= self.least
        return is_enough and value <= self.most

    def __str__(self) -> str:
        """Say it, as an error does."""
        told = f"more than {self.least:g}" if self.is_above else f"{self.least:g} or more"
        return told if self.most == math.inf else f"{told}, up to {self.most:.0f}"


COUNT, NATURAL, POSITIVE = Range(1.0), Range(0.0), Range(0.0, is_above=True)
SEED = Range(0.0, 2.0**32 - 1)


def shelved(package: str, marker: str) -> tuple[str, ...]:
    """Name the folders of a package that hold a file of this name, in order."""
    here = files(package)
    return tuple(sorted(d.name for d in here.iterdir() if d.joinpath(marker).is_file()))


def read_as(cls: Callable[..., T], path: Path) -> T:
    """Make a dataclass of a TOML file with exactly its keys; raises ValueError for any other."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        msg = f"{path.name}: expected TOML, found {error}; copy the shipped file and change it"
        raise ValueError(msg) from error
    return filled(cls, table, path.name)


def filled(cls: Callable[..., T], table: Mapping[str, Any], name: str) -> T:
    """Make a dataclass of a table with exactly its keys; lists become tuples.

    Raises ValueError that names the keys that are missing or unknown, and one whose value is of
    another type than the field's. A whole number stands for any number.
    """
    known = signature(cls, eval_str=True).parameters
    if table.keys() != known.keys():
        wrong = sorted(table.keys() ^ known)
        msg = f"{name}: the keys {wrong} are missing or unknown; it takes {sorted(known)}"
        raise ValueError(msg)
    taken = {key: _taken(value, known[key].annotation) for key, value in table.items()}
    for key, value in taken.items():
        kind = known[key].annotation
        if not _is_of(value, kind):
            msg = f"{name}: {key}: expected {_told(kind)}, found {table[key]!r}; change it"
            raise ValueError(msg)
    return cls(**taken)


def check_ranges(made: object, ranges: Mapping[str, Range]) -> None:
    """Raise ValueError, naming the field, where a number of a dataclass is out of its range."""
    for name, allowed in ranges.items():
        if (found := getattr(made, name)) not in allowed:
            msg = f"{name}: expected {allowed}, found {found}; change it"
            raise ValueError(msg)


def _taken(value: object, kind: object) -> object:
    """Return a value of TOML as a field of this type takes it."""
    if isinstance(value, list):
        of, *_ = get_args(kind) or (Any,)
        return tuple(_taken(each, of) for each in value)
    if kind is float and type(value) is int and _is_finite(value):
        return float(value)
    return value


def _is_of(value: object, kind: object) -> bool:
    """Whether a value is of a field's type; a type that no TOML has is not looked into."""
    origin, of = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return value in of
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        each = of[:1] * len(value) if ... in of else of
        return len(value) == len(each) and all(map(_is_of, value, each))
    if origin is Mapping:
        return isinstance(value, Mapping)
    if origin is float:
        return type(value) is float and _is_finite(value)
    return origin not in KINDS or type(value) is origin


def _told(kind: object) -> str:
    """Say what a field takes."""
    origin, of = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, of))}"
    if origin is tuple:
        many = "" if ... in of else f" of {len(of)}"
        return f"a list{many}, each {_told(of[0])}"
    return KINDS[origin]


def _is_finite(value: float | int) -> bool:
    return abs(value) <= sys.float_info.max
