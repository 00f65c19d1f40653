"""What five ways of being unsure say of the validation crops, as they are and under shift.

    python -m tests.benchmarks.uncertainty [--seconds 230] [--again missing]
    python -m tests.benchmarks.uncertainty_table [--write]

No network has seen these subjects. Each line of shifts.csv is one crop, shift, method and
structure, with what the expert counted. It goes on where it was stopped, one crop and shift after
the other; delete the file to begin anew. ``--again`` measures what it holds of one kind of shift
anew, in the same place. The second command prints the tables from it.
"""

import argparse
import csv
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from assistant import exams
from segment import models, organs
from segment.crossfit import thickened
from segment.effort import EFFORT
from segment.infer import Found, segment_crop
from segment.measure import Wanted, agreement, measure, member_volumes_ml
from segment.models.effort import spend
from segment.models.ensemble import Ensemble
from segment.models.running import networks_in
from segment.models.training.plan import case_name, subject_of
from segment.models.windows import WINDOW
from segment.organs import Structure
from segment.reading import read_nifti
from segment.resume import replacing
from segment.volume import Volume
from tests.benchmarks.shifts import NONE, SHIFTS, STRENGTHS, Shift
from tests.shared_data import shared_data

MEASURED = Path(str(files("segment.models.unet").joinpath("shifts.csv")))
LEVELS = np.arange(0.05, 1, 0.1)  # of a probability, whose volumes stand for one network's
AROUND = 2  # voxels around both masks in which probabilities are judged
BINS = 10
SOFTMAX = "softmax"
METHODS = (SOFTMAX, "temperature", "dropout", "augmentation", EFFORT)
WHOLE = "hippocampus"
UNTOLD = (math.nan, math.nan, "")


@dataclass(frozen=True)
class Row:
    """One method on one structure of one crop under one shift.

    ``samples_ml`` are the members' volumes, or those of one network at ``LEVELS``; ``ece`` is the
    expected calibration error around the masks (Naeini et al. 2015, ten bins), ``entropy`` the mean
    there. ``lower_ml``, ``upper_ml`` and ``reason`` are the product's and the ensemble's alone.
    """

    case: int
    shift: str
    strength: float
    method: str
    structure: str
    true_ml: float
    value_ml: float
    samples_ml: tuple[float, ...]
    dice: float
    ece: float
    entropy: float
    agreement: float
    lower_ml: float
    upper_ml: float
    reason: str

    @property
    def subject(self) -> int:
        """Whose crop it is."""
        return subject_of(self.case)

    @classmethod
    def read(cls, line: dict[str, str]) -> "Row":
        """Read what ``cells`` wrote."""
        numbers = {"true_ml", "value_ml", "dice", "ece", "entropy", "agreement", "strength"}
        table: dict[str, object] = {**line, "case": int(line["case"])}
        table |= {name: float(line[name]) for name in {*numbers, "lower_ml", "upper_ml"}}
        table["samples_ml"] = tuple(float(sample) for sample in line["samples_ml"].split())
        return cls(**table)  # type: ignore[arg-type]  # each by its own name

    def cells(self) -> dict[str, object]:
        """Return what is written of it, to four decimals."""
        table = asdict(self) | {"strength": f"{self.strength:g}"}
        table["samples_ml"] = " ".join(f"{sample:.3f}" for sample in self.samples_ml)
        return {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in table.items()}


