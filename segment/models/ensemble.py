"""A segmenter made of networks of one kind, whichever. Knows nothing of heads or of scans."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from segment.models import Box, Looked, describe, place
from segment.models.bottleneck import Bottleneck
from segment.models.network import build_network, load_state
from segment.models.running import Network, networks_in
from segment.models.windows import (
    SHIFTS,
    WINDOW,
    Placed,
    Start,
    around,
    assemble,
    cut,
    largest,
    middle,
    scaled,
    tiles,
)
from segment.resume import replacing
from segment.runtime import OF_OPENVINO, Runtime

BATCH = 4  # windows at once: more takes memory and no less time


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks of one architecture whose probabilities stand side by side.

    ``temperature`` divides the log-probability of each structure before they are made to sum to
    one again. ``runtime`` names what runs the networks, and its version. ``encoder`` gives the
    features of windows, where the first network has any that something is known of.
    """

    name: str
    structures: tuple[str, ...]
    networks: tuple[Network, ...]
    temperature: Float32[np.ndarray, " structure"]
    seeds: tuple[int, ...]
    weights_sha256: str
    runtime: str
    encoder: Network | None = None

    def __call__(self, boxes: Sequence[Box]) -> list[Float32[np.ndarray, "member structure _ _ _"]]:
        """Segment boxes; each member's probabilities fill the box."""
        return [found.probability for found in self.look(boxes)]

    def look(self, boxes: Sequence[Box]) -> list[Looked]:
        """Segment boxes, and return the features of the windows that the first member looks at.

        The first member looks everywhere for the structure; then all members look at windows
        around it, each from a place of its own.
        """
        fine = self.looked(boxes)
        found = [
            self._segment([(array, placed.shifted(shift)) for array, placed in fine], network)
            for network, shift in zip(self.networks, cycle(SHIFTS), strict=False)
        ]
        features = self._features(fine)
        return [
            Looked(np.stack(members), features[place] if features is not None else None)
            for place, members in enumerate(zip(*found, strict=True))
        ]

    def features(self, boxes: Sequence[Box]) -> list[Float32[np.ndarray, " feature"]]:
        """Return the features of boxes alone; none where nothing gives any."""
        found = self._features(self.looked(boxes))
        return [] if found is None else list(found)

    def _features(
        self, fine: Sequence[tuple[Float32[np.ndarray, "_ _ _"], Placed]]
    ) -> Float32[np.ndarray, "box feature"] | None:
        """Return the mean over each box's windows of what the encoder says of them."""
        if self.encoder is None:
            return None
        windows = [cut(array, start) for array, placed in fine for start in placed.starts]
        batch = torch.from_numpy(np.stack(windows))[:, None]
        with torch.inference_mode():
            found = torch.cat([self.encoder(part) for part in batch.split(BATCH)]).numpy()
        ends = np.cumsum([len(placed.starts) for _, placed in fine])[:-1]
        return np.stack([mine.mean(axis=0) for mine in np.split(found, ends)])

    def looked(self, boxes: Sequence[Box]) -> list[tuple[Float32[np.ndarray, "_ _ _"], Placed]]:
        """Scale each box, and place the windows in which its structure is looked for."""
        coarse = self._segment(
            [(scaled(box, middle(box.array.shape)), tiles(box.array.shape)) for box in boxes],
            self.networks[0],
        )
        fine = []
        for box, probability in zip(boxes, coarse, strict=True):
            placed = around(largest(probability.argmax(axis=0) > 0))
            fine.append((scaled(box, placed.centre), placed))
        return fine

    def _segment(
        self,
        placed: Sequence[tuple[Float32[np.ndarray, "_ _ _"], Sequence[Start]]],
        network: Network,
    ) -> list[Float32[np.ndarray, "structure _ _ _"]]:
        """Run one network over the windows of all boxes at once."""
        windows = [cut(array, start) for array, starts in placed for start in starts]
        probability = self.predict(windows, network)
        results, done = [], 0
        for array, starts in placed:
            mine = list(probability[done : done + len(starts)])
            results.append(assemble(array.shape, starts, mine))
            done += len(starts)
        return results

    def predict(
        self, windows: Sequence[Float32[np.ndarray, "i j k"]], network: Network
    ) -> Float32[np.ndarray, "window structure i j k"]:
        """Run one network over windows, a few at once."""
        batch = torch.from_numpy(np.stack(windows))[:, None]
        scale = torch.from_numpy(self.temperature)[None, :, None, None, None]
        with torch.inference_mode():
            logits = torch.cat([network(part) for part in batch.split(BATCH)])
            found = _tempered(logits.float(), scale)
        return found.numpy()


