"""Windows of scans without labels, drawn anywhere in them. Knows nothing of networks."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from segment.canonical import canonical
from segment.errors import Refusal, ScanError
from segment.models import Box
from segment.models.training.cases import augmentation
from segment.models.windows import SCALED_OVER, middle, scaled
from segment.reading import read_nifti
from segment.reading.nifti import is_nifti
from segment.reading.source import sha256
from segment.resample import sample
from segment.volume import Volume

LEAST_INSIDE = 0.5  # of a window's middle that must be more than the scan's background
TRIES = 20
STRENGTH = 1.0  # of the augmentation, as in training


def find_pictures(folders: Sequence[Path], others: Sequence[Volume] = ()) -> list[Path]:
    """List every NIfTI file below some folders; raises ScanError where there is no scan at all."""
    paths = sorted(path for folder in folders for path in folder.rglob("*") if is_nifti(path))
    if not paths and not others:
        msg = "expected scans as NIfTI in the folders of --images, found none; give others"
        raise ScanError(Refusal.EMPTY_FOLDER, msg)
    return paths


def digest_of(paths: Sequence[Path], others: Sequence[Volume] = ()) -> str:
    """Return one hash of the contents of scans in their order, whatever they are called."""
    hashes = [*(sha256(path) for path in paths), *(volume.sha256 for volume in others)]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def read_pictures(
    paths: Sequence[Path], others: Iterable[Volume] = ()
) -> list[Float32[np.ndarray, "_ _ _"]]:
    """Read NIfTI files, and other volumes, on 1 mm grids; raises ScanError for one it cannot."""
    pictures = [_on_1_mm(read_nifti(path)) for path in paths]
    return pictures + [_on_1_mm(volume) for volume in others]


class Windows:
    """Draws augmented windows; what it draws depends on seed and step alone."""

    def __init__(
        self, pictures: Sequence[Float32[np.ndarray, "_ _ _"]], patch: Sequence[int], seed: int
    ) -> None:
        self.pictures, self.patch, self.seed = pictures, tuple(patch), seed

    def views(self, step: int, count: int, views: int) -> list[Float32[Tensor, "batch 1 i j k"]]:
        """Draw ``count`` places and return so many batches that show them, each in its own way."""
        rng = np.random.default_rng([self.seed, step])
        places = [self._place(rng) for _ in range(count)]
        batches = []
        for _ in range(views):
            augment = augmentation(self.patch, int(rng.integers(2**31)), STRENGTH)
            shown = [augment({"image": p, "label": torch.zeros_like(p)})["image"] for p in places]
            batches.append(torch.stack([one.as_tensor() for one in shown]))
        return batches

    def _place(self, rng: np.random.Generator) -> Float32[Tensor, "1 i j k"]:
        """Cut a region around a place in a scan, on the scale that networks see."""
        picture = self.pictures[int(rng.integers(len(self.pictures)))]
        size = np.minimum(np.array(self.patch) + SCALED_OVER, picture.shape)
        background = float(np.percentile(picture[::4, ::4, ::4], 20))
        for _ in range(TRIES):
            start = rng.integers(0, np.array(picture.shape) - size + 1)
            region = picture[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))]
            core = region[tuple(slice(n // 4, n - n // 4) for n in region.shape)]
            if (core > background).mean() >= LEAST_INSIDE:
                break
        box = Box(np.ascontiguousarray(region), np.ones(region.shape, bool))
        return torch.from_numpy(scaled(box, middle(region.shape)))[None]


def _on_1_mm(volume: Volume) -> Float32[np.ndarray, "i j k"]:
    array, _ = sample(volume, canonical(volume.geometry))
    return array
