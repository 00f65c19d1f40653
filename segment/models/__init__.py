"""Segmenters, one folder each; none is imported before it is asked for."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import as_file
from importlib.resources.abc import Traversable
from pathlib import Path, PurePath
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32

from segment.calibration import Calibrated
from segment.effort import EFFORT, Effort
from segment.familiarity import Familiar
from segment.predicted_dice import DiceCurve, curves_from_toml
from segment.repeatability import Repeatability
from segment.runtime import Runtime
from segment.segmentation import Segmentation
from segment.shelf import MODEL, folder, known
from segment.table import shelved
from segment.volume import Volume


@dataclass(frozen=True, eq=False)
class Box:
    """Intensities on a 1 mm grid around a left structure; ``inside`` marks the scan's field."""

    array: Float32[np.ndarray, "i j k"]
    inside: Bool[np.ndarray, "i j k"]


@dataclass(frozen=True, eq=False)
class Looked:
    """What was found in a box: each member's probabilities, and features of its picture.

    ``features`` are those of the first network's coarsest layer, None where nothing gives any.
    """

    probability: Float32[np.ndarray, "member structure i j k"]
    features: Float32[np.ndarray, " feature"] | None


@runtime_checkable
class Segmenter(Protocol):
    """Anything that turns 1 mm boxes around a left structure into probabilities."""

    @property
    def name(self) -> str:
        """The model's name and version, as the report states it."""

    @property
    def structures(self) -> tuple[str, ...]:
        """What the channels stand for; the first is background."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each member."""

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights file."""

    @property
    def runtime(self) -> str:
        """What computes it, and its version."""

    def __call__(self, boxes: Sequence[Box]) -> list[Float32[np.ndarray, "member structure _ _ _"]]:
        """Segment boxes of raw intensities; each result fills its box."""


@runtime_checkable
class Looking(Segmenter, Protocol):
    """A segmenter that also says what its networks see of a box."""

    def look(self, boxes: Sequence[Box]) -> list[Looked]:
        """Segment boxes, as a call does, with the features of each."""


@runtime_checkable
class FieldSegmenter(Protocol):
    """Anything that segments a whole scan on its own grid."""

    @property
    def name(self) -> str:
        """What the records call it."""

    @property
    def weights_sha256(self) -> str:
        """Hash of all weights."""

    def __call__(self, volume: Volume) -> Segmentation:
        """Segment a scan; each of its networks is a member."""


# What a model on the user's shelves says of itself, and what it has not from its network's model.
OF_USERS = {"name", "version", "network", "structures", "weights", "calibration", "card"}
FILES = ("weights", "calibration", "card")
NOTHING_SHIPPED: Mapping[str, Any] = {
    "repeatability": None,
    "dice": None,
    "features": None,
}
# Kinds of folders a user may bring.
OWN: Mapping[str, str] = {"nnunet": "segment.models.nnunet", "bundle": "segment.models.bundle"}


def is_own(name: str) -> bool:
    """Tell whether a segmenter is named as a kind and a folder, as in ``nnunet:FOLDER``."""
    kind, separator, _ = name.partition(":")
    return bool(separator) and kind in OWN


def load_own(name: str, *, is_trusted: bool = False) -> FieldSegmenter:
    """Load a folder that a user brought; raises ValueError where it cannot be used."""
    kind, _, folder = name.partition(":")
    load_folder = import_module(OWN[kind]).load
    return cast(FieldSegmenter, load_folder(Path(folder), is_trusted=is_trusted))


def available() -> tuple[str, ...]:
    """Name the models that have a folder here or on the user's shelves."""
    return known(__package__, MODEL)


def shipped() -> tuple[str, ...]:
    """Name the models that have a folder here."""
    return shelved(__package__, MODEL)


def describe(name: str) -> Mapping[str, Any]:
    """Read a model's own facts; raises ValueError for an unknown name.

    A model of the user's has the network of one that has a folder here, and nothing that could run
    code of its own.
    """
    if name not in available():
        msg = f"unknown segmenter {name!r}; there are {', '.join(available())}"
        raise ValueError(msg)
    facts = tomllib.loads(place(name).joinpath(MODEL).read_text(encoding="utf-8"))
    if name in shipped():
        return facts
    if wrong := sorted(facts.keys() ^ OF_USERS):
        msg = f"model {name}: the keys {wrong} are missing or unknown; it takes {sorted(OF_USERS)}"
        raise ValueError(msg)
    if facts["network"] not in shipped():
        msg = f"model {name}: expected the network of a shipped model, found {facts['network']!r}"
        raise ValueError(f"{msg}; take the folder off the shelf")
    if outside := [facts[key] for key in FILES if not _is_plain(facts[key])]:
        msg = f"model {name}: expected names of files of its own folder, found {outside[0]!r}"
        raise ValueError(f"{msg}; take the folder off the shelf")
    return {**describe(facts["network"]), **NOTHING_SHIPPED, **facts}


