"""What an exam's networks make of scans without labels. Knows nothing of which to label."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from assistant import gate
from assistant.pipeline import Assistant
from assistant.steps import Segmented
from assistant.study import Study, read_study
from segment.canonical import canonical
from segment.geometry import Geometry
from segment.infer import Found, side_box
from segment.measure import VOLUME, agreement
from segment.measurement import Measurement
from segment.models import Box
from segment.models.windows import middle, scaled
from segment.register import Registration
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
        looks=_looks(study, segmented.registration, assistant),
    )


def looks(assistant: Assistant, path: Path, side: Which) -> Float32[np.ndarray, " feature"]:
    """Say what a scan looks like, without segmenting it; raises ScanError as ``candidate``."""
    study = read_study(str(path), modality=assistant.exam.modality)
    if side is not None:
        gate.check_crop(study.volume)
        return _looks(study, None, assistant)
    steps = assistant.steps(study)
    return _looks(study, next(s for s in steps if isinstance(s, Registration)), assistant)


def _width(record: Measurement) -> float:
    """Return how wide an interval is beside its value; infinite where there is none."""
    if record.interval is None or not record.value:
        return math.inf
    return (record.interval.upper - record.interval.lower) / record.value


def _looks(
    study: Study, registration: Registration | None, assistant: Assistant
) -> Float32[np.ndarray, " feature"]:
    """Average what the looks of each box are, on the scale that networks see."""
    boxes = (Box(*sample(study.volume, grid)) for grid in _grids(study, registration, assistant))
    looks = [looks_of(scaled(box, middle(box.array.shape))) for box in boxes]
    return np.asarray(np.mean(looks, axis=0))


def _grids(
    study: Study, registration: Registration | None, assistant: Assistant
) -> Iterator[Geometry]:
    """Lay the grids that networks look at: that of a crop, or one a side of a head."""
    if registration is None:
        yield canonical(study.volume.geometry)
        return
    for side in assistant.organ.sides:
        yield side_box(registration, assistant.organ.centre_mni_mm[side], side)
