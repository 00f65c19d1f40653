"""What a network is shown while it learns. Knows nothing of networks or of their steps."""

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import (
    RandAdjustContrastd,
    RandBiasFieldd,
    RandGaussianNoised,
    RandGaussianSmoothd,
)
from monai.transforms.spatial.dictionary import RandAffined, RandSimulateLowResolutiond
from torch import Tensor

from segment.models import Box
from segment.models.windows import middle, scaled

IMAGE_AND_LABEL = ("image", "label")


def read_cases(images: Path, labels: Path, names: Sequence[str]) -> list[dict[str, Tensor]]:
    """Read crops and their labels into memory, normalised, as ``1 i j k`` tensors."""
    cases = []
    for name in names:
        image = np.asarray(nibabel.Nifti1Image.from_filename(images / name).dataobj, np.float32)
        label = np.asarray(nibabel.Nifti1Image.from_filename(labels / name).dataobj, np.float32)
        box = Box(image, np.ones(image.shape, dtype=bool))
        normalised = torch.from_numpy(scaled(box, middle(image.shape)))
        cases.append({"image": normalised[None], "label": torch.from_numpy(label)[None]})
    return cases


def augmentation(patch: Sequence[int], seed: int, strength: float = 1.0) -> Compose:
    """Vary pose, resolution and contrast; never left-right: every crop is a left hippocampus.

    ``strength``, 0 to 1, scales angles, sizes and how often a picture is made worse.
    """
    transform = Compose(
        [
            RandAffined(
                IMAGE_AND_LABEL,
                prob=1.0,
                rotate_range=[0.3 * strength] * 3,
                scale_range=[0.12 * strength] * 3,
                translate_range=[4.0] * 3,
                spatial_size=list(patch),
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
            RandSimulateLowResolutiond("image", prob=0.2 * strength, zoom_range=(0.4, 1.0)),
            RandGaussianSmoothd("image", prob=0.15 * strength),
            RandBiasFieldd("image", prob=0.2 * strength, coeff_range=(0.0, 0.15)),
            RandAdjustContrastd("image", prob=0.3 * strength, gamma=(0.6, 1.7)),
            RandGaussianNoised("image", prob=0.3 * strength, std=0.08),
        ]
    )
    transform.set_random_state(seed)
    return transform
