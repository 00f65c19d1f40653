"""How well networks draw boxes of subjects that they never saw. Knows nothing of intervals."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segment.adapt.prepare import Progress
from segment.crossfit import folds_of
from segment.evaluate import Agreement, compare
from segment.models import Box
from segment.models.training.plan import TrainingPlan, case_name, plan_runs
from segment.organs import Organ
from segment.reading.nifti import read_values


@dataclass(frozen=True)
class Figures:
    """One structure over ``n`` boxes: the mean and the lowest Dice, and the mean distances."""

    structure: str
    n: int
    dice: float
    lowest_dice: float
    mean_surface_distance_mm: float
    relative_volume_error: float

    def __str__(self) -> str:
        """Say it in one line."""
        return (
            f"{self.structure}: dice {self.dice:.3f} (lowest {self.lowest_dice:.3f}), mean surface"
            f" distance {self.mean_surface_distance_mm:.2f} mm, relative volume error"
            f" {self.relative_volume_error:+.3f}, n = {self.n} boxes out of fold"
        )


def held_out_figures(
    plan: TrainingPlan,
    organ: Organ,
    data: Path,
    runs: Path,
    split: Mapping[str, Any],
) -> Generator[Progress, None, tuple[Figures, ...]]:
    """Compare each box with its labels; return the figures of each structure."""
    folds = folds_of(plan, plan_runs(plan, split), runs)
    numbers = {
        structure.name: [plan.structures.index(label) for label in structure.labels]
        for structure in organ.structures
    }
    found: list[Agreement] = []
    cases = [(fold, case) for fold in folds for case in fold.cases]
    for done, (fold, case) in enumerate(cases, start=1):
        name = case_name(case, plan.case)
        image, label = (read_values(data / kind / name) for kind in (plan.images, plan.labels))
        (probability,) = fold.ensemble([Box(image.array, np.ones(image.array.shape, bool))])
        drawn = probability.mean(axis=0).argmax(axis=0)
        found += compare(drawn, label.array.astype(np.int64), label.geometry, numbers)
        yield Progress("judging", done, len(cases))
    figures = []
    for name in numbers:
        mine = [agreement for agreement in found if agreement.structure == name]
        errors = [a.relative_volume_error for a in mine if a.relative_volume_error is not None]
        figures.append(
            Figures(
                structure=name,
                n=len(mine),
                dice=float(np.mean([a.dice for a in mine])),
                lowest_dice=min(a.dice for a in mine),
                mean_surface_distance_mm=float(np.mean([a.mean_surface_distance_mm for a in mine])),
                relative_volume_error=float(np.mean(errors)),
            )
        )
    return tuple(figures)
