"""A user's scans and the labels beside them: whose they are, and what the labels mean.

Knows nothing of where in a head a structure lies, or of networks.
"""

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from segment.errors import Refusal, ScanError
from segment.masks.file import read_labels
from segment.masks.place import held_labels, placed
from segment.reading import read_nifti
from segment.volume import Volume

ENDINGS = (".nii.gz", ".nii")
SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")  # as BIDS names them
COLUMNS = ["file", "subject"]
LARGEST_BOX_MM = 100.0  # a field no longer than this is a box around one structure, and no head
MOST_SHOWN = 5


@dataclass(frozen=True)
class Scan:
    """One scan and its labels, by their files, and whose head it is."""

    image: Path
    label: Path
    subject: str

    @property
    def name(self) -> str:
        """The name of both files."""
        return self.image.name

    @property
    def side(self) -> str | None:
        """The side that the file's name states, as BIDS does; None where it states none."""
        found = re.search(r"hemi-([LR])", self.name)
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
    a file without either is a subject of its own.
    """
    found, drawn = ({path.name: path for path in _niftis(folder)} for folder in (images, labels))
    if alone := sorted(found.keys() ^ drawn.keys()):
        shown = ", ".join(alone[:MOST_SHOWN])
        msg = f"expected a file of the same name in both folders for each scan, found {shown} in"
        raise ScanError(Refusal.MISSING, f"{msg} one alone; add its partner or take it away")
    if not found:
        msg = f"{images.name}: expected scans as NIfTI, found none; give another folder"
        raise ScanError(Refusal.EMPTY_FOLDER, msg)
    owners = {} if subjects is None else _owners(subjects, found)
    return tuple(
        Scan(path, drawn[name], owners.get(name) or _subject_in(name))
        for name, path in sorted(found.items())
    )


def read_scan(scan: Scan) -> Labelled:
    """Read a scan and its labels; raises ScanError where they do not lie on the same voxels."""
    volume, drawn = read_nifti(scan.image), read_labels(scan.label)
    labels, _ = placed(drawn.labels, drawn.geometry, volume.geometry, scan.name, resample=False)
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
    if wrong := sorted(set(values) ^ names.keys()):
        shown = ", ".join(map(str, wrong[:MOST_SHOWN]))
        msg = f"expected a name for each value of the labels and no other, found {shown} without"
        raise ValueError(f"{msg} its partner; name each with --structure VALUE=NAME")
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
        if owners[known.subject] != owners[scan.subject]:
            owners[scan.subject] = owners[known.subject]
            warnings.append(f"{known.name} and {scan.name} hold one picture: one subject")
    joined = tuple(Scan(s.image, s.label, owners[s.subject]) for s in scans)
    return joined, tuple(warnings)


def _niftis(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        msg = f"{folder.name}: expected a folder of NIfTI files, found none; give another"
        raise ScanError(Refusal.MISSING, msg)
    yield from (path for path in folder.iterdir() if path.name.endswith(ENDINGS))


def _subject_in(name: str) -> str:
    found = SUBJECT.match(name)
    return name if found is None else found[0]


def _owners(path: Path, found: Mapping[str, Path]) -> Mapping[str, str]:
    """Read whose scans they are; raises ScanError for another table or a scan it leaves out."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if header != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        msg = f"{path.name}: expected the columns {','.join(COLUMNS)}, found {','.join(header)}"
        raise ScanError(Refusal.WRONG_LABELS, f"{msg}; correct the table of subjects")
    owners = {row[0]: row[1] for row in rows}
    if missing := sorted(found.keys() - owners.keys()):
        msg = f"{path.name}: expected a row for each scan, found none for {missing[0]}"
        raise ScanError(Refusal.WRONG_LABELS, f"{msg}; correct the table of subjects")
    return owners
