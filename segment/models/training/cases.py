"""What a network is shown while it learns. Knows nothing of networks or of their steps."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import torch
from jaxtyping import Float32
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import (
    RandAdjustContrastd,
    RandBiasFieldd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
)
from monai.transforms.spatial.dictionary import (
    RandAffined,
    RandFlipd,
    RandSimulateLowResolutiond,
)
from nibabel.filebasedimages import ImageFileError
from torch import Tensor

from segment.models import Box
from segment.models.windows import middle, scaled

IMAGE_AND_LABEL = ("image", "label")
DROPPED = 0.5  # of the batches lack a sequence, and of these as many lack another


def read_cases(
    images: Path,
    labels: Path,
    names: Sequence[str],
    roles: int = 0,
    structures: Sequence[str] = (),
) -> list[dict[str, Tensor]]:
    """Read crops and their labels into memory, normalised, as ``1 i j k`` tensors.

    Crops of several sequences are ``i j k role`` files that are on one scale already, and become
    ``role i j k``. Raises ValueError for one that has not as many as ``roles`` says, for voxels
    that are no number, and for labels of none of ``structures``, where these are given.
    """
    cases = []
    for name in names:
        label = _voxels(labels / name, "labels")
        if structures:
            _check_labels(label, name, structures)
        if roles:
            cases.append(_of_sequences(images / name, label, roles))
            continue
        image = _voxels(images / name, "an image")
        box = Box(image, np.ones(image.shape, dtype=bool))
        normalised = torch.from_numpy(scaled(box, middle(image.shape)))
        cases.append({"image": normalised[None], "label": torch.from_numpy(label)[None]})
    return cases


def _voxels(path: Path, kind: str) -> Float32[np.ndarray, "..."]:
    """Read voxels; raises ValueError for any that are no number, and for a broken file."""
    try:
        array = np.asarray(nibabel.Nifti1Image.from_filename(path).dataobj, np.float32)
    except FileNotFoundError:
        raise
    except (ImageFileError, OSError, EOFError, zlib.error) as error:
        msg = f"{path.name}: expected {kind} as NIfTI, found a file that cannot be read"
        raise ValueError(f"{msg}; copy it again or leave the case out") from error
    if wrong := int(np.count_nonzero(~np.isfinite(array))):
        msg = f"{path.name}: expected {kind} of finite numbers, found {wrong} voxels that are none"
        raise ValueError(f"{msg}; export it again or leave the case out")
    return array


def _check_labels(label: Float32[np.ndarray, "..."], name: str, structures: Sequence[str]) -> None:
    """Raise ValueError for a label that is none of the structures, which are numbered from 0."""
    values = np.unique(label)
    if wrong := [f"{v:g}" for v in values if v not in range(len(structures))]:
        msg = f"{name}: expected labels from 0 to {len(structures) - 1}, as the plan's structures"
        raise ValueError(f"{msg}, found {', '.join(wrong[:5])}; correct the labels or the plan")


def _of_sequences(image: Path, marked: Float32[np.ndarray, "..."], roles: int) -> dict[str, Tensor]:
    """Read one crop of several sequences."""
    array = _voxels(image, "an image")
    if array.ndim != 4 or array.shape[3] != roles:
        msg = f"{image.name}: expected a crop of {roles} sequences, found the shape {array.shape}"
        raise ValueError(f"{msg}; give the crops that the network is trained on")
    first = np.ascontiguousarray(np.moveaxis(array, 3, 0))
    return {"image": torch.from_numpy(first), "label": torch.from_numpy(marked)[None]}


def without_some(
    images: Float32[Tensor, "batch role i j k"], seed: Sequence[int]
) -> Float32[Tensor, "batch role i j k"]:
    """Set sequences of a whole batch to 0, as a network sees them that are missing; never all.

    Source: modality dropout (Neverova et al. 2016, "ModDrop"). A batch lacks the same ones
    throughout, so that norms over it are of sequences that are there.
    """
    rng = np.random.default_rng(list(seed))
    roles = images.shape[1]
    count = min(int(rng.geometric(1 - DROPPED)) - 1, roles - 1)
    dropped = rng.permutation(roles)[:count]
    is_kept = torch.ones(roles)
    is_kept[dropped.tolist()] = 0
    return images * is_kept[:, None, None, None]


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


def sequence_augmentation(patch: Sequence[int], seed: int, strength: float = 1.0) -> Compose:
    """Vary pose, side, resolution and contrast of a crop of several sequences of a whole head.

    Their first axis runs from side to side. ``strength`` is as in ``augmentation``.
    """
    transform = Compose(
        [
            RandFlipd(IMAGE_AND_LABEL, prob=0.5, spatial_axis=0),
            RandAffined(
                IMAGE_AND_LABEL,
                prob=1.0,
                rotate_range=[0.2 * strength] * 3,
                scale_range=[0.12 * strength] * 3,
                translate_range=[4.0] * 3,
                spatial_size=list(patch),
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
            RandSimulateLowResolutiond("image", prob=0.15 * strength, zoom_range=(0.4, 1.0)),
            RandGaussianSmoothd("image", prob=0.15 * strength),
            RandBiasFieldd("image", prob=0.2 * strength, coeff_range=(0.0, 0.1)),
            RandAdjustContrastd("image", prob=0.3 * strength, gamma=(0.7, 1.5)),
            RandScaleIntensityd("image", prob=0.5, factors=0.15 * strength, channel_wise=True),
            RandGaussianNoised("image", prob=0.3 * strength, std=0.05),
        ]
    )
    transform.set_random_state(seed)
    return transform
