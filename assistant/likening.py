"""Intervals weighted for scans of a user that nobody labelled: what an assistant sees in them.

Knows nothing of how cases are weighted or of who shows the steps.
"""

from collections.abc import Generator
from dataclasses import dataclass
from importlib.resources import as_file
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assistant.building import weights_file
from assistant.evaluation import segmented_for
from assistant.pipeline import Assistant
from assistant.study import read_study
from assistant.written import written_whole
from segment import models
from segment.adapt.prepare import Progress, Step
from segment.calibration import Calibrated
from segment.crossfit import WEIGHTS, read_judged
from segment.errors import Refusal, ScanError
from segment.familiarity import FamiliarLevel
from segment.infer import Found
from segment.local.weigh import weighted

FEWEST = 10  # scans, of which a likelihood is to be known


@dataclass(frozen=True)
class LikeRequest:
    """What a user asks for; ``side`` is that of crops, None for heads."""

    images: Path
    side: Literal["left", "right"] | None = None


def likened(
    assistant: Assistant, asked: LikeRequest, output: Path
) -> Generator[Step, None, Calibrated]:
    """Weigh the shipped cases for unlabelled scans; write a folder that ``--weights`` takes.

    Raises ScanError for too few scans, for such as have no level, and for scans so unlike the
    calibration's that too few cases are left.
    """
    scans = sorted(p for p in asked.images.iterdir() if p.name.endswith((".nii", ".nii.gz")))
    if len(scans) < FEWEST:
        msg = f"{asked.images.name}: expected {FEWEST} scans at least, found {len(scans)}; add more"
        raise ScanError(Refusal.BAD_OPTION, msg)
    with written_whole(output):
        pass  # a folder that cannot be written to is refused before any work
    seen: list[Any] = []
    coarsest: tuple[float, ...] = (0.0,)
    for done, path in enumerate(scans, start=1):
        study = read_study(path)
        spacing_mm = study.volume.geometry.spacing_mm
        coarsest = max(coarsest, spacing_mm, key=lambda spacing: sorted(spacing)[::-1])
        sides = segmented_for(assistant, study, asked.side).sides
        seen += [s.features for s in sides if isinstance(s, Found) and s.features is not None]
        yield Progress("looking", done, len(scans))
    familiar = _level(assistant, coarsest, len(seen))
    name = assistant.settings.segmenter or assistant.exam.segmenter
    with as_file(models.place(name).joinpath("cases.csv")) as cases:
        judged = read_judged(cases)
    found = weighted(assistant.calibrated, familiar, judged, np.stack(seen), coarsest)
    with weights_file(name, assistant.settings) as weights, written_whole(output) as folder:
        (folder / WEIGHTS).write_bytes(weights.read_bytes())
        (folder / "calibration.json").write_text(found.to_json(), encoding="utf-8")
    return found


def _level(assistant: Assistant, spacing_mm: tuple[float, ...], seen: int) -> FamiliarLevel:
    """Return the cases of the scans' slice thickness; raises ScanError where there are none."""
    level = assistant.calibrated.level(spacing_mm)
    if level is None or seen < FEWEST:
        msg = f"expected {FEWEST} pictures with features, of slices that are calibrated, found"
        msg += f" {seen} of {max(spacing_mm):.3g} mm; give scans that the networks can measure"
        raise ScanError(Refusal.BAD_OPTION, msg)
    for one in assistant.familiar.levels:
        if one.spacing_mm == level.spacing_mm:
            return one
    msg = "expected networks whose calibration cases' features are kept, found others; leave"
    raise ScanError(Refusal.BAD_OPTION, f"{msg} --weights and --network out")
