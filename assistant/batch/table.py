"""A manifest: the studies of a batch as the rows of a CSV or Parquet file. Reads no scan.

Paths count from the manifest's own folder.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from assistant.batch import parquet
from assistant.batch.item import ID, ID_RULE, LONGEST_ID, Item, Plan, Side, folded
from assistant.settings import Settings
from segment.errors import Refusal, ScanError
from segment.reading.source import file_name

NEEDED, OPTIONAL = ("id", "study"), ("exam", "language", "series", "side", "prior")
SUFFIXES = (".csv", ".parquet")
SIDES = ("left", "right", "")
MOST_IDS = 5  # that one sentence names
Row = Mapping[str, str]


def plan_table(path: Path, settings: Settings, side: Side) -> Plan:
    """List the studies of a manifest; raises ScanError for one that cannot be followed.

    A study whose file is gone is absent and fails when it comes to it; a manifest of which every
    file is gone counts from another folder, and is refused.
    """
    name = file_name(path)
    rows = list(_checked(_rows(path, name), name))
    items = [_item(row, path, settings, side) for row in rows]
    _check_ids(items, name)
    items = list(_linked(items, rows, name))
    _check_priors(items, name)
    absent = tuple(item.id for item in items if not os.path.exists(item.paths[0]))  # noqa: PTH110  pathlib's raises on a long name
    if not items:
        raise _refusal(name, "a row a study", "none", "add some")
    if len(absent) == len(items):
        count = f"nothing at any of its {len(items)} paths"
        raise _refusal(name, "paths that count from its own folder", count, "correct them")
    return Plan(
        path.parent, settings, tuple(items), tuple(f"{item}: its file is gone" for item in absent)
    )


def _rows(path: Path, name: str) -> Iterator[tuple[int, Row]]:
    """Yield each row with its number; raises ScanError where the columns are others."""
    columns, rows = parquet.read(path) if path.suffix == ".parquet" else _read_csv(path, name)
    known = ", ".join((*NEEDED, *OPTIONAL))
    if missing := [column for column in NEEDED if column not in columns]:
        raise _refusal(name, f"the columns {known}", f"no {' and no '.join(missing)}", "add it")
    if unknown := [column for column in columns if column not in (*NEEDED, *OPTIONAL)]:
        raise _refusal(name, f"the columns {known}", f"{unknown[0][:40]!r} too", "remove it")
    if len(set(columns)) != len(columns):
        raise _refusal(name, "each column once", "one twice", "remove it")
    yield from enumerate(rows, start=1)


def _read_csv(path: Path, name: str) -> tuple[Sequence[str], Iterator[Row]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = [line for line in csv.reader(stream, strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _refusal(name, "a CSV file in UTF-8", "something else", "save it as such") from error
    columns = [column.strip() for column in lines[0]] if lines else []
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(columns):
            found = f"{len(line)} in row {number}"
            raise _refusal(name, f"{len(columns)} values a row", found, "correct it")
    return columns, (dict(zip(columns, map(str.strip, line), strict=True)) for line in lines[1:])


def _checked(rows: Iterator[tuple[int, Row]], name: str) -> Iterator[Row]:
    """Yield rows whose cells can be followed."""
    for number, row in rows:
        if not ID.fullmatch(row["id"]):
            found = f"{row['id'][:LONGEST_ID]!r} in row {number}"
            raise _refusal(name, f"ids of {ID_RULE}", found, "change it")
        if not row["study"]:
            raise _refusal(name, "a path in the column study", f"none in row {number}", "add it")
        if (wanted := row.get("side", "")) not in SIDES:
            raise _refusal(name, "left, right or nothing as side", f"{wanted[:20]!r}", "change it")
        yield row


def _item(row: Row, path: Path, settings: Settings, side: Side) -> Item:
    return Item(
        id=row["id"],
        paths=(path.parent / row["study"],),
        exam=row.get("exam") or settings.exam,
        language=row.get("language") or settings.language,
        series=row.get("series") or None,
        side=cast(Side, row.get("side") or side),
    )


def _linked(items: Sequence[Item], rows: Sequence[Row], name: str) -> Iterator[Item]:
    """Yield each study with the one that its column prior names by its id."""
    known = {item.id: item for item in items}
    for item, row in zip(items, rows, strict=True):
        prior = row.get("prior") or None
        if prior is not None and (prior not in known or prior == item.id):
            found = f"{prior[:LONGEST_ID]!r} beside {item.id}"
            raise _refusal(name, "the id of another row as prior", found, "correct it")
        if prior is not None and (item.side or known[prior].side):
            found = f"{prior} beside {item.id} and a crop among the two"
            raise _refusal(name, "a whole head with a whole head as prior", found, "empty its cell")
        yield replace(item, earlier=known[prior]) if prior else item


def _check_priors(items: Iterable[Item], name: str) -> None:
    """Raise ScanError where scans are each earlier than the other."""
    before = {item.id: item.prior for item in items}
    ended: set[str | None] = {None}
    for start in before:
        way: dict[str, None] = {}
        at: str | None = start
        while at is not None and at not in ended and at not in way:
            way[at] = None
            at = before[at]
        if at is not None and at in way:
            circle = list(way)[list(way).index(at) :]
            raise _refusal(name, "priors that are earlier scans", _circle(circle), "correct one")
        ended |= way.keys()


def _circle(ids: Sequence[str]) -> str:
    named = [*ids[:MOST_IDS], f"{len(ids) - MOST_IDS} more"] if len(ids) > MOST_IDS else ids
    return f"{', '.join(named[:-1])} and {named[-1]} each earlier than another of them"


def _check_ids(items: Sequence[Item], name: str) -> None:
    taken: set[str] = set()
    for item in items:
        if folded(item.id) in taken:
            raise _refusal(name, "each id once", f"{item.id!r} twice", "change one")
        taken.add(folded(item.id))


def _refusal(name: str, expected: str, found: str, advice: str) -> ScanError:
    return ScanError(Refusal.BAD_OPTION, f"{name}: expected {expected}, found {found}; {advice}")
