"""What a report says of where it comes from: scan, settings, networks, draft, earlier studies.

Nothing in it names a patient or a path. Knows nothing of how any of these was made.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from assistant.draft import Draft
from assistant.entropy import map_steps
from assistant.folder import ENTROPY, MUTUAL
from assistant.maps import map_sha256
from assistant.settings import Settings
from segment import models
from segment.calibration import NO_CALIBRATION, Calibrated
from segment.change import Visit
from segment.infer import Found, Side, paint
from segment.intervals import POOLED
from segment.masks import Mask
from segment.masks.pieces import SUPPLIED, Piece
from segment.models import FieldSegmenter, Segmenter
from segment.register import SEED, Registration
from segment.repeatability import Repeatability
from segment.volume import Volume

NEAREST = "nearest label"  # how a segmentation came onto the grid of its scan
VERSIONED = ("voxcite", "torch", "monai", "SimpleITK", "numpy", "scipy")


def of_settings(settings: Settings) -> dict[str, Any]:
    """List the settings; of folders their names alone."""
    plan = asdict(settings)
    if settings.model is not None and Path(settings.model).exists():
        plan["model"] = Path(settings.model).resolve().name
    if settings.segmenter is not None and models.is_own(settings.segmenter):
        kind, _, folder = settings.segmenter.partition(":")
        plan["segmenter"] = f"{kind}:{Path(folder).resolve().name}"
    for key in ("adapter", "weights", "repeatability"):
        if plan[key] is not None:
            plan[key] = Path(plan[key]).resolve().name
    return plan


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    return tuple((name, version(name)) for name in VERSIONED)


def of_versions() -> dict[str, str]:
    """Say which packages measure and write; they are looked up once."""
    return dict(_versions())


def of_segmenter(segmenter: Segmenter) -> dict[str, Any]:
    """Name the networks that segmented."""
    return {
        "segmenter": segmenter.name,
        "model_sha256": segmenter.weights_sha256,
        "seeds": list(segmenter.seeds),
        "runtime": segmenter.runtime,
    }


def of_own(segmenter: FieldSegmenter) -> dict[str, Any]:
    """Name the networks that the user brought."""
    return {"segmenter": segmenter.name, "model_sha256": segmenter.weights_sha256}


def of_calibration(calibrated: Calibrated) -> dict[str, Any]:
    """Say what the intervals come from."""
    used = calibrated if calibrated.n else NO_CALIBRATION
    told = {"calibration": used.id, "calibration_n": calibrated.n}
    if calibrated.intervals != POOLED:
        told["intervals"] = calibrated.intervals
    return told


def of_draft(draft: Draft) -> dict[str, Any]:
    """Say who wrote a draft and with what."""
    seed = {} if draft.seed is None else {"seed": draft.seed}
    return {"writer": draft.writer, **draft.facts, **seed}


def of_volume(volume: Volume) -> dict[str, Any]:
    """Describe a scan's grid and what its file says of how it was made."""
    return {
        "modality": volume.modality,
        "sequence": volume.sequence,
        "shape": list(volume.geometry.shape),
        "spacing_mm": _rounded(volume.geometry.spacing_mm),
        **volume.facts,
    }


def of_registration(registration: Registration) -> dict[str, Any]:
    """Describe how well a head was found."""
    return {
        "similarity": round(registration.similarity, 3),
        "determinant": round(registration.determinant, 3),
        "rotation_degrees": round(registration.rotation_degrees, 1),
        "inside": round(registration.inside, 3),
        "seed": SEED,
    }


def of_labels(volume: Volume, sides: Sequence[Side]) -> dict[str, str]:
    """Name the labels and the maps that belong to a report by the hashes of their voxels."""
    found = [side for side in sides if isinstance(side, Found)]
    return {
        "segmentation_sha256": map_sha256(paint(volume.geometry, sides)),
        "entropy_sha256": map_sha256(map_steps(ENTROPY, volume.geometry, found)),
        "mutual_information_sha256": map_sha256(map_steps(MUTUAL, volume.geometry, found)),
    }


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]


def of_mask(mask: Mask) -> dict[str, str]:
    """Say how a supplied segmentation was written, and whether it came onto the scan's grid."""
    return {
        "format": mask.format,
        "labels": mask.table.name,
        "resampled": NEAREST if mask.is_resampled else "no",
    }


def has_resampled(study: Mask | None, earlier: Sequence[Visit]) -> bool:
    """Tell whether the supplied segmentation of any examination lay on another grid."""
    made = [visit.made_from.get("segmentation", {}) for visit in earlier]
    is_of_study = study is not None and study.is_resampled
    return is_of_study or any(one.get("resampled") == NEAREST for one in made)


def of_supplied(mask: Mask | None, pieces: Sequence[Piece]) -> dict[str, Any]:
    """Say what a supplied segmentation was, and what numbers its pieces are written with."""
    told: dict[str, Any] = {}
    if mask is not None:
        told = {
            "segmenter": SUPPLIED,
            "segmentation": of_mask(mask),
            "segmentation_sha256": mask.sha256,
            "labels_left_out": list(mask.table.left_out(mask.held)),
        }
    if pieces:
        numbers = enumerate(pieces, start=1)
        told["labels_written"] = {f"{p.structure.name} {p.side}": n for n, p in numbers}
    return told


def of_comparison(earlier: Sequence[Visit], repeatability: Repeatability) -> dict[str, Any]:
    """Say which earlier studies were compared, and by whose measurement error."""
    if not earlier:
        return {}
    prior = [dict(visit.made_from) for visit in earlier]
    return {"prior": prior, "repeatability": repeatability.id}
