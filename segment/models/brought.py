"""What can be wrong with a folder of networks that a user brings. Knows no scan."""

import json
from pathlib import Path
from typing import Any

LARGEST_JSON = 2**24
LARGEST_BYTES = 2**32  # of all probabilities on the grid of a scan


class FolderError(ValueError):
    """A folder that cannot be used; the sentence says what was expected and what to do."""


def refusal(name: str, expected: str, found: str, advice: str) -> FolderError:
    """Return the refusal of a folder in one sentence; nothing above its name is told."""
    return FolderError(f"{name}: expected {expected}, found {found}; {advice}")


def read_json(path: Path, folder: str, advice: str) -> dict[str, Any]:
    """Read one of a folder's JSON files; raises FolderError for any other."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise OSError
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise refusal(folder, path.name, "none that can be read", advice) from error
    if not isinstance(table, dict):
        raise refusal(folder, f"a table in {path.name}", "another value", advice)
    return table