def read_rows(path: Path = MEASURED) -> list[Row]:
    """Read all that was measured so far."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [Row.read(line) for line in csv.DictReader(file)]


def expected_calibration_error(probability: np.ndarray, truth: np.ndarray) -> float:
    """Return how far shares of true voxels lie from the probabilities, bin by bin."""
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    said = np.bincount(place, probability, BINS)
    held = np.bincount(place, truth.astype(float), BINS)
    return float(np.abs(said - held).sum() / max(counts.sum(), 1))


@dataclass(frozen=True)
class Looked:
    """One structure as one method drew it, against the expert."""

    value_ml: float
    levels_ml: tuple[float, ...]
    dice: float
    ece: float
    entropy: float

    @classmethod
    def at(cls, found: Found, numbers: list[int], truth: np.ndarray) -> "Looked":
        """Compare on the scan's grid; the structure is made up of the labels ``numbers``."""
        segmentation = found.segmentation
        start, shape = found.start, segmentation.geometry.shape
        block = tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))
        probability = np.zeros(truth.shape)
        probability[block] = segmentation.mean[numbers].sum(axis=0)
        mask = np.zeros(truth.shape, bool)
        mask[block] = np.isin(segmentation.labels, numbers)
        near = ndimage.binary_dilation(mask | truth, np.ones((3, 3, 3)), iterations=AROUND)
        said = np.clip(probability[near], 1e-9, 1 - 1e-9)
        unsure = -(said * np.log2(said) + (1 - said) * np.log2(1 - said))
        voxel_ml = segmentation.geometry.voxel_volume_mm3 / 1000
        return cls(
            value_ml=float(mask.sum()) * voxel_ml,
            levels_ml=tuple(float((probability >= p).sum()) * voxel_ml for p in LEVELS),
            dice=2 * float((mask & truth).sum()) / max(int(mask.sum() + truth.sum()), 1),
            ece=expected_calibration_error(said, truth[near]),
            entropy=float(unsure.mean()),
        )


def quick(ensemble: Ensemble) -> Ensemble:
    """Run an ensemble's networks in OpenVINO where it is installed, which takes a tenth here."""
    networks = ensemble.networks
    origin = f"{ensemble.name} {ensemble.weights_sha256}"
    found, runtime = networks_in("auto", lambda: networks, WINDOW, origin)
    return replace(ensemble, networks=found, runtime=runtime)


class Bench:
    """The networks, in each way that they are asked, and the crops."""

    def __init__(self) -> None:
        self.data = shared_data("hippocampus")
        self.organ = organs.load("hippocampus")
        self.exam = exams.load("hippocampus")
        self.calibrated = models.calibrated("unet")
        fast = models.load("unet", runtime="auto")
        one = spend(fast, "temperature")
        self.asked = {
            SOFTMAX: replace(one, temperature=np.ones_like(one.temperature)),
            "temperature": one,
            "dropout": quick(spend(models.load("unet"), "dropout")),
            "augmentation": spend(fast, "augmentation"),
            EFFORT: fast,
        }

    def rows(self, case: int, shift: Shift) -> Iterator[Row]:
        """Measure one crop under one shift; by the ensemble alone where the shift is weak.

        Parts are measured by the ensemble, and by the others where there is no shift.
        """
        name = case_name(case)
        scan, label = (read_nifti(self.data / folder / name) for folder in ("images", "labels"))
        shifted = shift(scan, case % 3, np.random.default_rng([case, SHIFTS.index(shift)]))
        for method in (EFFORT,) if shift.is_weak else METHODS:
            found = segment_crop(shifted, "left", self.asked[method])
            for structure in self.organ.structures:
                if structure.name == WHOLE or method == EFFORT or shift.name == NONE:
                    yield self._row(case, shift, method, structure, found, label)

    def _row(
        self,
        case: int,
        shift: Shift,
        method: str,
        structure: Structure,
        found: Found,
        label: Volume,
    ) -> Row:
        """Judge one structure; thick slices are judged by which label fills most of each voxel."""
        segmentation = found.segmentation
        numbers = [segmentation.structures.index(name) for name in structure.labels]
        expert = np.isin(label.array, numbers)
        filled = replace(label, array=expert.astype(np.float32))
        truth = thickened(filled, case % 3, shift.thickness_mm).array > 0.5
        looked = Looked.at(found, numbers, truth)
        volumes = member_volumes_ml(segmentation, structure)
        lower, upper, reason = self._told(found, structure) if method == EFFORT else UNTOLD
        return Row(
            case=case,
            shift=shift.name,
            strength=shift.strength,
            method=method,
            structure=structure.name,
            true_ml=float(expert.sum()) * label.geometry.voxel_volume_mm3 / 1000,
            value_ml=looked.value_ml,
            samples_ml=volumes if len(volumes) > 1 else looked.levels_ml,
            dice=looked.dice,
            ece=looked.ece,
            entropy=looked.entropy,
            agreement=agreement(segmentation, structure),
            lower_ml=lower,
            upper_ml=upper,
            reason=reason,
        )

    def _told(self, found: Found, structure: Structure) -> tuple[float, float, str]:
        """Return the interval that the product gives, and why it withholds it, if it does."""
        exam = self.exam
        wanted = Wanted((structure.name,), (), exam.coverage, exam.widest_relative_interval)
        spacing_mm = found.segmentation.geometry.spacing_mm
        (record,) = measure([found], self.organ, wanted, self.calibrated, spacing_mm)
        reason = "" if record.reason is None else record.reason.value
        bounds = record.interval
        if bounds is None:
            return math.nan, math.nan, reason
        return bounds.lower, bounds.upper, reason


