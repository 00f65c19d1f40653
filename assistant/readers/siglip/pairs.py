"""Pictures with what is said of them, and how batches are drawn from both. Knows no network."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from scipy.ndimage import affine_transform
from torch import Tensor

from assistant.readers.siglip.artefacts import MAKE, can_have
from assistant.readers.siglip.facts import ARTEFACTS, FACTS, NONE, place_of
from assistant.readers.siglip.heads import QUALITY
from assistant.readers.siglip.slices import scaled
from assistant.readers.siglip.sources import NEVER, Label, Sample, load_sources, samples
from segment.resume import replacing

T = TypeVar("T")
Combination = tuple[str, str, str, str]  # kind, part, plane, artefact

WHITE = 255
MOST_TURN_RADIANS = 0.26
MOST_SHIFT_SHARE = 0.1
ZOOM_RANGE = (0.7, 1.4)
GAMMA_RANGE = (0.6, 1.7)
# How often a picture has a little of a fault that is not called one, and how much at most.
WEATHER: Mapping[str, tuple[float, float]] = {
    "bias_field": (0.5, 0.2),
    "low_resolution": (0.3, 0.1),
    "noise": (0.3, 0.12),
}
PLAIN_WEIGHT = 3.0  # how much oftener a combination without a fault is drawn than one with it
CAPTION_WORDS = ("kind", "part", "plane")


@dataclass(frozen=True, eq=False)
class Corpus:
    """Every labelled picture; grey values 0..255."""

    pixels: UInt8[np.ndarray, "n h w"]
    native_px: Float32[np.ndarray, "n 2"]
    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        if not len(self.pixels) == len(self.native_px) == len(self.labels) > 0:
            msg = f"a corpus has a label for each picture, not {len(self.labels)}"
            raise ValueError(msg)

    def grey(self, index: int) -> Float32[np.ndarray, "h w"]:
        """Return one picture, 0..1."""
        return np.asarray(self.pixels[index] / WHITE, dtype=np.float32)

    def chosen(self, indices: Sequence[int]) -> "Corpus":
        """Return some of the pictures."""
        kept = list(indices)
        labels = tuple(self.labels[index] for index in kept)
        return Corpus(self.pixels[kept], self.native_px[kept], labels)

    def save(self, path: Path) -> None:
        """Write everything to one file without objects in it."""
        table = json.dumps([asdict(label) for label in self.labels])
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file, pixels=self.pixels, native_px=self.native_px, labels=np.array(table)
            )

    @classmethod
    def read(cls, path: Path) -> "Corpus":
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            labels = tuple(Label(**entry) for entry in json.loads(str(stored["labels"])))
            return cls(stored["pixels"], stored["native_px"], labels)

    @cached_property
    def by_subject(self) -> Mapping[tuple[str, str, str], Mapping[str, tuple[int, ...]]]:
        """Say which pictures there are of each kind, part and plane, by subject."""
        table: dict[tuple[str, str, str], dict[str, list[int]]] = {}
        for index, label in enumerate(self.labels):
            subjects = table.setdefault((label.kind, label.part, label.plane), {})
            subjects.setdefault(label.subject, []).append(index)
        return {
            key: {name: tuple(found) for name, found in subjects.items()}
            for key, subjects in table.items()
        }

    @cached_property
    def combinations(self) -> tuple[Combination, ...]:
        """List what can be drawn: each kind, part and plane, with each fault it can have."""
        return tuple(
            (*key, artefact)
            for key in sorted(self.by_subject)
            for artefact in (NONE, *ARTEFACTS)
            if artefact == NONE or can_have(key[0], artefact)
        )


@dataclass(frozen=True, eq=False)
class Pair:
    """One picture as it is shown to the network, what is said of it, and what is true of it."""

    grey: Float32[np.ndarray, "h w"]
    caption: str
    label: Label
    artefact: str
    strength: float


@dataclass(frozen=True)
class Captions:
    """Wordings, and the words for every value of every fact."""

    wordings: tuple[str, ...]
    words: Mapping[str, Mapping[str, tuple[str, ...]]]

    @classmethod
    def load(cls) -> "Captions":
        """Read the shipped table."""
        text = files(__package__).joinpath("captions.toml").read_text(encoding="utf-8")
        table = tomllib.loads(text)
        wordings = tuple(table.pop("wordings"))
        return cls(
            wordings,
            {
                fact: {value: tuple(words) for value, words in values.items()}
                for fact, values in table.items()
            },
        )

    def draw(self, combination: Combination, rng: np.random.Generator) -> str:
        """Say one combination in one of the ways there are."""
        facts = dict(zip(CAPTION_WORDS, combination[:3], strict=True))
        drawn = {fact: _one(self.words[fact][value], rng) for fact, value in facts.items()}
        faulty = _one(self.words["artefacts"][combination[3]], rng)
        return _tidy(_one(self.wordings, rng).format(**drawn, faulty=faulty))

    def every(self, fact: str, value: str, rng: np.random.Generator, n: int) -> tuple[str, ...]:
        """Say one value of one fact in ``n`` captions whose other facts vary."""
        said = []
        for _ in range(n):
            others = {name: _one(tuple(self.words[name]), rng) for name in CAPTION_WORDS}
            kind, part, plane = ({**others, fact: value}[name] for name in CAPTION_WORDS)
            said.append(self.draw((kind, part, plane, NONE), rng))
        return tuple(said)


def read_corpus(
    data: Path, folds: int, slices: int
) -> Iterator[tuple[int, int, tuple[Sample, ...]]]:
    """Yield the pictures of one source after the other, its place and how many there are."""
    sources = load_sources()
    for place, source in enumerate(sources, start=1):
        yield place, len(sources), tuple(samples(source, data, folds, slices))


def gathered(found: Sequence[Sample]) -> Corpus:
    """Put pictures into one corpus."""
    pixels = [np.rint(sample.picture.pixels * WHITE).astype(np.uint8) for sample in found]
    native = np.array([sample.picture.native_px for sample in found], dtype=np.float32)
    return Corpus(np.stack(pixels), native, tuple(sample.label for sample in found))


def training_part(corpus: Corpus, held_out: int | None) -> Corpus:
    """Leave out the validation subjects, and those of one fold."""
    return corpus.chosen(
        [
            index
            for index, label in enumerate(corpus.labels)
            if not label.is_validation
            and label.fold != (NEVER - 1 if held_out is None else held_out)
        ]
    )


def held_out_part(corpus: Corpus, fold: int) -> Corpus:
    """Take the subjects of one fold, and the validation subjects that would belong to it."""
    return corpus.chosen([i for i, label in enumerate(corpus.labels) if label.fold == fold])


def draw_combinations(corpus: Corpus, n: int, rng: np.random.Generator) -> tuple[Combination, ...]:
    """Draw ``n`` different combinations, so that no caption of a batch holds of another picture.

    Raises ValueError when there are fewer.
    """
    every = corpus.combinations
    if n > len(every):
        msg = f"expected a batch of at most {len(every)} different pictures, found {n}"
        raise ValueError(msg + "; make the batch smaller")
    weights = np.array([PLAIN_WEIGHT if c[3] == NONE else 1.0 for c in every])
    chosen = rng.choice(len(every), size=n, replace=False, p=weights / weights.sum())
    return tuple(every[index] for index in chosen)


def draw_pair(
    corpus: Corpus,
    combination: Combination,
    captions: Captions,
    strengths: tuple[float, float],
    rng: np.random.Generator,
    *,
    is_posed: bool = True,
) -> Pair:
    """Draw a subject, one of its pictures, a pose and a fault; say what it shows."""
    subjects = corpus.by_subject[combination[:3]]
    index = _one(subjects[_one(tuple(subjects), rng)], rng)
    native = (float(corpus.native_px[index, 0]), float(corpus.native_px[index, 1]))
    plain = corpus.grey(index)
    posed = weathered(moved(plain, rng), rng) if is_posed else plain
    grey, strength = spoiled(posed, combination[3], strengths, rng, native)
    caption = captions.draw(combination, rng)
    return Pair(grey, caption, corpus.labels[index], combination[3], strength)


def targets_of(pairs: Sequence[Pair]) -> dict[str, Tensor]:
    """Say what is true of pictures, as the heads take it."""
    targets: dict[str, Tensor] = {}
    for fact in FACTS:
        labels = [pair.label for pair in pairs]
        places = [place_of(fact, getattr(label, fact), label.part) for label in labels]
        targets[fact] = torch.tensor(places)
    has = [[int(pair.artefact == artefact) for artefact in ARTEFACTS] for pair in pairs]
    targets[QUALITY] = torch.tensor(has)
    return targets


def moved(grey: Float32[np.ndarray, "h w"], rng: np.random.Generator) -> Float32[np.ndarray, "h w"]:
    """Turn, shift, zoom and brighten a picture a little; never mirror it."""
    angle = rng.uniform(-MOST_TURN_RADIANS, MOST_TURN_RADIANS)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn / rng.uniform(*ZOOM_RANGE)
    middle = (np.array(grey.shape) - 1) / 2
    shift = rng.uniform(-MOST_SHIFT_SHARE, MOST_SHIFT_SHARE, 2) * np.array(grey.shape)
    posed = affine_transform(grey, matrix, middle - matrix @ (middle + shift), order=1)
    return np.asarray(np.clip(posed, 0, 1) ** rng.uniform(*GAMMA_RANGE), dtype=np.float32)


def weathered(
    grey: Float32[np.ndarray, "h w"], rng: np.random.Generator
) -> Float32[np.ndarray, "h w"]:
    """Give a picture a little of some faults, less than any that is called one.

    What the scanners of few subjects have in common is then no mark of their kind of picture.
    """
    for artefact, (often, most) in WEATHER.items():
        if rng.random() < often:
            grey = MAKE[artefact](grey, float(rng.uniform(0, most)), rng, (1.0, 1.0))
    return np.asarray(np.clip(grey, 0, None), dtype=np.float32)


def spoiled(
    grey: Float32[np.ndarray, "h w"],
    artefact: str,
    strengths: tuple[float, float],
    rng: np.random.Generator,
    native_px: tuple[float, float],
) -> tuple[Float32[np.ndarray, "h w"], float]:
    """Give a picture one fault of a strength drawn from a range; return both, on one scale."""
    if artefact == NONE:
        return scaled(grey), 0.0
    strength = float(rng.uniform(*strengths))
    return scaled(MAKE[artefact](grey, strength, rng, native_px)), strength


def _one(values: Sequence[T], rng: np.random.Generator) -> T:
    return values[int(rng.integers(len(values)))]


def _tidy(text: str) -> str:
    """Drop the gaps that an empty word leaves."""
    return re.sub(r"\s+", " ", re.sub(r"\s+,", ",", text)).strip(" ,")