def _tempered(logits: Tensor, scale: Tensor) -> Tensor:
    """Turn ``window structure i j k`` logits into probabilities at one temperature a structure."""
    return torch.softmax(torch.log_softmax(logits, dim=1) / scale, dim=1)


def load(name: str, weights: Path | None = None, runtime: Runtime = "torch") -> Ensemble:
    """Load the ensemble that a network's folder ships, or one in the same layout."""
    facts = describe(name)
    if weights is None:
        with as_file(place(name).joinpath(facts["weights"])) as path:
            return read(path, f"{facts['name']}-{facts['version']}", name, runtime)
    return read(weights, f"{facts['name']}-own", name, runtime)


def read(
    path: Path,
    name: str,
    network: str = "unet",
    runtime: Runtime = "torch",
    structures: Sequence[str] = (),
) -> Ensemble:
    """Read an ensemble from safetensors: ``seed/parameter`` keys and the temperature.

    ``structures`` are those of the network's own model unless others are given.
    Raises ValueError when the file holds something else or weights of another architecture than
    the one that has the folder ``network``, and when the runtime cannot be had.
    """
    structures = tuple(structures or describe(network)["structures"])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    temperature, states = unpacked(path)
    build = partial(built, states, len(structures), network, path.name)
    networks, ran = networks_in(runtime, build, WINDOW, f"{network} {digest}")
    encoder = _encoder(network, networks[0], build, runtime, digest)
    return Ensemble(name, structures, networks, temperature, tuple(states), digest, ran, encoder)


def _encoder(
    network: str,
    first: Network,
    build: Callable[[], list[nn.Module]],
    runtime: Runtime,
    digest: str,
) -> Network | None:
    """Return what gives the first network's features, where its model keeps those of cases.

    Never in half precision: the cases' own features are not.
    """
    if describe(network).get("features") is None:
        return None

    def made() -> list[nn.Module]:
        whole = first if isinstance(first, nn.Module) else build()[0]
        return [Bottleneck(whole).eval()]

    exact: Runtime = "openvino" if runtime in OF_OPENVINO else runtime
    (encoder,), _ = networks_in(exact, made, WINDOW, f"bottleneck of {network} {digest}")
    return encoder


def built(
    states: Mapping[int, Mapping[str, Tensor]], structures: int, network: str, file: str
) -> list[nn.Module]:
    """Build each member in torch; raises ValueError for another architecture's weights."""
    networks = []
    for state in states.values():
        # Whoever loads a language model meanwhile may have changed torch's default type.
        member = build_network(network, WINDOW, structures).float()
        try:
            load_state(member, state)
        except ValueError as error:
            msg = f"{file}: expected weights of {network}, found another architecture's; "
            msg += f"give what `voxcite calibrate --network {network}` wrote"
            raise ValueError(msg) from error
        networks.append(member.eval())
    return networks


def unpacked(path: Path) -> tuple[Float32[np.ndarray, " structure"], dict[int, dict[str, Tensor]]]:
    """Return the temperature and each member's state by its seed, in single precision."""
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        msg = f"{path.name}: expected the packed weights of an ensemble, found no safetensors"
        raise ValueError(msg) from error
    temperature = tensors.pop("temperature", None)
    states: dict[int, dict[str, Tensor]] = {}
    keys = [key.partition("/") for key in tensors]
    if temperature is None or not keys or not all(seed.isdecimal() for seed, _, _ in keys):
        msg = f"{path.name}: expected the packed weights of an ensemble, found other tensors"
        raise ValueError(msg)
    for seed, slash, parameter in sorted(keys, key=lambda key: int(key[0])):
        states.setdefault(int(seed), {})[parameter] = tensors[f"{seed}{slash}{parameter}"].float()
    return temperature.float().numpy(), states


def pack(
    runs: Mapping[int, Path], temperature: Float32[np.ndarray, " structure"], output: Path
) -> None:
    """Put trained members, by their seed, into one file in half precision."""
    tensors = {"temperature": torch.from_numpy(temperature)}
    for seed, path in runs.items():
        for key, tensor in load_file(path).items():
            tensors[f"{seed}/{key}"] = tensor.half()
    with replacing(output) as temporary:
        save_file(tensors, temporary)
