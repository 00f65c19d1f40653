"""Networks of a few subjects beside the expert, on the validation crops."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segment import organs
from segment.calibration import Calibrated
from segment.evaluate import compare_masks
from segment.infer import segment_crop
from segment.measure import Wanted, measure
from segment.models.devices import runtime_here
from segment.models.ensemble import Ensemble, read
from segment.models.training.plan import case_name
from segment.reading import read_nifti
from tests.benchmarks.few_labels_curve import COVERAGE, WHOLE

STRUCTURES = ("background", "hippocampus anterior", "hippocampus posterior")


def judged(fitted: Path, cases: Sequence[int], data: Path, coverage: float) -> list[dict[str, Any]]:
    """Compare each validation crop with the expert, and each interval with the expert's volume."""
    path = fitted / "calibration.json"
    text = path.read_text(encoding="utf-8") if path.exists() else None
    calibrated = None if text is None else Calibrated.from_json(text)
    ensemble = read(fitted / "weights.safetensors", "cell", runtime=runtime_here())
    return judged_alone(ensemble, cases, data, calibrated, coverage)


def judged_alone(
    ensemble: Ensemble,
    cases: Sequence[int],
    data: Path,
    calibrated: Calibrated | None = None,
    coverage: float = COVERAGE,
) -> list[dict[str, Any]]:
    """Compare an ensemble with the expert, case by case; without a calibration no interval is."""
    organ = organs.load(WHOLE)
    names = tuple(structure.name for structure in organ.structures)
    wanted = Wanted(names, (), coverage, 100.0)
    found = []
    for case in cases:
        kinds = ("images", "labels")
        image, label = (read_nifti(data / WHOLE / kind / case_name(case)) for kind in kinds)
        side = segment_crop(image, "left", ensemble)
        block = tuple(
            slice(s, s + n)
            for s, n in zip(side.start, side.segmentation.geometry.shape, strict=True)
        )
        records = {}
        if calibrated is not None:
            spacing_mm = image.geometry.spacing_mm
            measured = measure((side,), organ, wanted, calibrated, spacing_mm)
            records = {record.structure: record for record in measured}
        for structure in organ.structures:
            values = [STRUCTURES.index(name) for name in structure.labels]
            expert = np.isin(label.array, values)
            drawn = np.zeros(expert.shape, bool)
            drawn[block] = side.segmentation.mask(*structure.labels)
            agreement = compare_masks(drawn, expert, label.geometry, structure.name)
            row = {
                "case": case,
                "structure": structure.name,
                "dice": agreement.dice,
                "distance_mm": agreement.mean_surface_distance_mm,
                "volume_error": agreement.relative_volume_error,
            }
            interval = records[structure.name].interval if structure.name in records else None
            if interval is not None:
                row["is_covered"] = interval.lower <= agreement.expert_ml <= interval.upper
                row["width"] = (interval.upper - interval.lower) / agreement.predicted_ml
            found.append(row)
    return found
