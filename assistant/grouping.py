"""Reads from a user's table which groups scans belong to. Knows nothing of measurements."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from segment.errors import Refusal, ScanError

SCAN, SUBJECT = "scan", "subject"
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Belongs:
    """Whose scan it is, and the groups it belongs to, a name a column of the table."""

    subject: str
    groups: tuple[str, ...]


def read_grouping(path: Path, scans: Sequence[str]) -> list[Belongs]:
    """Read the groups of scans, in their order, from a CSV with a header.

    ``scan`` holds the names of files; ``subject``, where it is there, who they are of; every other
    column is a way of grouping, and an empty cell a group of its own; spaces around a cell say
    nothing. Raises ScanError for what is no such table, for one without ``scan``, without a way of
    grouping or with a column twice, and for no row or several of one of the scans.
    """
    columns, cells = _read_table(path)
    others = [name for name in columns if name not in (SCAN, SUBJECT)]
    if SCAN not in columns or not others or len(set(columns)) < len(columns):
        msg = f"{path.name}: expected the column {SCAN} and others to group by, each once, found"
        raise ScanError(Refusal.BAD_OPTION, f"{msg} {', '.join(columns) or 'none'}; correct it")
    rows: dict[str, list[Belongs]] = {}
    for row in cells:
        groups = tuple(f"{name}: {row[name] or NOT_STATED}" for name in others)
        scan = row[SCAN]
        rows.setdefault(scan, []).append(Belongs(row.get(SUBJECT) or scan, groups))
    for scan in scans:
        if len(found_rows := rows.get(scan, [])) != 1:
            msg = f"{path.name}: expected one row for {scan}, found {len(found_rows)}; correct it"
            raise ScanError(Refusal.BAD_OPTION, msg)
    return [rows[scan][0] for scan in scans]


def _read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read the columns and the rows, each cell without the spaces around it."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            columns, *lines = [[cell.strip() for cell in line] for line in csv.reader(file)] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{path.name}: expected a CSV in UTF-8, found something else; save it as one"
        raise ScanError(Refusal.BAD_OPTION, msg) from error
    return columns, [
        dict(zip_longest(columns, line[: len(columns)], fillvalue="")) for line in lines
    ]
