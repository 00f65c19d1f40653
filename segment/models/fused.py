"""Networks of several sequences, run over a whole head. Knows nothing of files or of exams.

All sequences lie on one grid of about 1 mm, and each is on one scale: 0 outside of the brain, and 1
the median of what is inside.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32
from scipy import ndimage
from torch import Tensor

from segment.models import describe, place, roles_of
from segment.models.ensemble import built, unpacked
from segment.models.running import Network, torch_version
from segment.runtime import Runtime

MOST = 4.0  # medians of the brain; what is brighter is cut
COARSEST = 8  # voxels of the grid that are one at the networks' coarsest level


def scaled(
    array: Float32[np.ndarray, "i j k"], brain: Bool[np.ndarray, "i j k"]
) -> Float32[np.ndarray, "i j k"]:
    """Scale a sequence by the median of its brain, outside of which it becomes 0.

    Raises ValueError for a brain without a voxel, or whose median is not above 0.
    """
    median = float(np.median(array[brain])) if brain.any() else 0.0
    if not median > 0:
        msg = f"expected a brain whose median is above 0, found {median:g}"
        raise ValueError(f"{msg}; give magnitudes of a head, and the mask of its brain")
    return np.where(brain, np.clip(array / median, 0, MOST), 0).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Fused:
    """Networks of one architecture that are given several sequences."""

    name: str
    structures: tuple[str, ...]
    roles: tuple[str, ...]
    networks: tuple[Network, ...]
    temperature: Float32[np.ndarray, " structure"]
    seeds: tuple[int, ...]
    weights_sha256: str
    runtime: str

    def __call__(
        self, sequences: Mapping[str, Float32[np.ndarray, "i j k"]]
    ) -> Float32[np.ndarray, "member structure _ _ _"]:
        """Return each member's probabilities of a head; a role that is not given is missing.

        Sequences are scaled as ``scaled`` does. What no sequence shows is background. Raises
        ValueError where there is none, one of another role, or one on another grid.
        """
        shape = self._check(sequences)
        absent = np.zeros(shape, np.float32)
        stacked = np.stack([sequences.get(role, absent) for role in self.roles])
        found = np.zeros((len(self.networks), len(self.structures), *shape), np.float32)
        found[:, 0] = 1
        if stacked.any():
            part, block = _occupied(stacked)
            inside = tuple(slice(0, side.stop - side.start) for side in part)
            for member, network in zip(found, self.networks, strict=True):
                predicted = self._predicted(network, block)
                member[(slice(None), *part)] = predicted[(slice(None), *inside)]
        return found

    def _check(self, sequences: Mapping[str, Float32[np.ndarray, "i j k"]]) -> tuple[int, int, int]:
        """Return the grid of all sequences."""
        wanted = ", ".join(self.roles)
        if not sequences or not sequences.keys() <= set(self.roles):
            found = ", ".join(sequences) or "none"
            msg = f"{self.name}: expected sequences of {wanted}, found {found}; give some of them"
            raise ValueError(msg)
        shapes = {array.shape for array in sequences.values()}
        if len(shapes) > 1:
            msg = f"{self.name}: expected sequences on one grid, found {sorted(shapes)}"
            raise ValueError(f"{msg}; resample them to one")
        i, j, k = shapes.pop()
        return i, j, k

    def _predicted(
        self, network: Network, block: Float32[np.ndarray, "role i j k"]
    ) -> Float32[np.ndarray, "structure i j k"]:
        """Return the probabilities of all that is there at once, so that no window is seen."""
        scale = torch.from_numpy(self.temperature)[None, :, None, None, None]
        with torch.inference_mode():
            logits: Tensor = network(torch.from_numpy(block)[None]).float()
            found = torch.softmax(torch.log_softmax(logits, dim=1) / scale, dim=1)
        return np.asarray(found[0].numpy())


def _occupied(
    stacked: Float32[np.ndarray, "role i j k"],
) -> tuple[tuple[slice, ...], Float32[np.ndarray, "role i2 j2 k2"]]:
    """Return where anything is, and that part, padded to whole voxels of the coarsest level."""
    sides = ndimage.find_objects(np.any(stacked != 0, axis=0).astype(np.uint8))[0]
    part = stacked[(slice(None), *sides)]
    padding = [(0, -n % COARSEST) for n in part.shape[1:]]
    return sides, np.pad(part, [(0, 0), *padding])


def load(name: str, weights: Path | None = None, runtime: Runtime = "torch") -> Fused:
    """Load the networks that a folder ships, or others in the same layout; they run in torch.

    Raises ValueError for weights of another architecture, and for another runtime.
    """
    if runtime not in ("torch", "auto"):
        msg = f"{name}: expected the runtime torch or auto, found {runtime}; choose one of them"
        raise ValueError(msg)
    facts = describe(name)
    if weights is None:
        with as_file(place(name).joinpath(facts["weights"])) as path:
            return read(path, f"{facts['name']}-{facts['version']}", name)
    return read(weights, f"{facts['name']}-own", name)


def read(path: Path, name: str, network: str) -> Fused:
    """Read networks from safetensors: ``seed/parameter`` keys and the temperature."""
    structures = tuple(describe(network)["structures"])
    temperature, states = unpacked(path)
    return Fused(
        name=name,
        structures=structures,
        roles=roles_of(network),
        networks=tuple(built(states, len(structures), network, path.name)),
        temperature=temperature,
        seeds=tuple(states),
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        runtime=torch_version(),
    )
