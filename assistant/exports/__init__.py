"""What turns a report into a file, one folder each; none is imported before it is asked for."""

import tomllib
from collections.abc import Sequence
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from assistant.exports.source import Source
from assistant.report import Report
from segment.errors import Refusal, ScanError
from segment.table import shelved

OURS = {"assistant", "prompts", "segment"}  # a fault of this project is no missing package
KEYS = {"factory", "extra", "system", "needs_source"}


@runtime_checkable
class Export(Protocol):
    """Anything that turns a report into the bytes of a file."""

    @property
    def suffix(self) -> str:
        """How the file's name ends, with its dot."""

    def __call__(self, report: Report, pictures: Sequence[Path], created: str) -> bytes:
        """Write one report with its pictures (PNG); ``created`` is its ISO 8601 time."""


class UnavailableError(ValueError):
    """A package or a library that an export needs is not installed."""


def available() -> tuple[str, ...]:
    """Name the exports that have a folder here."""
    return shelved(__package__, "export.toml")


def describe(name: str) -> dict[str, Any]:
    """Read what an export is and needs; raises ValueError for an unknown one or a wrong key."""
    if name not in available():
        msg = f"unknown export {name!r}; there are {', '.join(available())}"
        raise ValueError(msg)
    text = files(__package__).joinpath(name, "export.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    if unknown := sorted(table.keys() ^ KEYS):
        msg = f"export {name}: the keys {unknown} are missing or unknown"
        raise ValueError(msg)
    return table


def load(name: str, source: Source | None = None) -> Export:
    """Import one export and build it, from the source if it needs one.

    Raises UnavailableError where a package that it needs is missing, ScanError without a source.
    """
    facts = describe(name)
    if facts["needs_source"] and source is None:
        msg = f"the {name} export needs the DICOM series of the report; name its folder (--source)"
        raise ScanError(Refusal.BAD_OPTION, msg)
    module, _, attribute = facts["factory"].partition(":")
    try:
        factory = getattr(import_module(module), attribute)
    except ImportError as error:
        if (error.name or "").partition(".")[0] in OURS:
            raise
        install = f"pip install 'voxcite[{facts['extra']}]'"
        msg = f"the {name} export needs {error.name}, which is not installed; run {install}"
        raise UnavailableError(msg) from error
    except OSError as error:
        msg = f"the {name} export needs {facts['system']}, which is not installed; install it"
        raise UnavailableError(msg) from error
    return cast(Export, factory(source) if facts["needs_source"] else factory())
