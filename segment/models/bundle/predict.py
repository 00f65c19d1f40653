"""From a scan to the probabilities of a bundle's network. Knows nothing of organs or of sides."""

import hashlib
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from monai.bundle.config_parser import ConfigParser
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from scipy import ndimage
from torch import Tensor, nn

from segment.geometry import Geometry
from segment.models.brought import LARGEST_BYTES, FolderError, refusal
from segment.models.bundle.metadata import GIVE, read_labels
from segment.segmentation import Segmentation
from segment.volume import Volume

METADATA, CONFIG = Path("configs", "metadata.json"), Path("configs", "inference.json")
WEIGHTS = Path("models", "model.pt")
TRUST = "if you trust its source, add --trust, which lets it run code"
IMAGE, READER = "image", "LoadImaged"
SLAB = 16  # slices carried back at once
INSIDE_VOXELS = 0.5  # how far beyond its outermost voxels' middles a field reaches
Inferer = Callable[[Tensor, nn.Module], Any]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle's network, how a scan is prepared for it, and how windows are run."""

    folder: str
    labels: tuple[str, ...]
    prepare: Compose
    network: nn.Module
    inferer: Inferer
    weights_sha256: str

    @property
    def name(self) -> str:
        """How a record names it: the folder's own name."""
        return f"MONAI bundle {self.folder}"

    def __call__(self, volume: Volume) -> Segmentation:
        """Segment a scan; the network is the only member.

        Raises FolderError for a scan that takes too much or that the bundle fails on.
        """
        needed = 4 * len(self.labels) * volume.array.size
        if needed > LARGEST_BYTES:
            limit = f"at most {LARGEST_BYTES / 2**30:.0f} GiB of probabilities"
            found = f"{needed / 2**30:.0f} GiB ({len(self.labels)} labels)"
            raise refusal(self.folder, limit, found, "cut the scan to what is needed")
        probability, grid = self._predicted(volume)
        carried = carried_back(probability, grid, volume.geometry)
        return Segmentation(carried[None], self.labels, "none", volume.geometry, self.name)

    def _predicted(self, volume: Volume) -> tuple[Float32[np.ndarray, "class _ _ _"], Geometry]:
        """Run the bundle's own parts; return probabilities and the grid they lie on."""
        try:
            image = self.prepare({IMAGE: _image(volume)})[IMAGE]
            with torch.inference_mode():
                logits = self.inferer(image[None].as_tensor(), self.network)
                logits = logits[0] if isinstance(logits, list | tuple) else logits
                probability = torch.softmax(logits[0].float(), dim=0).numpy()
            i, j, k = image.shape[1:]
            grid = Geometry((i, j, k), np.asarray(image.affine, dtype=np.float64))
        except Exception as error:  # a stranger's configuration may raise anything
            found = f"one that ends in {type(error).__name__}"
            raise refusal(
                self.folder, "a bundle for this scan", found, "run it in MONAI"
            ) from error
        expected = (len(self.labels), *grid.shape)
        if probability.shape != expected:
            found = f"an output of {probability.shape} and not {expected}"
            advice = "correct metadata.json, or give a bundle that segments voxels"
            raise refusal(self.folder, "a channel for each label", found, advice)
        return probability, grid


def load(folder: Path, *, is_trusted: bool = False) -> Bundle:
    """Read a MONAI bundle; raises FolderError for one that cannot be used.

    A configuration makes whatever it names, so nothing of it is read unless the bundle is trusted.
    Weights are read as numbers alone, whoever trusts them.
    """
    name = folder.resolve().name
    for part in (CONFIG, WEIGHTS):
        if not (folder / part).is_file():
            raise refusal(name, part.as_posix(), "none", GIVE)
    labels = read_labels(folder)
    if not is_trusted:
        raise refusal(name, "a configuration that runs no code", "one that may", TRUST)
    state = _weights(folder / WEIGHTS, name)
    parts = _made(folder, name)
    network = parts["network_def"]
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        found, advice = "those of another network", "give both of one training"
        raise refusal(name, "the weights of its network_def", found, advice) from error
    digest = hashlib.sha256()  # other configurations of the same weights measure otherwise
    for part in (METADATA, CONFIG, WEIGHTS):
        digest.update((folder / part).read_bytes())
    prepare, inferer = parts["preprocessing"], parts["inferer"]
    return Bundle(name, labels, prepare, network.cpu().eval(), inferer, digest.hexdigest())


