"""The T1 scans of a BIDS dataset (Brain Imaging Data Structure 1.10). Reads names, and no image.

People stand in participants.tsv or as folders ``sub-*``; their sessions are folders ``ses-*``, each
of which is compared with the one before it: by their days, where sessions.tsv knows them all.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from assistant.batch.item import Item, Plan, Side, id_of
from assistant.sessions import session_date
from assistant.settings import Settings
from segment.errors import Refusal, ScanError
from segment.reading.source import file_name

MARKS = ("dataset_description.json", "participants.tsv")
T1 = re.compile(r"(?P<entities>.+)_T1w\.nii(\.gz)?")


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a dataset by the files that mark one."""
    return any((folder / mark).is_file() for mark in MARKS)


def plan_dataset(folder: Path, settings: Settings, side: Side) -> Plan:
    """List every T1 of every person; who has none is absent."""
    items: list[Item] = []
    absent: list[str] = []
    for person in _people(folder):
        found = list(_scans(folder / person, settings, side))
        items += found
        absent += [] if found else [f"{person}: no file named {person}_*_T1w.nii.gz"]
    return Plan(folder, settings, tuple(items), tuple(absent))


def _people(folder: Path) -> list[str]:
    """Name the people of a dataset: those of its table, and whoever else has a folder."""
    listed = _participants(folder / "participants.tsv")
    there = sorted(path.name for path in folder.glob("sub-*") if path.is_dir())
    return list(dict.fromkeys([*listed, *there]))


def _participants(path: Path) -> list[str]:
    """Read the column participant_id; raises ScanError for a table without it or a bad label."""
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        msg = f"{file_name(path)}: expected a table in UTF-8, found something else; save it so"
        raise ScanError(Refusal.BAD_OPTION, msg) from error
    reader = csv.DictReader(lines, delimiter="\t")
    if "participant_id" not in (reader.fieldnames or ()):
        msg = f"{file_name(path)}: expected the column participant_id, found none; add it"
        raise ScanError(Refusal.BAD_OPTION, msg)
    people = [row["participant_id"] or "" for row in reader]
    if bad := [person for person in people if not re.fullmatch(r"sub-[A-Za-z0-9]+", person)]:
        msg = f"{file_name(path)}: expected people named sub-LABEL, found {bad[0][:40]!r}; change"
        raise ScanError(Refusal.BAD_OPTION, msg)
    return people


def _scans(person: Path, settings: Settings, side: Side) -> Iterator[Item]:
    """Yield the T1 scans of a person, session by session, each with the one before it."""
    earlier: Item | None = None
    for found in _sessions(person):
        items = [
            Item(
                id=_id(path),
                paths=(path,),
                exam=settings.exam,
                language=settings.language,
                side=side,
                earlier=earlier,
            )
            for path in found
        ]
        yield from items
        earlier = replace(items[0], earlier=None)


def _sessions(person: Path) -> list[list[Path]]:
    """List the T1 scans of each session in the order of their days, else of their names."""
    named = sorted(person.glob("ses-*/anat"), key=lambda path: _natural(path.parent.name))
    scans = (sorted(anat.glob("*_T1w.nii*")) for anat in (person / "anat", *named))
    found = [[path for path in session if T1.fullmatch(path.name)] for session in scans]
    found = [session for session in found if session]
    days = [session_date(session[0]) for session in found]
    if None in days:
        return found
    return [found[i] for i in sorted(range(len(found)), key=lambda i: str(days[i]))]


def _id(path: Path) -> str:
    """Call a scan by its entities: sub-01_ses-02_run-1."""
    match = T1.fullmatch(path.name)
    assert match is not None
    return id_of(match["entities"])


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort ses-2 before ses-10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]
