"""Gather what the calibration cases look like to the ensemble that is shipped. Knows no report.

These are the cases it was trained on; distances among them are taken between subjects, and those of
subjects that no network has seen come out alike (docs/uncertainty.md prints both).
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segment.calibration import THICKNESSES
from segment.crossfit import WEIGHTS, CrossfitProgress, thickened
from segment.familiarity import Familiar, FamiliarLevel
from segment.infer import crop_box
from segment.models.ensemble import read
from segment.models.training.plan import TrainingPlan, case_name, subject_of
from segment.reading import read_nifti

FEATURES = "features.safetensors"


def gather(plan: TrainingPlan, data: Path, output: Path) -> Iterator[CrossfitProgress]:
    """Write features of every training case at every slice thickness beside an ensemble's weights.

    Writes nothing for a network of which no features are kept.
    """
    ensemble = read(output / WEIGHTS, "gathering", plan.network, "torch", plan.structures)
    if ensemble.encoder is None:
        return
    cases = json.loads((data / plan.split).read_text(encoding="utf-8"))["train"]
    levels = []
    for thickness in THICKNESSES:
        found = []
        for done, case in enumerate(cases, start=1):
            scan = read_nifti(data / plan.images / case_name(case, plan.case))
            _, box = crop_box(thickened(scan, axis=case % 3, thickness=thickness), "left")
            found.append(ensemble.features([box])[0])
            yield CrossfitProgress(f"features of {thickness} mm slices", done, len(cases))
        subjects = np.array([subject_of(case) for case in cases])
        numbers = np.array(cases)
        levels.append(FamiliarLevel(float(thickness), np.stack(found), subjects, numbers))
    Familiar(tuple(levels)).write(output / FEATURES)
