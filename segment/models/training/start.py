"""What a network begins with, and the schedule that suits it. Knows nothing of cases or losses."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from segment.models.network import state_of
from segment.models.training.schedules import SCRATCH, Schedule, check_schedule, schedules


@dataclass(frozen=True)
class Fit:
    """Which of a network's tensors a checkpoint held in the same shape, and which are new."""

    read: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class Start:
    """Where a training begins: ``init`` are weights in safetensors, or nothing.

    They are those of one run, of a pretraining, or the packed ones of an ensemble, of which each
    run takes a member. Raises ValueError for a schedule that has no name, and without
    weights for any but ``scratch``.
    """

    init: Path | None = None
    schedule: str = SCRATCH

    def __post_init__(self) -> None:
        check_schedule(self.schedule)
        if self.init is None and self.schedule != SCRATCH:
            msg = f"expected weights to begin with for the schedule {self.schedule}, found none"
            raise ValueError(f"{msg}; give --init CHECKPOINT, or leave --schedule out")

    @cached_property
    def told(self) -> str:
        """Name it, as weights and checkpoints do: the schedule, and the hash of what was read."""
        if self.init is None:
            return self.schedule
        return f"{self.schedule} from {hashlib.sha256(self.init.read_bytes()).hexdigest()}"

    @property
    def numbers(self) -> Schedule:
        """The numbers of the schedule."""
        return schedules()[self.schedule]

    def load_into(self, network: nn.Module, seed: int) -> Fit:
        """Put what fits into a network; raises ValueError where nothing does."""
        wanted = state_of(network)
        if self.init is None:
            return Fit((), tuple(wanted))
        held = _member(_tensors(self.init), seed)
        fitting = {
            name: held[name].float()
            for name, tensor in wanted.items()
            if name in held and held[name].shape == tensor.shape
        }
        if not fitting:
            msg = f"{self.init.name}: expected weights of this network, found none that fit"
            raise ValueError(f"{msg}; give a checkpoint of the same --network")
        network.load_state_dict(fitting, strict=False)
        return Fit(tuple(fitting), tuple(name for name in wanted if name not in fitting))


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        msg = f"{path.name}: expected weights in safetensors, found something else"
        raise ValueError(f"{msg}; give the weights.safetensors of a run") from error


def _member(tensors: Mapping[str, Tensor], seed: int) -> Mapping[str, Tensor]:
    """Return the tensors of one network: those of the ensemble's member that a seed falls on."""
    seeds = sorted({int(key.partition("/")[0]) for key in tensors if _is_packed(key)})
    if not seeds:
        return tensors
    start = f"{seeds[seed % len(seeds)]}/"
    return {k.removeprefix(start): tensor for k, tensor in tensors.items() if k.startswith(start)}


def _is_packed(key: str) -> bool:
    """Whether a tensor is of a member of an ensemble."""
    seed, slash, _ = key.partition("/")
    return bool(slash) and seed.isdecimal()
