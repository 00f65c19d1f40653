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
    is the box around that side; ``prior`` is the id of the same person's session before this one.
    """

    id: str
    paths: tuple[Path, ...]
    exam: str
    language: str
    series: str | None = None
    side: Side = None
    prior: str | None = None

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.id):
            msg = f"the id {self.id[:LONGEST_ID]!r}: expected {ID_RULE}; change it"
            raise ValueError(msg)

    def digest(self, root: Path) -> str:
        """Hash what makes this item; paths count from ``root`` and stand in no file."""
        places = sorted(os.path.relpath(path, root) for path in self.paths)
        facts = [self.exam, self.language, self.series, self.side, self.prior]
        return hashlib.sha256(json.dumps([self.id, places, facts]).encode()).hexdigest()


@dataclass(frozen=True)
class Plan:
    """What a run will do: its items in order, and how they are drafted.

    ``absent`` names what should be there and is not; ``aside`` counts the files or series that are
    no study of the exam, by what they are. ``root`` is where the items' paths count from.
    """

    root: Path
    settings: Settings
    items: tuple[Item, ...]
    absent: tuple[str, ...] = ()
    aside: Mapping[str, int] = field(default_factory=dict)


def id_of(name: str) -> str:
    """Turn a file's name into an id: what an id may not hold becomes a dash."""
    plain = unicodedata.normalize("NFC", name)
    return (re.sub(r"[^\w.-]+", "-", plain).strip(".-") or "scan")[:LONGEST_ID]


def folded(item_id: str) -> str:
    """Return what two ids may not share: some disks do not tell small letters from large."""
    return unicodedata.normalize("NFC", item_id).casefold()
