"""Series of one head and of two, aligned by what they tell of each other.

python -m tests.benchmarks.roles prints, for each pair of roles of the shared cross-sectional
patients, how far from the truth the alignment ends after a known move, and what its gate sees;
below them, the same of series of two patients, which lie in one space and are not one head.
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from assistant.study import Study, read_study
from segment.geometry import Geometry
from segment.register.within import Within, align_within, doubt
from segment.volume import Volume
from tests.shared_data import shared_data

PATIENTS = ("patient07", "patient26")
SLICES = 5
DEGREES, SHIFT_MM = (4.0, -3.0, 5.0), (5.0, -4.0, 6.0)
BRAIN = np.array([[x, y, z, 1] for x in (-60, 60) for y in (-90, 60) for z in (-40, 70)])
HEAD = f"{'measured':>9} {'other':>6} {'error mm':>9} {'information':>12} {'inside':>7}"
HEAD += f" {'disagree mm':>12} {'s':>6}  verdict"


def moved(volume: Volume) -> tuple[Volume, np.ndarray]:
    """Turn and shift a scan's grid, and return what takes the old millimetres to the new."""
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler("xyz", DEGREES, degrees=True).as_matrix()
    move[:3, 3] = SHIFT_MM
    geometry = volume.geometry
    return replace(volume, geometry=replace(geometry, affine=move @ geometry.affine)), move


def thick(volume: Volume) -> Volume:
    """Average a scan to slices of 5 mm."""
    array, grid = volume.array, volume.geometry
    count = array.shape[2] // SLICES
    kept = array[:, :, : count * SLICES].reshape(*array.shape[:2], count, SLICES)
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_world(np.array([[0.0, 0.0, (SLICES - 1) / 2]]))[0]
    affine[:3, 2] *= SLICES
    shape = (array.shape[0], array.shape[1], count)
    return replace(volume, array=kept.mean(axis=-1), geometry=Geometry(shape, affine))


def series(patient: str) -> dict[str, Volume]:
    """Read every role of a patient."""
    study: Study = read_study(shared_data("ms_crosssectional", patient), measures=("FLAIR",))
    return {str(study.role): study.volume, **study.others}


def row(names: tuple[str, str], measured: Volume, other: Volume, move: np.ndarray) -> str:
    """Align one pair and write what became of it."""
    started = time.perf_counter()
    found: Within = align_within(measured, other)
    took = time.perf_counter() - started
    error = np.linalg.norm((BRAIN @ (found.matrix - move).T)[:, :3], axis=1).max()
    said = "apart" if doubt(found) else "aligned"
    numbers = f"{error:9.2f} {found.information:12.3f} {found.inside:7.2f}"
    numbers += f" {found.disagreement_mm:12.2f} {took:6.1f}"
    return f"{names[0]:>9} {names[1]:>6} {numbers}  {said}"


def rows() -> Iterator[str]:
    """Yield the table."""
    read = {patient: series(patient) for patient in PATIENTS}
    for patient, held in read.items():
        yield f"{patient}, moved by {DEGREES} degrees and {SHIFT_MM} mm"
        yield HEAD
        for one, other in itertools.permutations(held, 2):
            yield row((one, other), held[one], *moved(held[other]))
    for patient, held in read.items():
        yield f"{patient}, both in slices of {SLICES} mm"
        yield HEAD
        for one, other in itertools.combinations(held, 2):
            yield row((one, other), thick(held[one]), *moved(thick(held[other])))
    first, second = read.values()
    yield f"{PATIENTS[0]} with {PATIENTS[1]}: two heads"
    yield HEAD
    for one, other in itertools.product(first, second):
        yield row((one, other), first[one], *moved(second[other]))


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for line in rows():
        print(line, flush=True)


if __name__ == "__main__":
    main()
