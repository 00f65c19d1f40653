"""Compares what the assistant measures in a folder of scans with an expert's labels.

Knows nothing of how masks are compared (`segment.evaluate`) or of who prints the table.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assistant import gate
from assistant.grouping import Belongs
from assistant.pipeline import Assistant
from assistant.steps import Segmented
from assistant.study import Study, read_study
from segment.errors import Refusal, ScanError
from segment.evaluate import Agreement, Judged, compare, coverage_table, summarise
from segment.groups import Fared, GroupRow, by_group
from segment.infer import paint
from segment.measurement import Measurement
from segment.quantiles import reach
from segment.reading import read_nifti
from segment.register import register

SEED = 0
SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Evaluated:
    """One scan beside its labels."""

    name: str
    agreements: tuple[Agreement, ...]
    judged: tuple[Judged, ...]
    fared: tuple[Fared, ...]


def pairs(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Match scans and labels by their names; raises ScanError when one has no other."""
    found = {path.name: path for path in sorted(labels.glob("*")) if path.name.endswith(SUFFIXES)}
    scans = [path for path in sorted(images.glob("*")) if path.name.endswith(SUFFIXES)]
    if not scans:
        msg = f"{images.name}: expected NIfTI scans, found none; give the folder that holds them"
        raise ScanError(Refusal.EMPTY_FOLDER, msg)
    if missing := [path.name for path in scans if path.name not in found]:
        msg = f"{labels.name}: expected a label file for every scan, found none for {missing[0]}"
        raise ScanError(Refusal.MISSING, msg)
    return [(path, found[path.name]) for path in scans]


def evaluate(
    assistant: Assistant,
    matched: Sequence[tuple[Path, Path]],
    side: Literal["left", "right"] | None,
) -> Iterator[Evaluated]:
    """Measure each scan and compare; ``side`` says that scans are crops of that side."""
    for image, label in matched:
        study = read_study(image)
        expert = read_nifti(label)
        if not expert.geometry.matches(study.volume.geometry):
            msg = f"{label.name}: expected labels on the scan's grid, found another; resample them"
            raise ScanError(Refusal.WRONG_GRID, msg)
        segmented = segmented_for(assistant, study, side)
        truth = expert.array.astype(np.int64)
        predicted = paint(study.volume.geometry, segmented.sides)
        names = label_numbers(assistant, segmented)
        agreements = compare(predicted, truth, study.volume.geometry, names)
        records = assistant.measure(study, segmented).records
        judged = [case for record in records for case in _judged(record, agreements, image.name)]
        fared = [_fared(agreement, records, image.name) for agreement in agreements]
        yield Evaluated(image.name, agreements, tuple(judged), tuple(fared))


def grouped(evaluated: Sequence[Evaluated], belong: Sequence[Belongs]) -> tuple[GroupRow, ...]:
    """Tabulate how each structure fares in each group, both sides together."""
    cases = [
        replace(fared, group=group, subject=of.subject)
        for case, of in zip(evaluated, belong, strict=True)
        for group in of.groups
        for fared in case.fared
    ]
    cases.sort(key=lambda case: (case.structure, case.group))
    return by_group(cases, np.random.default_rng(SEED))


def summary(
    evaluated: Sequence[Evaluated], groups: Sequence[str], assistant: Assistant
) -> Mapping[str, Any]:
    """Average over scans, with bootstrap intervals by ``groups``, one name a scan."""
    rng = np.random.default_rng(SEED)
    agreements = [a for case in evaluated for a in case.agreements]
    of = [g for case, g in zip(evaluated, groups, strict=True) for _ in case.agreements]
    judged = [j for case in evaluated for j in case.judged]
    calibration_n = max(len(s) for s in assistant.calibrated.levels[0].volume.values())
    coverage = assistant.exam.coverage
    return {
        "n": len(evaluated),
        "groups": len(set(groups)),
        "metrics": [row.to_dict() for row in summarise(agreements, of, rng)],
        "coverage": [row.to_dict() for row in coverage_table(judged, calibration_n, rng, coverage)]
        if judged
        else [],
        "reach": {
            name: list(reach(scores, coverage))
            for name, scores in assistant.calibrated.levels[0].volume.items()
            if scores
        },
        "cases": [
            {"name": case.name, "agreements": [a.to_dict() for a in case.agreements]}
            for case in evaluated
        ],
    }


def label_numbers(assistant: Assistant, segmented: Segmented) -> dict[str, list[int]]:
    """Say which painted labels make up each structure, of each side where there are two."""
    sides = [side.side for side in segmented.sides]
    parts = sum(len(s.labels) == 1 for s in assistant.organ.structures)
    order = [s.labels[0] for s in assistant.organ.structures if len(s.labels) == 1]
    names: dict[str, list[int]] = {}
    for side in sides:
        offset = parts if side == "right" and len(sides) > 1 else 0
        for structure in assistant.organ.structures:
            key = structure.name if len(sides) == 1 else f"{side} {structure.name}"
            names[key] = [order.index(label) + 1 + offset for label in structure.labels]
    return names


def segmented_for(
    assistant: Assistant, study: Study, side: Literal["left", "right"] | None
) -> Segmented:
    """Segment a scan, or a crop where its side is said; raises ScanError for another picture."""
    if side is not None:
        return assistant.crop(study, side)
    gate.check_head(study.volume)
    return assistant.segment(study.volume, register(study.volume))


def _fared(agreement: Agreement, records: Sequence[Measurement], name: str) -> Fared:
    """Say how one structure of one scan fared, without its side; a withheld interval counts."""
    structure, is_covered = agreement.structure, None
    for record in records:
        names = (record.structure, f"{record.side} {record.structure}")
        if record.quantity == "volume" and agreement.structure in names:
            structure, interval = record.structure, record.interval
            if interval is not None:
                is_covered = interval.lower <= agreement.expert_ml <= interval.upper
    error = agreement.relative_volume_error
    return Fared(structure, "all", name, error, agreement.dice, is_covered)


def _judged(record: Measurement, agreements: Sequence[Agreement], group: str) -> Iterator[Judged]:
    """Put a measured interval beside the expert's volume."""
    if record.interval is None or record.value is None or record.quantity != "volume":
        return
    for agreement in agreements:
        if agreement.structure in (record.structure, f"{record.side} {record.structure}"):
            width = (record.interval.upper - record.interval.lower) / record.value
            yield Judged(
                record.structure, group, agreement.expert_ml, record.value, record.interval, width
            )
