"""What is asked for, and every number of how it is learnt. Knows nothing of files that are read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segment import models, organs
from segment.adapt.crops import Centre
from segment.models.training.plan import TrainingPlan, check_precision
from segment.models.training.schedules import check_schedule
from segment.models.windows import WINDOW
from segment.organs.snomed import check_code
from segment.register import template
from segment.segmentation import Side
from segment.table import COUNT, NATURAL, POSITIVE, Range, check_ranges, read_as

BACKGROUND = "background"
RANGES: Mapping[str, Range] = {
    **dict.fromkeys(("steps", "fold_steps", "least_epochs", "batch"), COUNT),
    **dict.fromkeys(("checkpoint_every_epochs", "members", "fold_members"), COUNT),
    **dict.fromkeys(("weight_decay", "settling_epochs"), NATURAL),
    **dict.fromkeys(("settling_learning_rate", "settling_strength"), NATURAL),
    "learning_rate": POSITIVE,
}
NAME = re.compile(r"[a-z]+( [a-z]+)*")  # what stands in sentences holds no number


@dataclass(frozen=True)
class AdaptPlan:
    """Every number of an adaptation, as read from its TOML file.

    A run takes about so many steps, whatever the number of crops: its epochs follow.
    """

    schedule: str
    steps: int
    fold_steps: int
    least_epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    settling_epochs: int
    settling_learning_rate: float
    settling_strength: float
    checkpoint_every_epochs: int
    precision: str
    members: int
    folds: int
    fold_members: int

    def __post_init__(self) -> None:
        check_ranges(self, RANGES)
        check_schedule(self.schedule)
        check_precision(self.precision)
        if self.folds < 2:
            msg = f"expected at least 2 folds to judge what is learnt, found {self.folds}"
            raise ValueError(f"{msg}; change folds")

    @classmethod
    def read(cls, path: Path) -> "AdaptPlan":
        """Read a plan; raises ValueError, naming the key, for what is not of it."""
        return read_as(cls, path)

    def training(
        self, network: str, case: str, structures: Sequence[str], crops: int
    ) -> TrainingPlan:
        """Return the plan of the training on so many crops; background comes first."""
        return TrainingPlan(
            network=network,
            sizes={},
            images="images",
            labels="labels",
            split="split.json",
            case=case,
            structures=(BACKGROUND, *structures),
            patch=WINDOW,
            batch=self.batch,
            epochs=self._epochs(self.steps, crops),
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            settling_epochs=self.settling_epochs,
            settling_learning_rate=self.settling_learning_rate,
            settling_strength=self.settling_strength,
            checkpoint_every_epochs=self.checkpoint_every_epochs,
            precision=self.precision,
            fully_sharded=False,
            members=self.members,
            folds=self.folds,
            fold_members=self.fold_members,
            fold_epochs=self._epochs(self.fold_steps, crops * (self.folds - 1) // self.folds),
        )

    def _epochs(self, steps: int, crops: int) -> int:
        return max(self.least_epochs, -(-steps // max(1, crops // self.batch)))


@dataclass(frozen=True)
class Request:
    """What a user asks for: an organ, its scans, and what is known of it.

    ``names`` are those of the structures by the values of their labels; ``centre_mm`` is where the
    left one, or the only one, lies in the template, and None where whole heads show it.
    """

    organ: str
    images: Path
    labels: Path
    plan: AdaptPlan
    names: Mapping[int, str] = field(default_factory=dict)
    sides: tuple[Side, ...] = ("left", "right")
    centre_mm: Centre | None = None
    code: str = organs.UNSAID_CODE
    coverage: float = 0.9
    subjects: Path | None = None

    def __post_init__(self) -> None:
        for name in (self.organ, *self.names.values()):
            if not NAME.fullmatch(name):
                msg = f"expected a name in small letters without numbers, found {name!r}"
                raise ValueError(f"{msg}; call the organ or the structure otherwise")
        check_code(self.code)
        if self.centre_mm is not None:
            _check_centre(self.centre_mm, self.sides)
        if not 0 < self.coverage < 1:
            msg = f"coverage is a share between 0 and 1, not {self.coverage}"
            raise ValueError(msg)
        if self.folder in {*organs.available(), *models.available()}:
            msg = f"expected a new organ, found one that is called {self.organ}; choose another"
            raise ValueError(f"{msg} name, or take that one from the shelves")

    @property
    def folder(self) -> str:
        """The name of the organ's folder, of its exam and of its model."""
        return self.organ.replace(" ", "_")


def _check_centre(centre_mm: Centre, sides: Sequence[Side]) -> None:
    """Refuse a place outside the template, or on the right for the left one; raises ValueError."""
    grid = template().geometry
    ends = grid.to_world(np.array([(0, 0, 0), [n - 1 for n in grid.shape]], np.float64))
    low, high = ends.min(axis=0), ends.max(axis=0)
    found = ",".join(f"{value:g}" for value in centre_mm)
    if not ((low <= centre_mm) & (centre_mm <= high)).all():
        held = ", ".join(f"{a:g} to {b:g}" for a, b in zip(low, high, strict=True))
        msg = f"expected a place in the MNI152 template, {held} mm, found {found}"
        raise ValueError(f"{msg}; give --centre=X,Y,Z of the structure")
    if "left" in sides and centre_mm[0] >= 0:
        msg = f"expected the place of the left one, whose X is negative, found {found}"
        raise ValueError(f"{msg}; give --centre=X,Y,Z of the left one")


def nearest(centre_mm: Centre) -> str:
    """Name the shipped network whose organ lies nearest to a place of the template.

    None of the user's own: it may have seen the very subjects that are left out to judge this one.
    """
    found = []
    for name in models.shipped():
        facts = models.describe(name)
        if "sizes" not in facts or not models.is_trained(name):
            continue
        for organ in map(organs.load, organs.available()):
            labels = {label for structure in organ.structures for label in structure.labels}
            for place in organ.centre_mni_mm.values():
                if labels <= set(facts["structures"]):
                    apart = sum((a - b) ** 2 for a, b in zip(place, centre_mm, strict=True))
                    found.append((apart, name))
    return min(found)[1]
