"""One study of a batch: what it is called, where it lies, how it is drafted. Reads no file."""

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from assistant.settings import Settings

LONGEST_ID = 60  # characters; a file's name holds 255 bytes, and a character up to four
ID = re.compile(rf"\w[\w.-]{{0,{LONGEST_ID - 1}}}")
ID_RULE = f"up to {LONGEST_ID} letters, digits, dots, dashes and underscores"
Side = Literal["left", "right"] | None


@dataclass(frozen=True)
class Item:
    """One study to draft; ``id`` is the name of its folder and of its row.

    ``paths`` is one file or folder, or the files of one DICOM series. ``side`` says that the scan
    is the box around that side; ``earlier`` is the same person's session before this one, which a
    whole head is compared with.
    """

    id: str
    paths: tuple[Path, ...]
    exam: str
    language: str
    series: str | None = None
    side: Side = None
    earlier: "Item | None" = None

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.id):
            msg = f"the id {self.id[:LONGEST_ID]!r}: expected {ID_RULE}; change it"
            raise ValueError(msg)

    @property
    def prior(self) -> str | None:
        """The id of the session before, which this one is compared with: a crop is with none."""
        return self.earlier.id if self.earlier and self.side is None else None

    def digest(self, root: Path) -> str:
        """Hash what makes this item; paths count from ``root`` and stand in no file."""
        facts = [self.exam, self.language, self.series, self.side]
        before = [self.earlier.id, _places(self.earlier, root)] if self.earlier else None
        made = [self.id, _places(self, root), facts, before]
        return hashlib.sha256(json.dumps(made).encode()).hexdigest()


@dataclass(frozen=True)
class Plan:
    """What a run will do: its items in order, and how they are drafted.

    ``absent`` names what should be there and is not; ``aside`` counts the files or series that are
    no study of the exam, by what they are. ``root`` is where the items' paths count from.
    ``found`` says by id where a study lies that nobody named; it may name patients, so that it is
    for a terminal and stands in no file.
    """

    root: Path
    settings: Settings
    items: tuple[Item, ...]
    absent: tuple[str, ...] = ()
    aside: Mapping[str, int] = field(default_factory=dict)
    found: Mapping[str, str] = field(default_factory=dict, repr=False)


def _places(item: Item, root: Path) -> list[str]:
    return sorted(os.path.relpath(path, root) for path in item.paths)


def id_of(name: str) -> str:
    """Turn a file's name into an id: what an id may not hold becomes a dash."""
    plain = unicodedata.normalize("NFC", name)
    return (re.sub(r"[^\w.-]+", "-", plain).strip(".-") or "scan")[:LONGEST_ID]


def folded(item_id: str) -> str:
    """Return what two ids may not share: some disks do not tell small letters from large."""
    return unicodedata.normalize("NFC", item_id).casefold()
