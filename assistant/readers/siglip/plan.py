"""Every number of a reader's training, its runs, and how far one is. Knows no network."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assistant.readers.siglip.tower import Shape
from segment.table import COUNT, NATURAL, POSITIVE, SEED, Range, check_ranges, read_as

SHIPPED = "shipped"
HEAD_STREAM, HELD_OUT_STREAM, CAPTION_STREAM = 1, 2, 3  # of random numbers, beside the steps'
RANGES: Mapping[str, Range] = {
    **dict.fromkeys(("slices", "image", "patch", "width", "layers", "heads", "text_layers"), COUNT),
    **dict.fromkeys(("batch", "steps", "fold_steps", "head_pictures", "held_out_pictures"), COUNT),
    **dict.fromkeys(("checkpoint_every_steps", "report_every_steps"), COUNT),
    **dict.fromkeys(("warmup_steps", "weight_decay", "guide_weight"), NATURAL),
    **dict.fromkeys(("learning_rate", "head_penalty"), POSITIVE),
    "seed": SEED,
}

Stage = Literal["pictures", "contrastive", "heads", "held out"]


@dataclass(frozen=True)
class TrainingPlan:
    """Every number of a training, as read from its TOML file."""

    seed: int
    slices: int
    image: int
    patch: int
    width: int
    layers: int
    heads: int
    text_layers: int
    batch: int
    steps: int
    folds: int
    fold_steps: int
    warmup_steps: int
    learning_rate: float
    weight_decay: float
    guide_weight: float
    checkpoint_every_steps: int
    report_every_steps: int
    weakest: float
    strongest: float
    head_pictures: int
    head_penalty: float
    held_out_pictures: int

    def __post_init__(self) -> None:
        if self.folds < 2 or not 0 < self.weakest <= self.strongest <= 1:
            msg = "a plan takes two folds or more, and strengths of faults above 0 and up to 1"
            raise ValueError(msg)
        check_ranges(self, RANGES)

    @classmethod
    def read(cls, path: Path) -> "TrainingPlan":
        """Read a plan; raises ValueError, naming the key, for what is not of it."""
        return read_as(cls, path)

    @property
    def shape(self) -> Shape:
        """The towers to train."""
        return Shape(self.image, self.patch, self.width, self.layers, self.heads, self.text_layers)

    @property
    def strengths(self) -> tuple[float, float]:
        """From the weakest to the strongest fault."""
        return self.weakest, self.strongest


@dataclass(frozen=True)
class Run:
    """One tower to train; ``held_out`` is the fold that it never sees."""

    name: str
    seed: int
    steps: int
    held_out: int | None


@dataclass(frozen=True)
class Progress:
    """How far one stage of one run is, for whoever shows it."""

    run: str
    stage: Stage
    done: int
    of: int
    loss: float | None = None


def plan_runs(plan: TrainingPlan) -> tuple[Run, ...]:
    """List the runs of a plan: the shipped one, then each fold's."""
    folds = [Run(f"fold{n}", plan.seed + 1 + n, plan.fold_steps, n) for n in range(plan.folds)]
    return (Run(SHIPPED, plan.seed, plan.steps, None), *folds)
