"""A user's scans become the data of a training: read, named, placed, cut, and split by subject.

Knows nothing of networks but which one to begin with.
"""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segment import models
from segment.adapt.crops import (
    Centre,
    Crop,
    crop_of_box,
    crops_of_head,
    mean_place,
    middles,
    mirrored_centres,
    registered,
)
from segment.adapt.plan import Request, nearest
from segment.adapt.scans import (
    Scan,
    find_scans,
    guesses,
    meanings,
    read_scan,
    same_picture,
    values_of,
)
from segment.errors import Refusal, ScanError
from segment.models.training.plan import TrainingPlan, case_name
from segment.register import Registration
from segment.resume import replacing
from segment.segmentation import Side

MM3_A_VOXEL = 1.0  # of the boxes


@dataclass(frozen=True)
class Progress:
    """One step of an adaptation, for whoever shows it."""

    step: str
    done: int
    of: int


@dataclass(frozen=True)
class Warned:
    """Something about the scans that a user should look at; the work goes on."""

    text: str


Step = Progress | Warned


@dataclass(frozen=True)
class Prepared:
    """The data of a training and what they hold; ``volumes_ml`` are those of every box."""

    plan: TrainingPlan
    start: str
    structures: tuple[str, ...]
    centres_mm: Mapping[Side, Centre]
    volumes_ml: Mapping[str, tuple[float, ...]]
    subjects: int
    split: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the first look at all scans found: heads by name, and places of the structure."""

    pictures: dict[str, str]
    heads: dict[str, Registration]
    places: list[Centre]


def prepare(request: Request, work: Path) -> Generator[Step, None, Prepared]:
    """Cut the boxes of all scans into the data folder below ``work``."""
    scans = find_scans(request.images, request.labels, request.subjects)
    numbers, structures = meanings(values_of(scans), request.names, request.organ)
    _check_names(request, structures)
    _check_sides(request, scans)
    yield from map(Warned, guesses(scans))
    _check_subjects(request, scans)
    for folder in ("registered", "data/images", "data/labels"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    seen = _Seen({}, {}, [])
    for done, scan in enumerate(scans, start=1):
        _look(scan, request, work, seen)
        yield Progress("reading", done, len(scans))
    scans, warnings = same_picture(scans, seen.pictures)
    yield from map(Warned, warnings)
    _check_subjects(request, scans)
    centres = _centres(request, seen.places)
    order = {name: k for k, name in enumerate(dict.fromkeys(s.subject for s in scans), start=1)}
    pattern = f"{request.folder}_{{:03d}}.nii.gz"
    counts: dict[int, list[int]] = {}
    for done, scan in enumerate(scans, start=1):
        for crop in _crops(scan, request, seen, centres, numbers):
            case = 2 * order[scan.subject] - (crop.side != "right")
            if case in counts:
                yield Warned(f"{scan.name}: its subject has another scan of this side; left out")
                continue
            crop.write(work / "data", case_name(case, pattern))
            voxels = np.bincount(crop.labels.ravel(), minlength=len(structures) + 1)[1:]
            counts[case] = voxels.tolist()
        yield Progress("cutting", done, len(scans))
    start = nearest(next(iter(centres.values())))
    network = str(models.describe(start).get("network", start))
    plan = request.plan.training(network, pattern, structures, len(counts))
    split = _split(sorted(counts), plan.folds)
    with replacing(work / "data" / plan.split) as temporary:
        temporary.write_text(json.dumps(split), encoding="utf-8")
    volumes = {
        name: tuple(voxels[place] * MM3_A_VOXEL / 1000 for voxels in counts.values())
        for place, name in enumerate(structures)
    }
    return Prepared(plan, start, structures, centres, volumes, len(order), split)


def _look(scan: Scan, request: Request, work: Path, seen: _Seen) -> None:
    """Take a first look at a scan: its picture, and where in a head the structure lies."""
    labelled = read_scan(scan)
    seen.pictures[scan.name] = labelled.picture
    if not labelled.is_box:
        registration = registered(labelled, work / "registered")
        seen.heads[scan.name] = registration
        seen.places.extend(middles(labelled, registration, request.sides))


def _crops(
    scan: Scan,
    request: Request,
    seen: _Seen,
    centres: Mapping[Side, Centre],
    numbers: Mapping[int, int],
) -> Iterator[Crop]:
    """Cut the boxes of one scan."""
    labelled = read_scan(scan)
    if scan.name in seen.heads:
        yield from crops_of_head(labelled, seen.heads[scan.name], centres, numbers)
    else:
        yield crop_of_box(labelled, _side(scan, request), numbers)


def _split(cases: Sequence[int], folds: int) -> dict[str, Any]:
    """Split by subject into folds that are as even as can be."""
    subjects = sorted({(case + 1) // 2 for case in cases})
    outside: list[list[int]] = [
        [case for case in cases if subjects.index((case + 1) // 2) % folds == fold]
        for fold in range(folds)
    ]
    return {"train": list(cases), "val": [], "folds": outside}


def _centres(request: Request, places: Sequence[Centre]) -> Mapping[Side, Centre]:
    """Return where to look: as the user said, or as whole heads show."""
    if request.centre_mm is not None:
        return mirrored_centres(request.centre_mm, request.sides)
    if not places:
        msg = "expected whole heads, which show where the structure lies, found boxes around it;"
        raise ValueError(f"{msg} say where with --centre=X,Y,Z, of the left one in MNI152 mm")
    return mirrored_centres(mean_place(places), request.sides)


def _side(scan: Scan, request: Request) -> Side:
    """Return the side of a box; raises ScanError where neither organ nor name states one."""
    if request.sides == ("none",):
        return "none"
    if scan.side is None:
        msg = f"{scan.name}: expected a box around one structure to state its side as BIDS does"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}, found none; put hemi-L or hemi-R in its name")
    return "left" if scan.side == "left" else "right"


def _check_names(request: Request, structures: Sequence[str]) -> None:
    """Refuse a part that is called as its whole."""
    if len(structures) > 1 and request.organ in structures:
        msg = f"expected parts with names of their own, found one called {request.organ}"
        raise ValueError(f"{msg}, as their whole is; name it otherwise with --structure")


def _check_sides(request: Request, scans: Sequence[Scan]) -> None:
    """Refuse names that state a side of an organ that has none; raises ScanError."""
    sided = [scan.name for scan in scans if scan.side is not None]
    if request.sides == ("none",) and sided:
        msg = f"{sided[0]}: expected no side in the name of a scan with --midline, found one"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}; leave --midline out, or name it otherwise")


def _check_subjects(request: Request, scans: Sequence[Scan]) -> None:
    """Refuse fewer subjects than there are folds; raises ValueError."""
    subjects = len({scan.subject for scan in scans})
    if subjects < request.plan.folds:
        msg = f"expected at least {request.plan.folds} subjects, one for each fold, found"
        raise ValueError(f"{msg} {subjects}; label more scans, or copy adapt.toml with fewer folds")