def _is_plain(file: str) -> bool:
    """Whether a file's name leads nowhere but to its own folder."""
    return bool(file) and file != ".." and file == PurePath(file).name and "\\" not in file


def roles_of(name: str) -> tuple[str, ...]:
    """Return the sequences that a network is given, a channel each; none where it takes any one."""
    return tuple(describe(name).get("sizes", {}).get("roles", ()))


def place(name: str) -> Traversable:
    """Return where a model's folder lies."""
    return folder(__package__, name, MODEL)


def is_trained(name: str) -> bool:
    """Whether a model's weights lie in its folder."""
    return place(name).joinpath(str(describe(name)["weights"])).is_file()


def load(
    name: str, weights: Path | None = None, runtime: Runtime = "torch", effort: Effort = EFFORT
) -> Segmenter:
    """Import one model and load its weights, the shipped ones unless others are given.

    ``runtime`` is what runs a network and ``effort`` how it says how sure it is; nothing else has
    any. Raises ValueError for a model that has no weights yet, for a runtime that cannot be had
    and for an effort that the model or the runtime cannot spend.
    """
    facts = describe(name)
    if weights is None:
        _expect_trained(name)
    module, _, attribute = str(facts["factory"]).partition(":")
    chosen = {"runtime": runtime} if "sizes" in facts else {}
    segmenter = getattr(import_module(module), attribute)(name, weights, **chosen)
    if effort == EFFORT:
        return cast(Segmenter, segmenter)
    if "sizes" not in facts:
        msg = f"{name} has no network to spend the effort {effort!r} on; choose {EFFORT!r}"
        raise ValueError(msg)
    spend = import_module("segment.models.effort").spend
    return cast(Segmenter, spend(segmenter, effort))


def calibrated(name: str, calibration: Path | None = None) -> Calibrated:
    """Read the calibration shipped with a model, or another; raises ValueError where none is."""
    if calibration is None:
        _expect_trained(name)
    if roles := roles_of(name):
        msg = f"expected a network of one sequence, found {name}, which is given {', '.join(roles)}"
        raise ValueError(f"{msg}; choose unet")
    if calibration is not None:
        return Calibrated.from_json(calibration.read_text(encoding="utf-8"))
    if "calibration" not in describe(name):
        msg = f"{name} has no calibration, so no interval and no report; choose unet"
        raise ValueError(msg)
    text = place(name).joinpath(str(describe(name)["calibration"]))
    return Calibrated.from_json(text.read_text(encoding="utf-8"))


def repeatability(name: str) -> Repeatability:
    """Read the repeatability shipped with a model, if there is one."""
    file = describe(name).get("repeatability")
    if file is None:
        return Repeatability.unknown()
    text = place(name).joinpath(str(file)).read_text(encoding="utf-8")
    return Repeatability.from_toml(text)


def familiar(name: str) -> Familiar:
    """Read what the calibration cases of a model look like; nothing where nobody kept it."""
    file = describe(name).get("features")
    if file is None:
        return Familiar()
    with as_file(place(name).joinpath(str(file))) as path:
        return Familiar.read(path)


def dice_curves(name: str) -> Mapping[str, DiceCurve]:
    """Read what a model's members' agreement went with, by structure; nothing where none is."""
    file = describe(name).get("dice")
    if file is None:
        return {}
    return curves_from_toml(place(name).joinpath(str(file)).read_text(encoding="utf-8"))


def figures(name: str) -> tuple[str, ...]:
    """Return the figures of a model's card, a sentence each; "no results" where there are none."""
    if not is_trained(name):
        return (f"untrained; `{_training(name)}` trains it",)
    path = place(name).joinpath("figures.txt")
    if not path.is_file():
        return ("no results",)
    return tuple(path.read_text(encoding="utf-8").splitlines())


def _expect_trained(name: str) -> None:
    if not is_trained(name):
        msg = f"{name} has no weights yet; train it with `{_training(name)}`, or choose unet"
        raise ValueError(msg)


def _training(name: str) -> str:
    return f"voxcite train segmenter --network {name}"
