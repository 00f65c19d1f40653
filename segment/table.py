"""Tables of TOML files as frozen dataclasses. Knows nothing of what they say."""

import tomllib
from collections.abc import Callable, Mapping
from importlib.resources import files
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


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

    Raises ValueError that names the keys that are missing or unknown.
    """
    known = signature(cls).parameters.keys()
    if table.keys() != known:
        wrong = sorted(table.keys() ^ known)
        msg = f"{name}: the keys {wrong} are missing or unknown; it takes {sorted(known)}"
        raise ValueError(msg)
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})
