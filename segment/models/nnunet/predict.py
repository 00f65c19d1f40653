"""From a scan to the probabilities of every fold. Knows nothing of organs or of sides."""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt16
from torch import Tensor

from segment.models.brought import LARGEST_BYTES, refusal
from segment.models.nnunet.decide import decided
from segment.models.nnunet.network import UNet, build
from segment.models.nnunet.plans import Plans, read_plans
from segment.models.nnunet.prepare import Prepared, prepare
from segment.models.nnunet.sliding import Sliding, Told, nobody
from segment.segmentation import Segmentation
from segment.volume import Volume

CHECKPOINT = "checkpoint_final.pth"
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
            advice = "write its labels with `voxcite label` and give them with --segmentation"
            limit = f"at most {LARGEST_BYTES / 2**30:.0f} GiB of probabilities"
            raise refusal(self.plans.name, limit, found, advice)
        ready = prepare(volume, self.plans)
        found_each = [ready.back(self._logits(network, ready)) for network in self.networks]
        return Segmentation(
            np.stack(found_each), self.plans.labels, "none", volume.geometry, self.name
        )

    def labels(self, volume: Volume, told: Told = nobody) -> UInt16[np.ndarray, "i j k"]:
        """Return the most probable label of each voxel of a scan of any size.

        The folds' logits are averaged, as nnU-Net does; ``told`` hears of each patch. Raises
        FolderError where the plans carry logits back with splines.
        """
        return decided(self._sliding(*self.networks), prepare(volume, self.plans), told)

    def _sliding(self, *networks: UNet) -> Sliding:
        return Sliding(networks, len(self.plans.labels), self.plans.patch, self.mirrored)

    def _logits(self, network: UNet, ready: Prepared) -> Float32[np.ndarray, "class z y x"]:
        """Return a network's logits of the whole image."""
        return np.stack([row.numpy() for row in self._sliding(network).rows(ready.image)], axis=1)


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
