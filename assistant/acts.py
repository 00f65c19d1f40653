"""What a person does to a report: one change each, and how it is kept. Does none of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from assistant.override import Overridden


@dataclass(frozen=True)
class Edited:
    """A sentence in a person's own words; slots in ``text`` keep following their records.

    ``line`` counts the lines of the report as it was before this change, from 0.
    """

    line: int
    text: str
    who: str
    at: str


@dataclass(frozen=True)
class Accepted:
    """A sentence that a person has read and agrees with."""

    line: int
    who: str
    at: str


@dataclass(frozen=True)
class Removed:
    """A sentence that a person took out; ``text`` is what it said."""

    line: int
    text: str
    who: str
    at: str


Change = Edited | Accepted | Removed | Overridden
KINDS: Mapping[str, type[Change]] = {
    "edited": Edited,
    "accepted": Accepted,
    "removed": Removed,
    "overridden": Overridden,
}


def change_record(change: Change) -> dict[str, Any]:
    """Return a change as plain JSON values."""
    kind = next(name for name, made in KINDS.items() if isinstance(change, made))
    return {"kind": kind, **asdict(change)}


def change_from_record(record: Mapping[str, Any]) -> Change:
    """Read a change back; raises KeyError and TypeError where it is none."""
    return KINDS[record["kind"]](**{k: v for k, v in record.items() if k != "kind"})
