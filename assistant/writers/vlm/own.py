"""A user's own folder: images/, reports/ and, if there are any, masks/ become pairs to train on.

``images/NAME.nii.gz`` or ``images/NAME/`` (DICOM), ``reports/NAME.txt`` (or ``NAME.zh.txt``: the
language), ``masks/NAME.left.nii.gz`` and ``masks/NAME.right.nii.gz`` with the organ's labels on
the image's grid. Knows nothing of models; what has no mask is measured by whoever calls.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

import prompts
from assistant.exams import Exam
from assistant.ledger import Ledger
from assistant.study import read_study
from assistant.views import centre_of, planes
from assistant.writers.vlm.batches import Shown
from assistant.writers.vlm.pictures import CLOSE_MM, view
from assistant.writers.vlm.reports import Judge, Unbound, bind_report
from assistant.writers.vlm.sights import SIDES, Sight, Views
from segment import models, organs
from segment.calibration import Calibrated
from segment.infer import Found
from segment.measure import Wanted, measure
from segment.reading import read_nifti
from segment.segmentation import Segmentation
from segment.volume import Volume

IMAGES, REPORTS, MASKS = "images", "reports", "masks"
EXAMPLE = "The volume of the left hippocampus is 3.52 mL."  # a sentence that binds and holds
SUFFIXES = (".nii.gz", ".nii", "")  # the last is a folder's
BACKGROUND = "background"
TRACED = "traced by hand"


@dataclass(frozen=True, eq=False)
class Measured:
    """A study of the user's: its scan, what was segmented on which side, and its ledger."""

    volume: Volume
    sides: Mapping[str, Segmentation]
    ledger: Ledger


@dataclass(frozen=True, eq=False)
class Own:
    """What a folder gives to train on, and what of its reports could not be bound."""

    shown: tuple[Shown, ...]
    unbound: tuple[Unbound, ...]
    studies: Mapping[str, Measured]

    def views(self, image_px: int) -> Views:
        """Show the three planes through each side of each study."""
        return {
            (name, side): partial(_view, study.volume, segmentation, image_px)
            for name, study in self.studies.items()
            for side, segmentation in study.sides.items()
        }


MeasureScan = Callable[[Path], Measured]


def is_own(folder: Path) -> bool:
    """Tell whether a folder is a user's own: it has reports."""
    return (folder / REPORTS).is_dir()


def read_own(folder: Path, exam: Exam, judge: Judge, measure_scan: MeasureScan) -> Own:
    """Read a folder and bind its reports; raises ValueError where nothing of it can be used.

    ``measure_scan`` is called for scans without a mask.
    """
    shown: list[Shown] = []
    unbound: list[Unbound] = []
    studies: dict[str, Measured] = {}
    for path, name, language in _reports(folder):
        if name not in studies:
            studies[name] = _measured(folder, name, exam, measure_scan)
        study, words = studies[name], prompts.load(language)
        text = path.read_text(encoding="utf-8")
        pair, left = bind_report(path.stem, text, study.ledger, exam, words, judge)
        unbound += left
        if pair is not None:
            sights = tuple(Sight(name, side) for side in SIDES if side in study.sides)
            shown.append(Shown(pair, sights))
    if not shown:
        msg = f"{folder.name}: expected reports with numbers that were measured, found none bound"
        raise ValueError(f"{msg} in {len(studies)} studies; {_example(unbound)}")
    return Own(tuple(shown), tuple(unbound), studies)


def _example(unbound: list[Unbound]) -> str:
    if not unbound:
        return f"write sentences such as '{EXAMPLE}'"
    return f"the first: {unbound[0].text!r} {unbound[0].reason}"


def _reports(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """List the reports, each with the name of its study and its language."""
    for path in sorted((folder / REPORTS).glob("*.txt")):
        name, _, language = path.stem.rpartition(".")
        if name and language in prompts.languages():
            yield path, name, language
        else:
            yield path, path.stem, "en"


def _measured(folder: Path, name: str, exam: Exam, measure_scan: MeasureScan) -> Measured:
    """Measure one study: by its masks, or else by whoever calls."""
    image = next(
        (p for suffix in SUFFIXES if (p := folder / IMAGES / f"{name}{suffix}").exists()), None
    )
    if image is None:
        msg = f"{name}: expected its scan in {IMAGES}, found none; name it as its report"
        raise ValueError(msg)
    masks = {side: folder / MASKS / f"{name}.{side}.nii.gz" for side in SIDES}
    traced = {side: path for side, path in masks.items() if path.is_file()}
    return measure_by_masks(image, traced, exam) if traced else measure_scan(image)


def measure_by_masks(image: Path, masks: Mapping[str, Path], exam: Exam) -> Measured:
    """Measure masks as the segmenter's own are; raises ValueError for labels of another kind.

    Their intervals are those of the segmenter's calibration: a tracing has none of its own.
    """
    volume, organ = read_study(image).volume, organs.load(exam.organs[0])
    structures = (BACKGROUND, *dict.fromkeys(x for s in organ.structures for x in s.labels))
    found = [
        Found(_side(side), _segmentation(path, side, volume, structures), (0, 0, 0), 0.0, False)
        for side, path in masks.items()
    ]
    wanted = Wanted(exam.structures, exam.asymmetry, exam.coverage, exam.widest_relative_interval)
    calibrated: Calibrated = models.calibrated(exam.segmenter)
    spacing_mm = volume.geometry.spacing_mm
    records = measure(found, organ, wanted, calibrated, spacing_mm, volume.date)
    return Measured(volume, {f.side: f.segmentation for f in found}, Ledger(records))


def _side(name: str) -> Literal["left", "right"]:
    return "left" if name == "left" else "right"


def _segmentation(
    path: Path, side: str, volume: Volume, structures: tuple[str, ...]
) -> Segmentation:
    """Read a mask as a segmentation that is certain."""
    labels = read_nifti(path)
    if labels.geometry.shape != volume.geometry.shape or not np.allclose(
        labels.geometry.affine, volume.geometry.affine, atol=1e-3
    ):
        msg = f"{path.name}: expected the grid of its scan, found another; resample the mask"
        raise ValueError(msg)
    if strange := sorted({*np.unique(labels.array).tolist()} - {*range(len(structures))}):
        msg = f"{path.name}: expected labels 0 to {len(structures) - 1}, found {strange[:3]}"
        raise ValueError(msg)
    numbers = np.arange(len(structures))[:, None, None, None]
    probability = (labels.array[None] == numbers).astype(np.float32)[None]
    return Segmentation(probability, structures, _side(side), volume.geometry, TRACED)


def _view(
    volume: Volume, segmentation: Segmentation, image_px: int
) -> Float32[np.ndarray, "picture h w"]:
    """Cut the three planes through the middle of what was segmented."""
    return view(volume, planes(centre_of(segmentation), "radiological"), CLOSE_MM, image_px)
