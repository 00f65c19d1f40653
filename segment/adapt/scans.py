"""A user's scans and the labels beside them: whose they are, and what the labels mean.

Knows nothing of where in a head a structure lies, or of networks.
"""

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from segment.errors import Refusal, ScanError
from segment.masks.file import read_labels
from segment.masks.place import held_labels, placed
from segment.reading import read_nifti
from segment.reading.nifti import is_nifti
from segment.volume import Volume

SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")  # as BIDS names them
SIDE = re.compile(r"_?hemi-([LR])")
COLUMNS = ["file", "subject"]
LARGEST_BOX_MM = 100.0  # a field no longer than this is a box around one structure, and no head
MOST_SHOWN = 5


@dataclass(frozen=True)
class Scan:
    """One scan and its labels, by their files, and whose head it is.

    ``is_guessed`` says that nobody stated whose: the rest of the file's name stands for it.
    """

    image: Path
    label: Path
    subject: str
    is_guessed: bool = False

    @property
    def name(self) -> str:
        """The name of both files."""
        return self.image.name

    @property
    def side(self) -> str | None:
        """The side that the file's name states, as BIDS does; None where it states none."""
        found = SIDE.search(self.name)
        return None if found is None else {"L": "left", "R": "right"}[found[1]]


@dataclass(frozen=True, eq=False)
class Labelled:
    """A scan that was read: its picture, and on the same grid the number of a structure a voxel."""

    scan: Scan
    volume: Volume
    labels: UInt16[np.ndarray, "i j k"]

    @property
    def is_box(self) -> bool:
        """Whether this is a box around one structure and no head."""
        grid = self.volume.geometry
        return float(np.multiply(grid.shape, grid.spacing_mm).max()) < LARGEST_BOX_MM

    @property
    def picture(self) -> str:
        """The hash of the picture alone: the same for one that was saved anew."""
        return hashlib.sha256(self.volume.array.tobytes()).hexdigest()


def find_scans(images: Path, labels: Path, subjects: Path | None = None) -> tuple[Scan, ...]:
    """Pair the NIfTI files of two folders by name; raises ScanError where one has no partner.

    Whose they are says the table ``subjects`` (CSV: file,subject), else the ``sub-`` of the name;
    a file without either is of the subject that it is named after but for its side.
    """
    found, drawn = ({path.name: path for path in _niftis(folder)} for folder in (images, labels))
    if alone := sorted(found.keys() ^ drawn.keys()):
        shown = ", ".join(alone[:MOST_SHOWN])
        msg = f"expected a file of the same name in both folders for each scan, found {shown} in"
        raise ScanError(Refusal.MISSING, f"{msg} one alone; add its partner or take it away")
    if not found:
        msg = f"{images.name}: expected scans as NIfTI, found none; give another folder"
        raise ScanError(Refusal.EMPTY_FOLDER, msg)
    if subjects is None:
        return tuple(_named(path, drawn[name]) for name, path in sorted(found.items()))
    owners = _owners(subjects, found)
    return tuple(Scan(path, drawn[name], owners[name]) for name, path in sorted(found.items()))


def read_scan(scan: Scan, *, resample: bool | None = None) -> Labelled:
    """Read a scan and its labels; raises ScanError where they do not lie on the same voxels.

    With ``resample`` each voxel of the scan takes the nearest label instead; None is said by
    commands that have no option for it.
    """
    volume, drawn = read_nifti(scan.image), read_labels(scan.label)
    labels, _ = placed(
        drawn.labels,
        drawn.geometry,
        volume.geometry,
        scan.name,
        resample=bool(resample),
        is_offered=resample is not None,
    )
    return Labelled(scan, volume, labels)


def meanings(
    held: Iterable[int], named: Mapping[int, str], organ: str
) -> tuple[Mapping[int, int], tuple[str, ...]]:
    """Number the structures 1, 2, ... whatever the values of their labels; return their names too.

    A single value without a name is the organ itself. Several values may be of one structure.
    Raises ValueError for other values without a name, and for names without a value.
    """
    values = sorted(set(held))
    names = dict(named) or (dict.fromkeys(values, organ) if len(values) == 1 else {})
    unnamed = [str(value) for value in values if value not in names]
    unheld = [f"{value}={name}" for value, name in sorted(names.items()) if value not in values]
    told = [
        f"{', '.join(wrong[:MOST_SHOWN])} {why}"
        for wrong, why in ((unnamed, "without a name"), (unheld, "that no label holds"))
        if wrong
    ]
    if told:
        msg = "expected a name for each value of the labels and no other, found"
        raise ValueError(f"{msg} {' and '.join(told)}; name each with --structure VALUE=NAME")
    order = tuple(dict.fromkeys(names[value] for value in values))
    return {value: order.index(names[value]) + 1 for value in values}, order


