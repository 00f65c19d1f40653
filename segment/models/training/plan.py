"""What is trained: every number of it, and which run sees which case. Knows nothing of networks."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segment.models import describe
from segment.models.windows import WINDOW
from segment.table import COUNT, NATURAL, POSITIVE, Range, check_ranges, read_as

PRECISIONS = ("bfloat16", "float32")
RANGES: Mapping[str, Range] = {
    **dict.fromkeys(("batch", "epochs", "checkpoint_every_epochs"), COUNT),
    **dict.fromkeys(("members", "folds", "fold_members", "fold_epochs"), NATURAL),
    **dict.fromkeys(("weight_decay", "settling_epochs"), NATURAL),
    **dict.fromkeys(("settling_learning_rate", "settling_strength"), NATURAL),
    "learning_rate": POSITIVE,
}


@dataclass(frozen=True)
class TrainingPlan:
    """Every number of a training, as read from its TOML file.

    ``sizes`` stand in the place of those in the network's own ``model.toml``.
    """

    network: str
    sizes: Mapping[str, Any]
    images: str
    labels: str
    split: str
    case: str
    structures: tuple[str, ...]
    patch: tuple[int, int, int]
    batch: int
    epochs: int
    learning_rate: float
    weight_decay: float
    settling_epochs: int
    settling_learning_rate: float
    settling_strength: float
    checkpoint_every_epochs: int
    precision: str
    fully_sharded: bool
    members: int
    folds: int
    fold_members: int
    fold_epochs: int

    def __post_init__(self) -> None:
        check_ranges(self, RANGES)
        if len(self.structures) < 2 or min(self.patch) < 1:
            msg = "expected a background and a structure or more, and a patch of 1 voxel or more"
            raise ValueError(f"{msg}, found {self.structures} and {self.patch}; change them")
        check_network(self.network, self.patch)
        check_precision(self.precision)

    def check_shared(self, processes: int) -> None:
        """Raise ValueError where so many processes cannot have equal parts of a batch."""
        if self.batch % processes:
            msg = f"a batch of {self.batch} does not divide among {processes} processes"
            raise ValueError(f"{msg}; make batch a multiple of {processes}")

    @classmethod
    def read(cls, path: Path) -> "TrainingPlan":
        """Read a plan; raises ValueError, naming the key, for what is not of it."""
        return read_as(cls, path)


@dataclass(frozen=True)
class Run:
    """One network to train: which cases it sees, which judge it, its fold (if any) and seed."""

    name: str
    seed: int
    fold: int | None
    epochs: int
    train: tuple[int, ...]
    held_out: tuple[int, ...]


def check_network(network: str, patch: tuple[int, int, int]) -> None:
    """Raise ValueError for what has no network, and for one that cannot look at such windows."""
    facts = describe(network)
    if "sizes" not in facts:
        msg = f"{network} has no network and learns nothing; choose another"
        raise ValueError(msg)
    if facts.get("has_one_window", False) and patch != WINDOW:
        wanted, found = (" x ".join(map(str, size)) for size in (WINDOW, patch))
        msg = f"{network} looks at windows of {wanted} voxels, not {found}; change patch"
        raise ValueError(msg)


def check_precision(precision: str) -> None:
    """Raise ValueError for a precision that nothing here is trained in."""
    if precision not in PRECISIONS:
        msg = f"precision: expected {' or '.join(PRECISIONS)}, found {precision!r}; change it"
        raise ValueError(msg)


def subject_of(case: int) -> int:
    """Name the subject of a case: ids 2k-1 and 2k are the two hippocampi of one head."""
    return (case + 1) // 2


def case_name(case: int, pattern: str = "hippocampus_{:03d}.nii.gz") -> str:
    """Name the file of a case."""
    return pattern.format(case)


def fold_of(case: int, folds: int, rng_seed: int = 0) -> int:
    """Assign a case to a fold so that both sides of a subject fall into the same one."""
    return int(np.random.default_rng([rng_seed, subject_of(case)]).integers(folds))


def read_split(path: Path) -> Mapping[str, Any]:
    """Read which cases learn and which judge, by their ids under ``train`` and ``val``.

    Raises ValueError for what is no such list, for an id that stands there twice, and for a subject
    who learns and judges.
    """
    try:
        split: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{path.name}: expected JSON, found something else; write it anew"
        raise ValueError(msg) from error
    ids: list[Any] = (
        [split.get(part) for part in ("train", "val")] if isinstance(split, dict) else [None]
    )
    if not all(isinstance(part, list) and all(type(i) is int for i in part) for part in ids):
        msg = f"{path.name}: expected lists of whole numbers under train and val, found others"
        raise ValueError(f"{msg}; correct it")
    times = Counter(case for part in ids for case in part)
    if twice := sorted(case for case, count in times.items() if count > 1):
        msg = f"{path.name}: expected each id once in train and val together, found {twice[0]}"
        raise ValueError(f"{msg} {times[twice[0]]} times; take out what is repeated")
    learn, judge = ({subject_of(case): case for case in part} for part in ids)
    if both := sorted(learn.keys() & judge.keys()):
        cases = f"{learn[both[0]]} under train and {judge[both[0]]} under val"
        msg = f"{path.name}: expected both sides of a head under train or both under val, found"
        raise ValueError(f"{msg} {cases}; move one of them")
    found: Mapping[str, Any] = split
    return found


def plan_runs(plan: TrainingPlan, split: Mapping[str, Any]) -> tuple[Run, ...]:
    """List the runs of a plan: the shipped members first, then each fold's.

    ``split`` holds the cases under ``train`` and ``val``; under ``folds`` it may list those that
    each fold leaves out, which else are drawn. Raises ValueError for folds that do not leave out
    each subject of ``train`` once.
    """
    train, held_out = tuple(split["train"]), tuple(split["val"])
    runs = [Run(f"member{s}", s, None, plan.epochs, train, held_out) for s in range(plan.members)]
    drawn: Mapping[int, int] = {}
    if plan.folds:
        drawn = {case: fold_of(case, plan.folds) for case in train}
    if "folds" in split:
        drawn = _chosen_folds(plan, train, split["folds"])
    for fold in range(plan.folds):
        outside = tuple(c for c in train if drawn[c] == fold)
        inside = tuple(c for c in train if drawn[c] != fold)
        for member in range(plan.fold_members):
            seed = 1000 + 100 * fold + member
            name = f"fold{fold}-{member}"
            runs.append(Run(name, seed, fold, plan.fold_epochs, inside, outside))
    return tuple(runs)


def _chosen_folds(
    plan: TrainingPlan, train: Sequence[int], folds: Sequence[Sequence[int]]
) -> Mapping[int, int]:
    """Return the fold of each case as a split lists them; raises ValueError for what leaks."""
    if len(folds) != plan.folds:
        msg = f"expected as many folds in {plan.split} as the plan has, {plan.folds}, found"
        raise ValueError(f"{msg} {len(folds)}; change either")
    listed = [case for cases in folds for case in cases]
    if wrong := sorted({*listed} ^ {*train}) or [c for c in train if listed.count(c) > 1]:
        msg = f"expected each case of train once among the folds of {plan.split}, and no other"
        raise ValueError(f"{msg}, found case {wrong[0]} otherwise; correct the folds")
    owners: dict[int, int] = {}
    for fold, cases in enumerate(folds):
        for case in cases:
            if owners.setdefault(subject_of(case), fold) != fold:
                msg = f"expected both sides of a subject in one fold of {plan.split}, found those"
                raise ValueError(f"{msg} of subject {subject_of(case)} in two; correct the folds")
    return {case: owners[subject_of(case)] for case in train}
