"""Pretrain one network on a GPU, where torch sees one, or the rest of it.

Knows nothing of what it is for.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from segment.models.devices import device_here
from segment.models.network import state_of
from segment.models.pretraining.pictures import Windows, digest_of, find_pictures, read_pictures
from segment.models.pretraining.plan import PretrainingPlan
from segment.models.pretraining.pretexts import PRETEXTS
from segment.models.training.processes import state_of_optimiser, whole
from segment.resume import cut_log, replacing
from segment.volume import Volume

WEIGHTS = "weights.safetensors"
COLUMNS = ("step", "loss")  # of the log


@dataclass(frozen=True)
class Progress:
    """Some steps of a pretraining, for whoever shows it; ``loss`` is their mean."""

    step: int
    steps: int
    loss: float


class Pretrainer:
    """One pretraining in memory: a task, its optimiser and its schedule."""

    def __init__(
        self, plan: PretrainingPlan, pretext: str, windows: Windows, told: Mapping[str, str]
    ) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.windows, self.name = plan, windows, pretext
        self.told = dict(told)
        self.pretext = PRETEXTS[pretext](plan)
        self.learning = self.pretext.learning().to(device_here())
        self.optimiser = torch.optim.AdamW(
            self.learning.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, plan.learning_rate, plan.steps + 1
        )
        self.done = 0

    def step(self) -> float:
        """Take one step; return the loss."""
        loss = self.pretext.loss(self.windows, self.done)
        if not torch.isfinite(loss):
            msg = f"{self.name}: the loss is not finite; lower learning_rate"
            raise ValueError(msg)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.learning.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        self.done += 1
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Write a checkpoint that a resumed pretraining goes on from."""
        state = {
            "told": self.told,
            "learning": {
                name: whole(tensor) for name, tensor in self.learning.state_dict().items()
            },
            "optimiser": state_of_optimiser(self.optimiser),
            "schedule": self.schedule.state_dict(),
            "done": self.done,
        }
        with replacing(path) as temporary:
            torch.save(state, temporary)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; raises ValueError when it is of another pretraining."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        _check_told(state["told"], self.told, self.plan)
        self.learning.load_state_dict(state["learning"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.done = state["done"]


def pretrain(
    plan: PretrainingPlan,
    pretext: str,
    folders: Sequence[Path],
    output: Path,
    others: Iterable[Volume] = (),
) -> Iterator[Progress]:
    """Pretrain on all scans below some folders; write weights.safetensors and log.csv.

    One that was interrupted goes on from its last checkpoint, a finished one is left alone; raises
    ValueError where ``output`` holds that of another task or plan, or of other scans.
    """
    if pretext not in PRETEXTS:
        msg = f"expected one of {', '.join(PRETEXTS)}, found {pretext!r}; name one of them"
        raise ValueError(msg)
    weights, checkpoint, log = (output / n for n in (WEIGHTS, "last.pt", "log.csv"))
    volumes = tuple(others)
    paths = find_pictures(folders, volumes)
    told = _told(plan, pretext, digest_of(paths, volumes))
    if weights.exists():
        with safe_open(weights, "pt") as tensors:
            _check_told(tensors.metadata() or {}, told, plan)
        return
    output.mkdir(parents=True, exist_ok=True)
    windows = Windows(read_pictures(paths, volumes), plan.patch, plan.seed)
    trainer = Pretrainer(plan, pretext, windows, told)
    if checkpoint.exists():
        trainer.resume(checkpoint)
    cut_log(log, trainer.done + 1)  # the first line is the header
    if not log.exists():
        with log.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(COLUMNS)
    unseen: list[float] = []
    while trainer.done < plan.steps:
        loss = trainer.step()
        unseen.append(loss)
        with log.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([trainer.done, f"{loss:.5f}"])
        if trainer.done % plan.checkpoint_every_steps == 0:
            trainer.save(checkpoint)
        if trainer.done % plan.report_every_steps == 0 or trainer.done == plan.steps:
            yield Progress(trainer.done, plan.steps, sum(unseen) / len(unseen))
            unseen = []
    with replacing(weights) as temporary:
        found = {name: whole(tensor) for name, tensor in state_of(trainer.pretext.network).items()}
        save_file(found, temporary, metadata=trainer.told)


def _told(plan: PretrainingPlan, pretext: str, scans: str) -> dict[str, str]:
    """Name a pretraining, as its weights and checkpoints do; ``scans`` is the hash of its scans."""
    return {"pretext": pretext, "plan": json.dumps(asdict(plan)), "scans": scans}


def _check_told(found: Mapping[str, str], told: Mapping[str, str], plan: PretrainingPlan) -> None:
    """Raise ValueError where what is there is of another pretraining."""
    others = [key for key in told if found.get(key) != told[key]]
    if others == ["scans"]:
        msg = f"expected a pretraining of the same scans by {told['pretext']}, found one of others"
        raise ValueError(f"{msg}; give another --runs folder")
    if others:
        msg = f"expected a pretraining of {plan.network} by {told['pretext']} with the same plan"
        raise ValueError(f"{msg}, found another; give another --runs folder")
