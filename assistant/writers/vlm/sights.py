"""The pictures that training shows: of crops, in three planes, with a fault of known strength.

What a fault is called in the prompt and what was done to the picture come from one draw, so that
they agree. Knows nothing of models.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from assistant.readers.siglip.artefacts import MAKE
from assistant.views import planes
from assistant.writers.phrasings import Part
from assistant.writers.vlm.data import QUALITY, Pair
from assistant.writers.vlm.ledgers import measured_cases, subjects
from assistant.writers.vlm.pictures import CLOSE_MM, IMAGE_PX, view, windowed
from segment.reading import read_nifti

PLANES = 3
SIDES = ("left", "right")
STRENGTHS = 4  # steps from the weakest to the strongest fault, so that pictures come again
SHARED_SEED = 29  # of what is random in a fault
CROP_MM = 1.0  # the crops' voxels
FAULTY = 0.5  # of the pictures that the projector learns from

Grey = Float32[np.ndarray, "picture h w"]
Views = Mapping[tuple[str, str], Callable[[], Grey]]


@dataclass(frozen=True)
class Sight:
    """Three pictures of one side of one scan; ``fault`` is empty where nothing was done to them."""

    scan: str
    side: str
    fault: str = ""
    strength: float = 0.0

    @property
    def said(self) -> str:
        """What the projector learns to tell of these pictures, without a digit."""
        return f"{self.side} side: {self.fault or 'no fault'}"


@dataclass(frozen=True, eq=False)
class Gallery:
    """Where the pictures of scans come from; ``strengths`` are those of faults."""

    views: Views
    strengths: tuple[float, ...]

    def pixels(self, sight: Sight) -> Grey:
        """Make the pictures of a sight: the same ones every time."""
        clean = self.views[sight.scan, sight.side]()
        if not sight.fault:
            return clean
        make = MAKE[sight.fault.replace(" ", "_")]
        rng = np.random.default_rng([SHARED_SEED, *sight.scan.encode()])
        native = CROP_MM * clean.shape[-1] / CLOSE_MM
        done = np.stack([make(grey, sight.strength, rng, (native, native)) for grey in clean])
        return windowed(done.astype(np.float32), np.ones(done.shape, dtype=bool))

    def of_pair(self, pair: Pair, rng: np.random.Generator) -> tuple[Sight, ...]:
        """Say which pictures go with a pair: none with a comparison or an invented ledger."""
        if pair.task.compared:
            return ()
        shown = [
            (crop_name(case), side)
            for side, case in zip(SIDES, pair.cases, strict=True)
            if case is not None and (crop_name(case), side) in self.views
        ]
        fault = pair.task.quality[0] if pair.task.quality else ""
        strength = self._strength(rng) if fault else 0.0
        return tuple(Sight(scan, side, fault, strength) for scan, side in shown)

    def draw(self, rng: np.random.Generator) -> Sight:
        """Draw any picture there is, half of them with a fault."""
        known = sorted(self.views)
        scan, side = known[int(rng.integers(len(known)))]
        if rng.random() >= FAULTY:
            return Sight(scan, side)
        return Sight(scan, side, QUALITY[int(rng.integers(len(QUALITY)))], self._strength(rng))

    def _strength(self, rng: np.random.Generator) -> float:
        return self.strengths[int(rng.integers(len(self.strengths)))]


def strengths_between(weakest: float, strongest: float) -> tuple[float, ...]:
    """List the strengths that faults come in."""
    return tuple(float(value) for value in np.linspace(weakest, strongest, STRENGTHS))


def everything_said() -> tuple[str, ...]:
    """List all that can be said of a sight."""
    return tuple(Sight("", side, fault).said for side in SIDES for fault in ("", *QUALITY))


def crop_name(case: int) -> str:
    """Name the file of a case of the training set."""
    return f"hippocampus_{case:03d}.nii.gz"


def crop_views(
    images: Path, labels: Path, image_px: int = IMAGE_PX, part: Part = "training"
) -> Views:
    """List the crops of a part's subjects, each as a left side and, mirrored, as a right one.

    Raises ValueError where a file is not there.
    """
    found: dict[tuple[str, str], Callable[[], Grey]] = {}
    for case in cases_of(part):
        name = crop_name(case)
        for folder in (images, labels):
            if not (folder / name).is_file():
                msg = f"expected {name} in {folder.name}, found none; --data gives the data folder"
                raise ValueError(msg)
        for side in SIDES:
            make = partial(crop_view, images / name, labels / name, side, image_px)
            found[name, side] = cache(make)  # its faults are made of the same pictures
    return found


def cases_of(part: Part) -> Iterable[int]:
    """List the cases of a part's subjects that networks were measured on."""
    wanted = set(subjects(part))
    return sorted({case for case, _ in measured_cases() if (case + 1) // 2 in wanted})


def crop_view(image: Path, label: Path, side: str, image_px: int) -> Grey:
    """Cut the three planes through the middle of a structure.

    Every crop of the training set shows a left hippocampus; mirrored it is a right one, as the
    segmenter takes it too.
    """
    volume, traced = read_nifti(image), read_nifti(label)
    inside = np.argwhere(traced.array > 0).astype(np.float64)
    indices = inside.mean(axis=0, keepdims=True)
    centre_mm = np.asarray(traced.geometry.to_world(indices)[0])
    pixels = view(volume, planes(centre_mm, "radiological"), CLOSE_MM, image_px)
    if side == "left":
        return pixels
    mirrored = pixels.copy()
    mirrored[:2] = pixels[:2, :, ::-1]  # axial and coronal; a sagittal plane is its own mirror
    return mirrored
