"""The studies below a folder: NIfTI files, zips, and the DICOM series of however many patients.

A NIfTI file is called by its own name. Zips and DICOM are numbered, since who exports from an
archive calls its folders and files after the patient. What a run wrote is no study of another.
Knows nothing of what the files hold.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from assistant.batch import dump
from assistant.batch.item import Item, Plan, Side, folded, id_of
from assistant.batch.place import OWN, STUDIES
from assistant.exams import Exam
from assistant.settings import Settings
from segment.errors import Refusal, ScanError
from segment.reading import file_kind, file_name

NIFTI = (".nii", ".nii.gz")
DIGITS = 4  # of a number, at least
OTHER = "files that are no scan"


def plan_folder(folder: Path, settings: Settings, exam: Exam, side: Side) -> Plan:
    """List the studies below a folder, in an order that does not depend on where it lies.

    Raises ScanError for the studies of a run: their maps would be taken for scans.
    """
    _check_not_of_a_run(folder)
    scans, archives, dicom, aside = _sorted_out(files_below(folder))
    found = dump.find(dicom, exam)
    numbered = [*((path,) for path in archives), *found.series]
    width = max(DIGITS, len(str(len(numbered))))
    names = [*_named(scans), *(f"{n:0{width}}" for n in range(1, len(numbered) + 1))]
    paths = [*((path,) for path in scans), *numbered]
    items = tuple(
        Item(name, files, settings.exam, settings.language, side=side)
        for name, files in zip(_told_apart(names), paths, strict=True)
    )
    numbers = [None for _ in (*scans, *archives)] + [*found.numbers]
    places = {
        item.id: _place(item, folder, number) for item, number in zip(items, numbers, strict=True)
    }
    counts = Counter(aside) + Counter(found.aside)
    return Plan(folder, settings, items, aside=counts, found=places)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in a stable order; hidden ones and a run's are left out."""
    for above, folders, names in os.walk(folder, onerror=_refuse_folder):
        if OWN in folders:
            folders[:], names = [name for name in folders if name != STUDIES], []
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(above, name) for name in sorted(names) if not name.startswith("."))


def stem_of(path: Path) -> str:
    """Return a NIfTI file's name without its ending."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _sorted_out(
    paths: Iterable[Path],
) -> tuple[list[Path], list[Path], list[Path], dict[str, int]]:
    """Part files into NIfTI, zips, DICOM and a count of the rest."""
    scans: list[Path] = []
    archives: list[Path] = []
    dicom: list[Path] = []
    others = 0
    for path in paths:
        if path.name.endswith(NIFTI):
            scans.append(path)  # whatever it holds: one that is damaged becomes a row of its own
            continue
        kind = _kind(path)
        others += kind not in ("zip", "dicom", "dicomdir")  # a DICOMDIR names files found here
        if kind in ("zip", "dicom"):
            (archives if kind == "zip" else dicom).append(path)
    return scans, archives, dicom, {OTHER: others} if others else {}


def _check_not_of_a_run(folder: Path) -> None:
    whole = Path(os.path.abspath(folder))  # noqa: PTH100  keeps a link's own name
    for above in (whole, *whole.parents):
        if above.name == STUDIES and (above.parent / OWN).is_dir():
            msg = f"{file_name(folder)}: expected scans, found what a run wrote; give its INPUT"
            raise ScanError(Refusal.BAD_OPTION, msg)


def _place(item: Item, folder: Path, number: int | None) -> str:
    """Say where a study lies: its file, or the folder of its series and the series' number."""
    shared = Path(os.path.commonpath(item.paths)).relative_to(folder)
    place = "".join(c if c.isprintable() else "?" for c in str(shared))
    return place if number is None else f"{place}, series {number}"


def _refuse_folder(error: OSError) -> None:
    name = file_name(Path(error.filename))
    msg = f"{name}: expected a readable folder, found {error.strerror}; grant it"
    raise ScanError(Refusal.UNREADABLE, msg) from error


def _kind(path: Path) -> str:
    """Tell a file's kind; a pipe would keep whoever opens it waiting."""
    try:
        return file_kind(path) if path.is_file() else "other"
    except ScanError:
        return "unreadable"


def _named(scans: Iterable[Path]) -> Iterator[str]:
    return (id_of(stem_of(path)) for path in scans)


def _told_apart(names: Iterable[str]) -> Iterator[str]:
    """Number the second and later ones of a name."""
    taken: set[str] = set()
    for name in names:
        free, number = name, 1
        while folded(free) in taken:
            number += 1
            ending = f"_{number}"
            free = name[: 60 - len(ending)] + ending
        taken.add(folded(free))
        yield free
