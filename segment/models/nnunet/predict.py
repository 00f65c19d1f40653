"""From a scan to the probabilities of every fold. Knows nothing of organs or of sides."""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from scipy import ndimage
from torch import Tensor

from segment.models.brought import LARGEST_BYTES, refusal
from segment.models.nnunet.network import UNet, build
from segment.models.nnunet.plans import Plans, Triple, read_plans
from segment.models.nnunet.prepare import Prepared, prepare
from segment.segmentation import Segmentation
from segment.volume import Volume

CHECKPOINT = "checkpoint_final.pth"
OVERLAP = 0.5
SIGMA = 1 / 8  # of the Gaussian weight, in patches
# What numpy needs to make numbers of bytes: a checkpoint keeps its curves beside the weights.
SAFE = (
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np.dtypes.Int64DType,
)


@dataclass(frozen=True, eq=False)
class Folder:
    """The networks of a folder, one a fold."""

    plans: Plans
    networks: tuple[UNet, ...]
    mirrored: tuple[int, ...]
    weights_sha256: str

    @property
    def name(self) -> str:
        """How a record names it: the folder's own name."""
        return f"nnU-Net {self.plans.name}"

    def __call__(self, volume: Volume) -> Segmentation:
        """Segment a scan; each fold is a member. Raises ValueError for one that takes too much."""
        classes, members = len(self.plans.labels), len(self.networks)
        needed = 4 * classes * members * volume.array.size
        if needed > LARGEST_BYTES:
            found = f"{needed / 2**30:.0f} GiB ({members} folds, {classes} labels)"
            advice = "cut the scan to what is needed, or take fewer folds"
            limit = f"at most {LARGEST_BYTES / 2**30:.0f} GiB of probabilities"
            raise refusal(self.plans.name, limit, found, advice)
        ready = prepare(volume, self.plans)
        found_each = [ready.back(self._logits(network, ready)) for network in self.networks]
        return Segmentation(
            np.stack(found_each), self.plans.labels, "none", volume.geometry, self.name
        )

    def _logits(self, network: UNet, ready: Prepared) -> Float32[np.ndarray, "class z y x"]:
        """Average a network over overlapping patches, each weighted towards its middle."""
        patch = self.plans.patch
        padded, kept = _padded(ready.image, patch)
        image = torch.from_numpy(padded)
        weight = torch.from_numpy(gaussian(patch))
        total = torch.zeros((len(self.plans.labels), *padded.shape))
        share = torch.zeros(padded.shape)
        with torch.inference_mode():
            for corner in product(*(steps(n, p) for n, p in zip(padded.shape, patch, strict=True))):
                cut = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
                total[(slice(None), *cut)] += weight * self._seen(network, image[cut])
                share[cut] += weight
        return np.asarray((total / share).numpy()[(slice(None), *kept)])

    def _seen(self, network: UNet, patch: Tensor) -> Tensor:
        """Average a patch over the mirrored ways to see it."""
        patch = patch[None, None]
        axes = [axis + 2 for axis in self.mirrored]
        ways = list(chain.from_iterable(combinations(axes, n) for n in range(len(axes) + 1)))
        seen = sum((network(patch.flip(way)).flip(way)[0] for way in ways), torch.tensor(0.0))
        return seen / len(ways)


def load(folder: Path, *, is_trusted: bool = False) -> Folder:
    """Read a folder that nnU-Net trained; raises FolderError for one that cannot be used.

    Nothing in a checkpoint is run unless the folder is trusted.
    """
    name = folder.resolve().name
    paths = sorted(folder.glob(f"fold_*/{CHECKPOINT}"))
    if not paths:
        advice = "give the folder that holds plans.json and fold_0"
        raise refusal(name, f"fold_*/{CHECKPOINT}", "none", advice)
    checkpoints = [_checkpoint(path, name, is_trusted=is_trusted) for path in paths]
    first = checkpoints[0]
    plans = read_plans(folder, str(first["init_args"]["configuration"]))
    networks = tuple(_network(plans, one["network_weights"]) for one in checkpoints)
    digest = hashlib.sha256(b"".join(hashlib.sha256(p.read_bytes()).digest() for p in paths))
    mirrored = tuple(int(axis) for axis in first.get("inference_allowed_mirroring_axes") or ())
    return Folder(plans, networks, mirrored, digest.hexdigest())


def gaussian(patch: Triple) -> Float32[np.ndarray, "z y x"]:
    """Return the weight of each voxel of a patch, 1 in its middle and never 0."""
    point = np.zeros(patch)
    point[tuple(n // 2 for n in patch)] = 1
    weight = ndimage.gaussian_filter(point, [n * SIGMA for n in patch], mode="constant")
    weight = (weight / weight.max()).astype(np.float32)
    return np.asarray(np.where(weight == 0, weight[weight > 0].min(), weight), np.float32)


def steps(length: int, patch: int) -> list[int]:
    """Place patches along an axis, evenly and at most half a patch apart."""
    count = int(np.ceil((length - patch) / (patch * OVERLAP))) + 1
    return [round((length - patch) / max(count - 1, 1) * n) for n in range(count)]


def _padded(
    image: Float32[np.ndarray, "z y x"], patch: Triple
) -> tuple[Float32[np.ndarray, "z2 y2 x2"], tuple[slice, ...]]:
    """Pad an image that is smaller than a patch on both sides; return where it lies."""
    missing = [max(p - n, 0) for n, p in zip(image.shape, patch, strict=True)]
    padding = [(n // 2, n - n // 2) for n in missing]
    kept = tuple(slice(a, a + n) for (a, _), n in zip(padding, image.shape, strict=True))
    return np.pad(image, padding), kept


def _network(plans: Plans, weights: Mapping[str, Tensor]) -> UNet:
    try:
        return build(plans.architecture, len(plans.labels), weights)
    except RuntimeError as error:
        found = "those of another network"
        advice = "give plans.json and checkpoints of one training"
        raise refusal(plans.name, "the weights of its plans", found, advice) from error


def _checkpoint(path: Path, name: str, *, is_trusted: bool) -> Mapping[str, Any]:
    """Read a checkpoint: numbers alone, or whatever is in it where its source is trusted."""
    try:
        with torch.serialization.safe_globals(list(SAFE)):
            found = torch.load(path, map_location="cpu", weights_only=not is_trusted)
    except pickle.UnpicklingError as error:
        advice = "if you trust its source, add --trust, which lets it run code"
        raise refusal(name, "a checkpoint of numbers", "other objects", advice) from error
    except (OSError, EOFError, RuntimeError, ValueError) as error:
        raise refusal(name, "a whole checkpoint", "a damaged one", "copy it again") from error
    needed = {"network_weights", "init_args"}
    if not isinstance(found, dict) or not needed <= found.keys():
        raise refusal(name, "a checkpoint of nnU-Net v2", "another file", "give its folder")
    return found
