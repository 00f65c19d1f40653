"""What an exam's networks make of scans without labels. Knows nothing of which to label."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from assistant.pipeline import Assistant
from assistant.steps import Segmented
from assistant.study import Study, read_study
from segment.canonical import canonical
from segment.infer import Found, side_box
from segment.measure import VOLUME, agreement
from segment.measurement import Measurement
from segment.models import Box
from segment.models.windows import middle, scaled
from segment.resample import sample
from segment.suggest import Candidate, looks_of

Which = Literal["left", "right"] | None


def candidate(assistant: Assistant, path: Path, side: Which) -> Candidate:
    """Segment one scan, a box of one side or a head, and say how sure the networks are.

    Raises ScanError for what the exam cannot measure.
    """
    study = read_study(str(path), modality=assistant.exam.modality)
    if side is not None:
        segmented = assistant.crop(study, side)
    else:
        steps = assistant.steps(study)
        segmented = next(step for step in steps if isinstance(step, Segmented))
    records = assistant.measure(study, segmented).records
    found = [one.segmentation for one in segmented.sides if isinstance(one, Found)]
    agreements = [agreement(one, s) for one in found for s in assistant.organ.structures]
    return Candidate(
        name=path.name,
        agreement=min(agreements, default=0.0),
        width=max((_width(record) for record in records if record.quantity == VOLUME), default=0.0),
        looks=np.mean([looks_of(box) for box in _boxes(study, segmented, assistant)], axis=0),
    )


def _width(record: Measurement) -> float:
    """Return how wide an interval is beside its value; infinite where there is none."""
    if record.interval is None or not record.value:
        return math.inf
    return (record.interval.upper - record.interval.lower) / record.value


def _boxes(study: Study, segmented: Segmented, assistant: Assistant) -> Iterator[np.ndarray]:
    """Cut what the networks looked at, on the scale that they see."""
    registration = segmented.registration
    for side in segmented.sides:
        if registration is None:
            grid = canonical(study.volume.geometry)
        else:
            grid = side_box(registration, assistant.organ.centre_mni_mm[side.side], side.side)
        box = Box(*sample(study.volume, grid))
        yield scaled(box, middle(box.array.shape))
