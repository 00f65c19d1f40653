"""Hospitals that differ, made of the shared hippocampi. Knows nothing of training.

Subjects are shared out unevenly, both sides of a head at one site. Each site's scans have a fault
of their own (``tests/benchmarks/shifts.py``), and so have copies of the validation crops, on which
each site is judged: they are the same subjects seen by that site's scanner. Of a head one side is
taken, and a third of a site's subjects is kept from training: their scores make the intervals.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from segment.models.training.plan import case_name, subject_of
from segment.reading import read_nifti
from segment.writing import toml_text
from tests.benchmarks.shifts import NONE, Shift

WHOLE, SPLIT = "hippocampus", "split.json"
KEPT = 3  # of so many subjects, one calibrates


@dataclass(frozen=True)
class Hospital:
    """A site: its share of the subjects and the fault of its scanner."""

    name: str
    share: float
    shift: Shift


FOUR = (
    Hospital("north", 0.15, Shift("contrast", 0.6)),
    Hospital("east", 0.20, Shift("noise", 0.1)),
    Hospital("south", 0.25, Shift("blur", 2.5)),
    Hospital("west", 0.40, Shift(NONE, 0)),
)


def alike(count: int) -> tuple[Hospital, ...]:
    """Return sites of one size, each with one of the four faults."""
    return tuple(
        Hospital(f"site-{number + 1}", 1 / count, FOUR[number % len(FOUR)].shift)
        for number in range(count)
    )


def write_hospitals(
    hospitals: Sequence[Hospital], data: Path, output: Path, plan: Path, seed: int = 0
) -> list[Path]:
    """Write each site's crops, split and settings; return the settings. What is there stays."""
    whole = json.loads((data / WHOLE / SPLIT).read_text(encoding="utf-8"))
    side_of = {subject_of(case): case for case in whole["train"]}
    order = np.random.default_rng(seed).permutation(sorted(side_of))
    ends = np.round(np.cumsum([site.share for site in hospitals]) * len(order)).astype(int)
    written = []
    for site, begin, end in zip(hospitals, (0, *ends), ends, strict=False):
        mine = [side_of[subject] for subject in order[begin:end].tolist()]
        kept = mine[::KEPT]
        learnt = [case for case in mine if case not in kept]
        cases = {"train": learnt, "kept": kept, "val": whole["val"]}
        written.append(_write(site, cases, data, output / site.name, plan))
    return written


def _write(
    site: Hospital, cases: Mapping[str, list[int]], data: Path, folder: Path, plan: Path
) -> Path:
    for kind in ("images", "labels"):
        (folder / WHOLE / kind).mkdir(parents=True, exist_ok=True)
    for case in [c for several in cases.values() for c in several]:
        path = folder / WHOLE / "images" / case_name(case)
        if not path.exists():
            _shift(site, data, case, path)
        label = folder / WHOLE / "labels" / case_name(case)
        if not label.exists():
            label.symlink_to((data / WHOLE / "labels" / case_name(case)).resolve())
    (folder / WHOLE / SPLIT).write_text(json.dumps(cases), encoding="utf-8")
    table = {"name": site.name, "plan": str(plan.resolve()), "data": ".", "work": f"of-{plan.stem}"}
    settings = folder / f"{plan.stem}.toml"
    settings.write_text(toml_text({**table, "command": ["voxcite"]}), encoding="utf-8")
    return settings


def _shift(site: Hospital, data: Path, case: int, path: Path) -> None:
    source = data / WHOLE / "images" / case_name(case)
    shifted = site.shift(read_nifti(source), 1, np.random.default_rng([7, case]))
    affine = nibabel.Nifti1Image.from_filename(source).affine
    nibabel.Nifti1Image(shifted.array.astype(np.float32), affine).to_filename(path)
