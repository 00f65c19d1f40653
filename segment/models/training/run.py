"""Train the ensemble and its out-of-fold twins. Knows nothing of calibration or of reports.

One command trains every run of the plan; a run that was interrupted goes on from its last
checkpoint with the same random numbers, and a run that is finished is left alone.
"""

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from monai.losses.dice import DiceCELoss
from safetensors.torch import save_file
from torch import Tensor, nn

from segment.models.network import build_network, parameters_of, state_of
from segment.models.training.cases import augmentation, read_cases
from segment.models.training.plan import Run, TrainingPlan, plan_runs
from segment.models.windows import around, cut
from segment.resume import cut_log, replacing


@dataclass(frozen=True)
class Progress:
    """One epoch of one run, for whoever shows it."""

    run: str
    epoch: int
    epochs: int
    loss: float


def untrained(plan: TrainingPlan) -> nn.Module:
    """Build the network of a plan as it is before training."""
    return build_network(plan.network, plan.patch, len(plan.structures), plan.sizes, "batch")


def parameters(plan: TrainingPlan) -> int:
    """Count the parameters of one member."""
    return parameters_of(untrained(plan))


class Trainer:
    """One run in memory: network, optimiser, schedule and augmentation."""

    def __init__(self, plan: TrainingPlan, run: Run, cases: list[dict[str, Tensor]]) -> None:
        if len(cases) < plan.batch:
            msg = f"{len(cases)} cases do not fill a batch of {plan.batch}; make the batch smaller"
            raise ValueError(msg)
        torch.manual_seed(run.seed)
        self.plan, self.run, self.cases = plan, run, cases
        self.network = untrained(plan)
        self.steps_per_epoch = len(cases) // plan.batch
        self.loss = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False, batch=True)
        self.epoch = 0
        self.epochs = run.epochs + plan.settling_epochs
        self._begin_stage()

    def _begin_stage(self) -> None:
        """Take the optimiser and the schedule of the stage that ``epoch`` belongs to."""
        plan = self.plan
        rate = plan.settling_learning_rate if self._is_settling else plan.learning_rate
        epochs = plan.settling_epochs if self._is_settling else self.run.epochs
        steps = max(1, epochs) * self.steps_per_epoch + 1
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=rate, weight_decay=plan.weight_decay
        )
        self.schedule: torch.optim.lr_scheduler.LRScheduler
        if self._is_settling:
            self.schedule = torch.optim.lr_scheduler.PolynomialLR(self.optimiser, steps)
        else:
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, rate, steps)

    @property
    def _is_settling(self) -> bool:
        """Whether the last stage has come: nearly plain crops, in small steps."""
        return self.epoch >= self.run.epochs

    def train_one_epoch(self) -> float:
        """Go once through the cases; return the mean loss.

        The order and the augmentation depend on seed and epoch alone, so that a resumed run
        sees what an uninterrupted one would have seen.
        """
        if self.epoch == self.run.epochs:
            self._begin_stage()
        order = np.random.default_rng([self.run.seed, self.epoch]).permutation(len(self.cases))
        strength = self.plan.settling_strength if self._is_settling else 1.0
        augment = augmentation(self.plan.patch, self.run.seed * 10_000 + self.epoch, strength)
        total = 0.0
        for step in range(self.steps_per_epoch):
            chosen = order[step * self.plan.batch : (step + 1) * self.plan.batch]
            samples = [augment(self.cases[index]) for index in chosen]
            images = torch.stack([s["image"].as_tensor() for s in samples])
            labels = torch.stack([s["label"].as_tensor() for s in samples])
            total += self.step(images.to(memory_format=torch.channels_last_3d), labels)
        self.epoch += 1
        return total / self.steps_per_epoch

    def step(
        self, images: Float32[Tensor, "batch 1 i j k"], labels: Float32[Tensor, "batch 1 i j k"]
    ) -> float:
        """Take one optimiser step in bf16 autocast; return the loss."""
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(images)
        loss = self.loss(logits.float(), labels)
        if not torch.isfinite(loss):
            msg = f"{self.run.name}: the loss is not finite; lower learning_rate or enlarge patch"
            raise ValueError(msg)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        return float(loss.detach())

    @torch.no_grad()
    def take_statistics(self) -> None:
        """Take the norms' statistics anew: those of the plain crops, each around its structure."""
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.reset_running_stats()
                module.momentum = None  # a plain mean over the batches
        for start in range(0, len(self.cases) - self.plan.batch + 1, self.plan.batch):
            self.network(torch.stack([_window(c) for c in self.cases[start:][: self.plan.batch]]))

    def save(self, path: Path) -> None:
        """Write a checkpoint that a resumed run goes on from."""
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
        }
        with replacing(path) as temporary:
            torch.save(state, temporary)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; raises ValueError when it is another architecture's."""
        state = torch.load(path, weights_only=True)
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            msg = (
                f"{self.run.name}: expected a checkpoint of {self.plan.network}, found another"
                " architecture's; give another --runs folder"
            )
            raise ValueError(msg) from error
        self.epoch = state["epoch"]
        if self.epoch > self.run.epochs:
            self._begin_stage()
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])


def train_run(plan: TrainingPlan, run: Run, data: Path, output: Path) -> Iterator[Progress]:
    """Train one run, or the rest of it; yield each epoch; write its weights as safetensors."""
    folder = output / run.name
    folder.mkdir(parents=True, exist_ok=True)
    weights, checkpoint, log = (folder / n for n in ("weights.safetensors", "last.pt", "log.csv"))
    if weights.exists():
        return
    trainer = Trainer(plan, run, read_cases(data / plan.images, data / plan.labels, run.train))
    if checkpoint.exists():
        trainer.resume(checkpoint)
    cut_log(log, trainer.epoch)
    while trainer.epoch < trainer.epochs:
        loss = trainer.train_one_epoch()
        with log.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([trainer.epoch, f"{loss:.5f}"])
        if trainer.epoch % plan.checkpoint_every_epochs == 0:
            trainer.save(checkpoint)
        yield Progress(run.name, trainer.epoch, trainer.epochs, loss)
    trainer.take_statistics()
    told = {"run": run.name, "seed": str(run.seed)}
    with replacing(weights) as temporary:
        save_file(state_of(trainer.network), temporary, metadata=told)


def _window(case: dict[str, Tensor]) -> Float32[Tensor, "1 i j k"]:
    """Cut the window that a trained network sees."""
    placed = around(case["label"][0].numpy() > 0)
    return torch.from_numpy(cut(case["image"][0].numpy(), placed.starts[0]))[None]


def train(
    plan: TrainingPlan, data: Path, output: Path, *, share: int = 0, shares: int = 1
) -> Iterator[Progress]:
    """Train every run of the plan, or every ``shares``-th one of several processes.

    They share this machine's cores, unless OMP_NUM_THREADS says how many each has.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // shares))
    split = json.loads((data / plan.split).read_text(encoding="utf-8"))
    for run in plan_runs(plan, split)[share::shares]:
        yield from train_run(plan, run, data, output)
