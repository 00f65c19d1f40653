"""Finished parts of a benchmark as lines of JSON, apart by their settings."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segment.resume import replacing


def digest_of(table: Mapping[str, Any]) -> str:
    """Name a table of settings in a few characters."""
    return hashlib.sha256(json.dumps(table).encode()).hexdigest()[:8]


def finished_in(path: Path, slug: str) -> list[dict[str, Any]]:
    """Read the lines of some settings; one that was cut off is none."""
    rows = [json.loads(line) for line in _whole_lines(path)]
    return [row for row in rows if row["settings"] == slug]


def add_line(path: Path, row: Mapping[str, Any]) -> None:
    """Append a row as a line of JSON, in the place of one that was cut off."""
    lines = "".join([*_whole_lines(path), json.dumps(row), "\n"])
    with replacing(path) as temporary:
        temporary.write_text(lines, encoding="utf-8")


def _whole_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]
