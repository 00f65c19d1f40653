"""The heads that the fusion networks learn from and are judged on, and the crops of each.

There are two heads with images (patients 07 and 26 of Lesjak et al. 2017) and 29 masks of lesions.
A network learns from one head and is judged on the other. The one it learns from is shown with its
own lesions, and with those of other patients blended in (``segment.synthetic_lesions``), whose
looks are learned from that head alone. The mask of the head that judges is never blended in.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from segment.geometry import Geometry
from segment.models.fused import scaled
from segment.reading import read_nifti
from segment.synthetic_lesions import Head, blended, crops, learned, placed
from tests.shared_data import shared_data

HEADS = ("patient07", "patient26")
FILES = {"T1": "t1", "T1c": "t1post", "T2": "t2", "FLAIR": "flair"}
RESERVED = ("patient03", "patient09", "patient15", "patient22", "patient27")  # for calibration
SIZE = (40, 56, 40)  # voxels: a training patch, and room to turn it
OF_MASK, OF_RESERVED, REAL = 8, 4, 64  # crops of each synthetic head, and of the real one
SEED = 0
CASE = "lesions_{:03d}.nii.gz"
# Limits of what is tissue and not fluid, in medians of the brain.
LEAST, MOST = {"T1": 0.55, "FLAIR": 0.6}, {"T2": 2.0}


@dataclass(frozen=True, eq=False)
class Read:
    """A head as far as its brain goes, whose skull was taken off: that part of the files' grid."""

    head: Head
    part: tuple[slice, ...]
    geometry: Geometry


def read_head(patient: str) -> Read:
    """Read the four sequences and the consensus mask of a patient."""
    folder = shared_data("ms_crosssectional", patient)
    volumes = [read_nifti(folder / f"{name}.nii.gz") for name in FILES.values()]
    brain = np.all([np.abs(volume.array) > 1e-3 for volume in volumes], axis=0)
    part = extent(brain)
    sequences = np.stack([scaled(volume.array, brain)[part] for volume in volumes])
    brain = brain[part]
    by_role = dict(zip(FILES, sequences, strict=True))
    tissue = brain.copy()
    for role, least in LEAST.items():
        tissue &= by_role[role] > least
    for role, most in MOST.items():
        tissue &= by_role[role] < most
    lesions = read_nifti(folder / "gold_standard.nii.gz").array[part] > 0
    start = (part[0].start, part[1].start, part[2].start)
    geometry = volumes[0].geometry.block(start, lesions.shape)
    return Read(Head(sequences, lesions, tissue), part, geometry)


def extent(brain: np.ndarray) -> tuple[slice, ...]:
    """Return the part of a grid that a brain fills."""
    places = np.argwhere(brain)
    return tuple(slice(*ends) for ends in zip(places.min(0), places.max(0) + 1, strict=True))


def masks() -> dict[str, np.ndarray]:
    """Read all masks of lesions, by patient."""
    folder = shared_data("ms_crosssectional", "lesion_masks")
    found = sorted(folder.glob("*.nii.gz"))
    return {path.name.split(".")[0]: read_nifti(path).array > 0 for path in found}


def crops_of(patient: str, reserved: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the crops of one head that networks learn from, or those that are reserved."""
    rng = np.random.default_rng([SEED, HEADS.index(patient), int(reserved)])
    found = read_head(patient)
    head, look = found.head, learned(found.head)
    for name, mask in masks().items():
        if name in HEADS or (name in RESERVED) != reserved:
            continue
        synthetic = blended(head, placed(mask[found.part], head, rng), look, rng)
        yield from crops(synthetic, SIZE, OF_RESERVED if reserved else OF_MASK, rng)
    if not reserved:
        yield from crops(head, SIZE, REAL, rng)


def write(folder: Path) -> None:
    """Write all crops and their split, as ``voxcite train segmenter`` reads them."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    number = 0
    cases: dict[tuple[str, bool], list[int]] = {}
    for reserved in (False, True):
        for patient in HEADS:
            mine = cases.setdefault((patient, reserved), [])
            for image, label in crops_of(patient, reserved):
                number += 1
                mine.append(number)
                _save(np.moveaxis(image, 0, 3), folder / "images" / CASE.format(number))
                _save(label.astype(np.uint8), folder / "labels" / CASE.format(number))
    learned_from = [cases[patient, False] for patient in HEADS]
    split = {
        "train": [case for mine in learned_from for case in mine],
        "val": [case for patient in HEADS for case in cases[patient, True]],
        "folds": learned_from,
        "reserved": {patient: cases[patient, True] for patient in HEADS},
    }
    (folder / "split.json").write_text(json.dumps(split), encoding="utf-8")


def _save(array: np.ndarray, path: Path) -> None:
    image = nibabel.Nifti1Image(array, np.eye(4))
    if array.dtype == np.float32:
        image.header.set_data_dtype(np.int16)
    image.to_filename(path)
