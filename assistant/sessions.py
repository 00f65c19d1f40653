"""The day of a scan after the sessions.tsv of its BIDS dataset. Reads no image.

BIDS 1.10: ``sub-01/sub-01_sessions.tsv`` has a column ``session_id`` and may have ``acq_time``, an
ISO 8601 time. BIDS advises to shift dates before 1925 to hide them; differences stay as they were.
"""

import csv
import re
from datetime import datetime
from pathlib import Path

ENTITIES = re.compile(r"(?P<person>sub-[A-Za-z0-9]+)_(?P<session>ses-[A-Za-z0-9]+)_.+")


def session_date(scan: Path) -> str | None:
    """Return the day of a scan as YYYY-MM-DD; None where no table of its dataset says it."""
    match = ENTITIES.fullmatch(scan.name)
    if match is None:
        return None
    person, session = match["person"], match["session"]
    for folder in scan.resolve().parents[:3]:
        table = folder / f"{person}_sessions.tsv"
        if table.is_file():
            return _date_in(table, session)
    return None


def _date_in(table: Path, session: str) -> str | None:
    """Look one session up; a table that cannot be read says nothing."""
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()
        rows = list(csv.DictReader(lines, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error):
        return None
    times = [row.get("acq_time") or "" for row in rows if row.get("session_id") == session]
    try:
        (time,) = times
        return datetime.fromisoformat(time).date().isoformat()
    except ValueError:
        return None