def carried_back(
    probability: Float32[np.ndarray, "class _ _ _"], source: Geometry, grid: Geometry
) -> Float32[np.ndarray, "class i j k"]:
    """Read probabilities at the voxels of a scan, linearly; what was cropped away is background."""
    if source.matches(grid):
        return probability
    found = np.zeros((len(probability), *grid.shape), np.float32)
    edge = np.array(source.shape) - 1 + INSIDE_VOXELS
    for first in range(0, grid.shape[2], SLAB):
        depth = min(SLAB, grid.shape[2] - first)
        slab = grid.block((0, 0, first), (*grid.shape[:2], depth))
        indices = np.indices(slab.shape).reshape(3, -1).T.astype(np.float64)
        at = source.to_indices(slab.to_world(indices))
        inside = ((at >= -INSIDE_VOXELS) & (at <= edge)).all(axis=1).reshape(slab.shape)
        for place, channel in zip(found, probability, strict=True):
            read = ndimage.map_coordinates(channel, at.T, order=1, mode="nearest")
            place[:, :, first : first + depth] = np.where(inside, read.reshape(slab.shape), 0)
    found[0] += np.clip(1 - found.sum(axis=0), 0, 1)
    return found


def _weights(path: Path, name: str) -> Mapping[str, Tensor]:
    """Read the weights as numbers alone."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, OSError, EOFError, RuntimeError, ValueError) as error:
        found, advice = "one that is damaged or holds other objects", "save a state_dict there"
        raise refusal(name, f"numbers in {path.name}", found, advice) from error
    state = found.get("state_dict", found) if isinstance(found, dict) else {}
    if not isinstance(state, Mapping) or not all(torch.is_tensor(v) for v in state.values()):
        raise refusal(name, f"a state_dict in {path.name}", "another value", GIVE)
    return state


def _made(folder: Path, name: str) -> Mapping[str, Any]:
    """Let the configuration make its parts, on the processor; this runs what it names."""
    parser = ConfigParser()
    try:
        parser.read_config(folder / CONFIG)
        parser["bundle_root"], parser["device"] = str(folder), "$torch.device('cpu')"
        parser["preprocessing"] = _without_reading(parser.get("preprocessing"), name)
        _expect_softmax(parser.get("postprocessing"), name)
        parser.parse()
        wanted = ("preprocessing", "network_def", "inferer")
        return {key: parser.get_parsed_content(key, instantiate=True) for key in wanted}
    except FolderError:
        raise
    except Exception as error:  # a stranger's configuration may raise anything
        found = f"one that ends in {type(error).__name__}"
        advice = "run it in MONAI to see why"
        raise refusal(name, "a configuration that makes its parts", found, advice) from error


def _expect_softmax(config: object, name: str) -> None:
    """Refuse channels that do not exclude one another: each has a probability of its own."""
    if _has_sigmoid(config):
        advice = "give a bundle that ends in a softmax"
        raise refusal(name, "labels that exclude one another", "a sigmoid for each", advice)


def _has_sigmoid(config: object) -> bool:
    """Whether a sigmoid is asked for anywhere, or may be: by a reference or by code."""
    if isinstance(config, dict):
        return config.get("sigmoid", False) is not False or any(map(_has_sigmoid, config.values()))
    return isinstance(config, list) and any(map(_has_sigmoid, config))


def _without_reading(config: object, name: str) -> dict[str, Any]:
    """Return the preparation of a scan that is in memory already: its reader is left out."""
    parts = config.get("transforms") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(parts, list):
        advice = "give a bundle whose preprocessing lists its transforms"
        raise refusal(name, "a Compose of transforms", "another preprocessing", advice)
    kept = []
    for part in parts:
        if not str(part.get("_target_")).endswith(READER):
            kept.append(part)
        elif part.get("ensure_channel_first"):
            kept.append({"_target_": "EnsureChannelFirstd", "keys": IMAGE})
    return {**config, "transforms": kept}


def _image(volume: Volume) -> MetaTensor:
    """Give a scan as MONAI's reader of NIfTI would."""
    affine = torch.from_numpy(np.array(volume.geometry.affine))
    image = MetaTensor(torch.from_numpy(volume.array.copy()), affine=affine)
    image.meta["original_channel_dim"] = float("nan")  # none: EnsureChannelFirstd adds it
    return image
