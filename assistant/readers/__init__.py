"""What only the picture can say, one folder a reader; none is imported before it is asked for.

A finding is named by its fact and its value: ``kind.mr_t1``, ``part.head``, ``plane.axial``,
``quality.motion``. Knows nothing of networks, of reports or of what a finding leads to.
"""

import tomllib
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, Protocol, cast, runtime_checkable

from assistant.score import UNCALIBRATED, Score
from segment.table import shelved
from segment.volume import Volume

__all__ = ["UNCALIBRATED", "Reader", "Score", "available", "load", "usable"]


@runtime_checkable
class Reader(Protocol):
    """Anything that reads findings from the pictures of a volume."""

    @property
    def name(self) -> str:
        """What a report calls it, with its version."""

    @property
    def weights_sha256(self) -> str:
        """The hash of its weights."""

    def __call__(self, volume: Volume) -> tuple[Score, ...]:
        """Score every finding that this reader knows."""


def available() -> tuple[str, ...]:
    """Name the readers that have a folder here."""
    return shelved(__package__, "reader.toml")


def usable() -> tuple[str, ...]:
    """Name the readers whose weights and packages are installed."""
    return tuple(name for name in available() if _is_usable(name))


def load(name: str, **options: object) -> Reader:
    """Import one reader and build it; raises ValueError for an unknown one."""
    if name not in available():
        msg = f"unknown reader {name!r}; there are {', '.join(available())}"
        raise ValueError(msg)
    module, _, attribute = _described(name)["factory"].partition(":")
    return cast(Reader, getattr(import_module(module), attribute)(**options))


def _is_usable(name: str) -> bool:
    facts = _described(name)
    has_weights = files(__package__).joinpath(name, facts["weights"]).is_file()
    return has_weights and all(find_spec(package) is not None for package in facts["packages"])


def _described(name: str) -> dict[str, Any]:
    text = files(__package__).joinpath(name, "reader.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