def run(bench: Bench, cases: list[int], path: Path, seconds: float) -> Iterator[tuple[int, Shift]]:
    """Measure what the file lacks, for as long as there is time; yield each as it is written."""
    end = time.monotonic() + seconds
    done = {(row.case, row.shift, row.strength) for row in read_rows(path)}
    is_new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Row)])
        if is_new:
            table.writeheader()
        for shift, case in in_order(cases):
            if (case, shift.name, float(shift.strength)) in done:
                continue
            if time.monotonic() > end:
                return
            table.writerows([row.cells() for row in bench.rows(case, shift)])
            file.flush()
            yield case, shift


def run_again(bench: Bench, name: str, path: Path) -> Iterator[tuple[int, Shift]]:
    """Measure anew what the file holds of one kind of shift; all is written at the end."""
    with path.open(newline="", encoding="utf-8") as file:
        lines: list[dict[str, Any]] = list(csv.DictReader(file))
    fresh: dict[tuple[int, float], list[Row]] = {}
    for place, line in enumerate(lines):
        if line["shift"] != name:
            continue
        case, strength = int(line["case"]), float(line["strength"])
        if (case, strength) not in fresh:
            (shift,) = (s for s in SHIFTS if (s.name, s.strength) == (name, strength))
            fresh[case, strength] = list(bench.rows(case, shift))
            yield case, shift
        lines[place] = fresh[case, strength].pop(0).cells()
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Row)])
        table.writeheader()
        table.writerows(lines)


def in_order(cases: list[int]) -> Iterator[tuple[Shift, int]]:
    """List what is measured: all crops as they are, then under shift one crop a subject first."""
    first = {subject_of(case): case for case in reversed(cases)}
    second = [case for case in cases if case not in first.values()]
    plain, *shifts = SHIFTS
    yield from product((plain,), cases)
    yield from product(shifts, sorted(first.values()))
    yield from product(shifts, second)


def main() -> None:
    """Go on measuring."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=math.inf)
    arguments.add_argument("--again", choices=[NONE, *STRENGTHS])
    arguments.add_argument("--rows", type=Path, default=MEASURED)
    chosen = arguments.parse_args()
    split = json.loads((shared_data("hippocampus") / "split.json").read_text())
    begun = time.monotonic()
    if chosen.again:
        measuring = run_again(Bench(), chosen.again, chosen.rows)
    else:
        measuring = run(Bench(), split["val"], chosen.rows, chosen.seconds)
    for case, shift in measuring:
        told = f"{shift.name} {shift.strength:g}"
        print(f"{time.monotonic() - begun:6.0f} s  crop {case}, {told}", flush=True)


if __name__ == "__main__":
    main()
