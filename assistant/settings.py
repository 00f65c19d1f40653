"""What a user may choose. Nothing else in the project reads configuration."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from segment.effort import EFFORT, Effort
from segment.intervals import Grouping
from segment.runtime import Runtime

DEFAULT_READER = "none"  # "auto" from the day on which its figures on whole heads are known
DEFAULT_EXAM = "hippocampus"
Precision = Literal["bfloat16", "float32", "4bit"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Settings:
    """One run of the assistant; everything else follows from the exam.

    ``writer``, ``segmenter`` and ``coverage`` override the exam's, and ``intervals`` the
    calibration's choice of the cases that judge a count: "pooled" for all, "size" for those of its
    size, "weighted" for all by weights that it holds. The segmenter
    ``nnunet:FOLDER`` or ``bundle:FOLDER`` is for an exam that has none, and ``trust`` lets the
    files of such a folder run code. ``weights`` is a folder that `voxcite calibrate` wrote: the
    segmenter's weights and their intervals; ``repeatability`` is a file that `voxcite
    repeatability` wrote of these, for changes. ``runtime`` is what runs its networks: "torch", or
    "openvino", or "openvino-bfloat16" for half precision, or "cuda" for torch on a GPU, or "auto"
    for the GPU where there is one, else for OpenVINO where it is installed and can. ``effort`` is
    how they say how sure they are: all of the ensemble, or its first alone, by "temperature",
    "augmentation" or "dropout", which no interval was calibrated for. ``reader`` is the name of
    one, "none", or "auto" for the first that is installed with its weights. ``model`` is what a
    writer with a language model writes with: None for the embedded one, else a folder or a name on
    the hub; ``adapter`` is a folder. ``server`` is the address of an OpenAI-compatible server, and
    ``model`` then a name in its list. With ``fallback`` the template writes where the model cannot
    be had, and the report says so.
    """

    exam: str = DEFAULT_EXAM
    language: str = "en"
    writer: str | None = None
    reader: str = DEFAULT_READER
    segmenter: str | None = None
    weights: str | None = None
    repeatability: str | None = None
    runtime: Runtime = "torch"
    effort: Effort = EFFORT
    trust: bool = False
    coverage: float | None = None
    intervals: Grouping | None = None
    model: str | None = None
    adapter: str | None = None
    server: str | None = None
    precision: Precision = "bfloat16"
    device: Device = "auto"
    seed: int = 0
    fallback: bool = False

    def __post_init__(self) -> None:
        _expect_one_of("precision", self.precision, get_args(Precision))
        _expect_one_of("device", self.device, get_args(Device))
        _expect_one_of("runtime", self.runtime, get_args(Runtime))
        _expect_one_of("effort", self.effort, get_args(Effort))
        if self.intervals is not None:
            _expect_one_of("intervals", self.intervals, get_args(Grouping))
        if self.coverage is not None and not 0 < self.coverage < 1:
            msg = f"coverage is a share between 0 and 1, not {self.coverage}"
            raise ValueError(msg)

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """Read settings from TOML; unknown keys are refused."""
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(cls)}
        if unknown := sorted(table.keys() - known):
            msg = f"{path.name}: unknown settings {unknown}; known are {sorted(known)}"
            raise ValueError(msg)
        return cls(**table)


def _expect_one_of(name: str, found: str, known: tuple[str, ...]) -> None:
    if found not in known:
        msg = f"{name}: expected one of {', '.join(known)}, found {found!r}"
        raise ValueError(msg)
