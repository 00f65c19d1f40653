"""What the numbers of a segmentation mean. Knows nothing of the voxels that hold them."""

import csv
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from segment import organs
from segment.errors import Refusal, ScanError
from segment.organs import Structure
from segment.reading import file_name
from segment.segmentation import Side

TOTALSEGMENTATOR = "totalsegmentator"
COLUMNS = ["value", "name", "structure", "side"]
LARGEST_LABEL = 65535
MOST_TABLE_BYTES = 2**20
MOST_SHOWN = 5
# TotalSegmentator names 117 labels and FreeSurfer's finest parcellation some 200; a picture of
# 8 bits holds up to 255 values besides 0.
MOST_LABELS = 220


@dataclass(frozen=True)
class Label:
    """One number, its name, and the structure of a side that it is; a label may be of none."""

    value: int
    name: str
    structure: str | None = None
    side: Side = "none"


@dataclass(frozen=True)
class LabelTable:
    """The labels of one segmentation; several of them may make up one structure."""

    name: str
    labels: tuple[Label, ...]

    def values(self, structure: Structure, side: Side) -> tuple[int, ...]:
        """List the numbers that make up a structure of a side: its own and those of its parts."""
        names = {structure.name, *structure.labels}
        return tuple(
            label.value for label in self.labels if label.structure in names and label.side == side
        )

    def check(self, found: Iterable[int], name: str) -> None:
        """Refuse a segmentation that holds a number without a name; raises ScanError."""
        held = set(found) - {0}
        advice = "or a table that names its labels with --labels"
        check_count(held, name, advice, max(MOST_LABELS, len(self.labels)))
        unknown = sorted(held - {label.value for label in self.labels})
        if unknown:
            more = f" and {len(unknown) - MOST_SHOWN} more" if len(unknown) > MOST_SHOWN else ""
            shown = ", ".join(map(str, unknown[:MOST_SHOWN])) + more
            msg = (
                f"{name}: expected labels that the table {self.name} names, found {shown}; give a"
                " table that names them with --labels"
            )
            raise ScanError(Refusal.WRONG_LABELS, msg)

    def left_out(self, found: Iterable[int]) -> tuple[str, ...]:
        """Name the labels of a segmentation that are of no structure, in their order."""
        held = set(found)
        return tuple(x.name for x in self.labels if x.value in held and x.structure is None)


def check_count(found: Collection[int], name: str, advice: str, most: int = MOST_LABELS) -> None:
    """Refuse what holds as many values as a picture does; raises ScanError."""
    if len(found) > most:
        msg = (
            f"{name}: expected at most {most} labels, found {len(found)} values, as in a picture;"
            f" give the segmentation, {advice}"
        )
        raise ScanError(Refusal.WRONG_LABELS, msg)


@cache
def built_in() -> LabelTable:
    """Return the labels of TotalSegmentator by their numbers."""
    text = files(__package__).joinpath(f"{TOTALSEGMENTATOR}.csv").read_text(encoding="utf-8")
    return LabelTable(TOTALSEGMENTATOR, tuple(_labels(text, TOTALSEGMENTATOR)))


def named(name: str, labels: Iterable[tuple[int, str]]) -> LabelTable:
    """Make a table of names alone; those that TotalSegmentator uses are known."""
    known = {label.name: label for label in built_in().labels}
    found = (
        Label(value, called, known[called].structure, known[called].side)
        if called in known
        else Label(value, called)
        for value, called in labels
    )
    return LabelTable(name, tuple(found))


def read_table(path: Path) -> LabelTable:
    """Read a user's table, CSV with the columns of COLUMNS; raises ScanError for any other."""
    name = file_name(path)
    try:
        if path.stat().st_size > MOST_TABLE_BYTES:
            raise _refusal(name, "a table of labels", "a file of more than 1 MiB")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _refusal(name, "a table of labels in UTF-8", "none that can be read") from error
    return LabelTable(name, tuple(_labels(text, name)))


def _labels(text: str, name: str) -> Iterator[Label]:
    """Read the rows of a table; lines that begin with # are left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    rows = list(csv.reader(lines))
    if not rows or rows[0] != COLUMNS:
        raise _refusal(name, f"the columns {','.join(COLUMNS)}", ",".join(rows[0] if rows else ()))
    sides = {s.name: o.sides for o in map(organs.load, organs.available()) for s in o.structures}
    seen: set[int] = set()
    for row in rows[1:]:
        label = _label(row, sides, name)
        if label.value in seen:
            raise _refusal(name, "each value once", f"{label.value} twice")
        seen.add(label.value)
        yield label


def _label(row: list[str], sides: dict[str, tuple[Side, ...]], name: str) -> Label:
    """Read one row: a value and a name, and if it is reported a structure and its side."""
    shown = ",".join(row)[:60]
    if len(row) != len(COLUMNS) or not row[1]:
        raise _refusal(name, "a value, a name, a structure and a side", repr(shown))
    value, called, structure, side = row
    if not (value.isascii() and value.isdecimal() and 0 < int(value) <= LARGEST_LABEL):
        raise _refusal(name, f"values from 1 to {LARGEST_LABEL}", repr(value[:20]))
    if not structure and not side:
        return Label(int(value), called)
    if structure not in sides:
        raise _refusal(name, f"one of the structures {', '.join(sides)}", repr(structure[:40]))
    for known in sides[structure]:
        if side == known:
            return Label(int(value), called, structure, known)
    expected = " or ".join(sides[structure])
    raise _refusal(name, f"{expected} for the side of {structure}", repr(side[:20]))


def _refusal(name: str, expected: str, found: str) -> ScanError:
    msg = f"{name}: expected {expected}, found {found}; correct the table of labels"
    return ScanError(Refusal.WRONG_LABELS, msg)
