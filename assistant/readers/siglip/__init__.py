"""A SigLIP tower with linear heads that reads what kind of picture a volume is.

Knows nothing of exams, of organs or of what follows from a finding.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from assistant.readers import UNCALIBRATED, Score
from assistant.readers.siglip.facts import ARTEFACTS, FACTS, PLANES
from assistant.readers.siglip.heads import OUTPUTS, QUALITY, probabilities
from assistant.readers.siglip.slices import Picture, key_slices, stacked
from assistant.readers.siglip.tower import as_input, described
from assistant.readers.siglip.weights import Weights, read
from segment.volume import Volume


@dataclass(frozen=True, eq=False)
class Siglip:
    """Read the key slices of a volume and average what is read from each."""

    name: str
    weights: Weights

    @property
    def weights_sha256(self) -> str:
        """The hash of the file that was read."""
        return self.weights.sha256

    def __call__(self, volume: Volume) -> tuple[Score, ...]:
        """Score every value of every fact, and every fault, of one volume.

        A plane's score is the probability that the pictures cut in it look like it: low where
        the header's orientation is wrong. A plane in which nothing was cut has no score.
        """
        pictures = key_slices(volume)
        found = self.read(stacked(pictures))
        calibration = self.weights.facts.get("calibration", UNCALIBRATED)
        return tuple(
            Score(f"s{n}", finding, float(np.clip(probability, 0, 1)), calibration, self.name)
            for n, (finding, probability) in enumerate(_averaged(pictures, found), start=1)
        )

    def read(self, grey: Float32[np.ndarray, "n h w"]) -> Mapping[str, Float32[np.ndarray, "n _"]]:
        """Return the calibrated probabilities of pictures, by fact, and of faults."""
        with torch.inference_mode():
            features = described(self.weights.tower, as_input(grey))
            logits = {name: self.weights.heads[name](features).numpy() for name in OUTPUTS}
        return {
            name: probabilities(name, logits[name], self.weights.temperatures[name])
            for name in OUTPUTS
        }


def _averaged(
    pictures: tuple[Picture, ...], found: Mapping[str, Float32[np.ndarray, "n _"]]
) -> Iterator[tuple[str, float]]:
    """Average over the pictures; of a plane over those that were cut in it."""
    for fact in ("kind", "part"):
        for value, mean in zip(FACTS[fact], found[fact].mean(axis=0), strict=True):
            yield f"{fact}.{value}", float(mean)
    for n, plane in enumerate(PLANES):
        cut = [m for m, picture in enumerate(pictures) if picture.plane == plane]
        if cut:
            yield f"plane.{plane}", float(found["plane"][cut, n].mean())
    for artefact, mean in zip(ARTEFACTS, found[QUALITY].mean(axis=0), strict=True):
        yield f"{QUALITY}.{artefact}", float(mean)


def load(weights: Path | None = None) -> Siglip:
    """Load the shipped reader, or one in the same layout."""
    here = files(__package__)
    table = tomllib.loads(here.joinpath("reader.toml").read_text(encoding="utf-8"))
    name = f"{table['name']}-{table['version']}"
    if weights is not None:
        return Siglip(weights.stem, read(weights))
    with as_file(here.joinpath(table["weights"])) as path:
        return Siglip(name, read(path))
