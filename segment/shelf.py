"""Where organs, models and exams lie: in the package, and in folders that a user adds to it.

Each folder of a user's holds one organ with all that belongs to it, under the names below. Knows
nothing of what these files say.
"""

import os
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from segment.table import shelved

SHELVES = "VOXCITE_SHELVES"
ORGAN, MODEL, EXAM = "organ.toml", "model.toml", "exam.toml"


def shelves() -> Path:
    """Return the folder of the user's own folders, whether it is there or not."""
    if chosen := os.environ.get(SHELVES):
        return Path(chosen)
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "voxcite" / "shelves"


def owned(marker: str) -> tuple[str, ...]:
    """Name the user's folders that hold a file of this name, in order."""
    return tuple(sorted(path.parent.name for path in shelves().glob(f"*/{marker}")))


def known(package: str, marker: str) -> tuple[str, ...]:
    """Name all folders that hold a file of this name: the package's and the user's."""
    return tuple(sorted({*shelved(package, marker), *owned(marker)}))


def folder(package: str, name: str, marker: str) -> Traversable:
    """Return where a folder lies; the package's own hides one of a user's with its name."""
    return shelves() / name if name not in shelved(package, marker) else files(package) / name
