"""Reads from a user's table which groups scans belong to. Knows nothing of measurements."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
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
    column is a way of grouping, and an empty cell a group of its own. Raises ScanError for a table
    without ``scan``, without a way of grouping, or with no row or several for one of the scans.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        columns = [name for name in table.fieldnames or () if name not in (SCAN, SUBJECT)]
        if SCAN not in (table.fieldnames or ()) or not columns:
            msg = f"{path.name}: expected the column {SCAN} and others to group by, found"
            found = ", ".join(table.fieldnames or ()) or "none"
            raise ScanError(Refusal.BAD_OPTION, f"{msg} {found}; add them")
        rows: dict[str, list[Belongs]] = {}
        for row in table:
            groups = tuple(f"{name}: {(row[name] or '').strip() or NOT_STATED}" for name in columns)
            scan = row[SCAN] or ""
            rows.setdefault(scan, []).append(Belongs(row.get(SUBJECT) or scan, groups))
    for scan in scans:
        if len(found_rows := rows.get(scan, [])) != 1:
            msg = f"{path.name}: expected one row for {scan}, found {len(found_rows)}; correct it"
            raise ScanError(Refusal.BAD_OPTION, msg)
    return [rows[scan][0] for scan in scans]