def renumbered(
    labels: UInt16[np.ndarray, "i j k"], numbers: Mapping[int, int]
) -> UInt16[np.ndarray, "i j k"]:
    """Write the number of its structure in the place of each label."""
    table = np.zeros(max(numbers) + 1, np.uint16)
    table[list(numbers)] = list(numbers.values())
    return np.asarray(table[labels])


def values_of(scans: Sequence[Scan]) -> frozenset[int]:
    """List the values that the labels of all scans hold; raises ScanError where there is none."""
    held = {scan.name: held_labels(read_labels(scan.label).labels) for scan in scans}
    if empty := [name for name, values in held.items() if not values]:
        msg = f"{empty[0]}: expected labels of the structure, found none; draw it or take the scan"
        raise ScanError(Refusal.WRONG_LABELS, f"{msg} away")
    return frozenset().union(*held.values())


def same_picture(
    scans: Sequence[Scan], pictures: Mapping[str, str]
) -> tuple[tuple[Scan, ...], tuple[str, ...]]:
    """Give scans of one picture one subject; return the scans and a warning for each.

    ``pictures`` are the hashes of the pictures by the names of the scans.
    """
    first: dict[str, Scan] = {}
    warnings: list[str] = []
    owners = {scan.subject: scan.subject for scan in scans}
    for scan in scans:
        known = first.setdefault(pictures[scan.name], scan)
        one, other = _root(owners, known.subject), _root(owners, scan.subject)
        if one != other:
            owners[other] = one
            warnings.append(f"{known.name} and {scan.name} hold one picture: one subject")
    return tuple(replace(s, subject=_root(owners, s.subject)) for s in scans), tuple(warnings)


def guesses(scans: Sequence[Scan]) -> Iterator[str]:
    """Warn of scans of which nobody stated whose they are."""
    names = [scan.name for scan in scans if scan.is_guessed]
    if names:
        told = f"whose scans they are is guessed from {len(names)} names, such as {names[0]}"
        yield f"{told}; begin names with sub-, or give a table with --subjects"


def _root(owners: Mapping[str, str], subject: str) -> str:
    """Follow a subject to the one that it was joined with."""
    while owners[subject] != subject:
        subject = owners[subject]
    return subject


def _niftis(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        msg = f"{folder.name}: expected a folder of NIfTI files, found none; give another"
        raise ScanError(Refusal.MISSING, msg)
    yield from (path for path in folder.iterdir() if is_nifti(path))


def _named(image: Path, label: Path) -> Scan:
    """Say whose a scan is by its name."""
    found = SUBJECT.match(image.name)
    if found is not None:
        return Scan(image, label, found[0])
    stem = image.name.removesuffix(".gz").removesuffix(".nii")
    return Scan(image, label, SIDE.sub("", stem), is_guessed=True)


def _owners(path: Path, found: Mapping[str, Path]) -> Mapping[str, str]:
    """Read whose scans they are; raises ScanError for another table or a scan it leaves out."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if header != COLUMNS:
        msg = f"{path.name}: expected the columns {','.join(COLUMNS)}, found {','.join(header)}"
        raise ScanError(Refusal.WRONG_LABELS, f"{msg}; correct the table of subjects")
    if wrong := [row for row in rows if len(row) != len(COLUMNS) or not all(row)]:
        msg = (
            f"{path.name}: expected a file and its subject in each row, found {','.join(wrong[0])}"
        )
        raise ScanError(Refusal.WRONG_LABELS, f"{msg}; correct the table of subjects")
    owners = {row[0]: row[1] for row in rows}
    if missing := sorted(found.keys() - owners.keys()):
        msg = f"{path.name}: expected a row for each scan, found none for {missing[0]}"
        raise ScanError(Refusal.WRONG_LABELS, f"{msg}; correct the table of subjects")
    return owners
