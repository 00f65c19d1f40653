"""Train the ensemble and its out-of-fold twins. Knows nothing of calibration or of reports.

One command trains every run of the plan, in one process or in several that torchrun started. A run
that was interrupted goes on from its last checkpoint with the same random numbers, and a run that
is finished is left alone.
"""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float32
from monai.data.meta_tensor import MetaTensor
from monai.losses.dice import DiceCELoss
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from segment.models import roles_of
from segment.models.network import build_network, layers_of, parameters_of, state_of
from segment.models.training.cases import (
    augmentation,
    read_cases,
    sequence_augmentation,
    without_some,
)
from segment.models.training.plan import Run, TrainingPlan, case_name, plan_runs, read_split
from segment.models.training.processes import (
    Crew,
    pieces,
    put_optimiser,
    state_of_optimiser,
    whole,
)
from segment.models.training.schedules import SCRATCH
from segment.models.training.start import Fit, Start
from segment.models.training.together import share_norms, whole_batch
from segment.models.windows import around, cut
from segment.resume import cut_log, replacing

T = TypeVar("T")
FROM_SCRATCH = Start()


@dataclass(frozen=True)
class Progress:
    """One epoch of one run, for whoever shows it.

    ``samples_per_s`` counts those of all ``processes``.
    """

    run: str
    epoch: int
    epochs: int
    loss: float
    samples_per_s: float
    processes: int = 1


@dataclass(frozen=True)
class Stage:
    """Epochs that share an optimiser and its schedule.

    While it is held, only what no checkpoint held learns; when it settles, crops are nearly plain
    and steps become smaller.
    """

    begin: int
    end: int
    learning_rate: float
    is_held: bool = False
    is_settling: bool = False


def stages_of(plan: TrainingPlan, epochs: int, start: Start, fit: Fit) -> tuple[Stage, ...]:
    """List the stages of a run that learns for so many epochs before it settles."""
    numbers = start.numbers
    held = round(numbers.held_share * epochs) if fit.read and fit.new else 0
    settled = epochs + plan.settling_epochs
    stages = (
        Stage(0, held, plan.learning_rate, is_held=True),
        Stage(held, epochs, plan.learning_rate * numbers.rate_share),
        Stage(epochs, settled, plan.settling_learning_rate, is_settling=True),
    )
    return tuple(stage for stage in stages if stage.begin < stage.end)


def untrained(plan: TrainingPlan) -> nn.Module:
    """Build the network of a plan as it is before training."""
    return build_network(plan.network, plan.patch, len(plan.structures), plan.sizes, "batch")


def fit_of(plan: TrainingPlan, start: Start) -> Fit:
    """Say what of a network its start holds; raises ValueError where nothing fits."""
    return start.load_into(untrained(plan), 0)


def parameters(plan: TrainingPlan) -> int:
    """Count the parameters of one member."""
    return parameters_of(untrained(plan))


class Trainer:
    """One run in memory, seen from one process: network, optimiser, schedule and augmentation."""

    def __init__(
        self,
        plan: TrainingPlan,
        run: Run,
        cases: list[dict[str, Tensor]],
        crew: Crew,
        start: Start = FROM_SCRATCH,
    ) -> None:
        plan.check_shared(crew.count)
        if len(cases) < plan.batch:
            msg = f"{len(cases)} cases do not fill a batch of {plan.batch}; make the batch smaller"
            raise ValueError(msg)
        torch.manual_seed(run.seed)
        self.plan, self.run, self.cases = plan, run, cases
        self.crew, self.start = crew, start
        self.roles = roles_of(plan.network)
        self.network = untrained(plan)
        self.fit = start.load_into(self.network, run.seed)
        if crew.count > 1:
            share_norms(self.network, crew.count)
        if crew.is_sharded:
            self.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's stubs lack it
        self._module = crew.hold(self.network, layers_of(self.network))
        self.steps_per_epoch = len(cases) // plan.batch
        self.loss = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False, batch=True)
        self.epoch = 0
        self.stages = stages_of(plan, run.epochs, start, self.fit)
        self.epochs = self.stages[-1].end
        self._begin(self.stages[0])

    def _begin(self, stage: Stage) -> None:
        """Take the optimiser and the schedule of a stage."""
        self.stage = stage
        if self.keeps_statistics:
            for module in _norms(self.network):
                module.eval()
        held = set(self.fit.read) if stage.is_held else set()
        self._learning = [p for name, p in self.network.named_parameters() if name not in held]
        rate = stage.learning_rate
        steps = (stage.end - stage.begin) * self.steps_per_epoch + 1
        self.optimiser = torch.optim.AdamW(
            self._learning, lr=rate, weight_decay=self.plan.weight_decay
        )
        self.schedule: torch.optim.lr_scheduler.LRScheduler
        if stage.is_settling:
            self.schedule = torch.optim.lr_scheduler.PolynomialLR(self.optimiser, steps)
        else:
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, rate, steps)

    def train_one_epoch(self) -> float:
        """Go once through the cases; return the mean loss.

        The order and the augmentation of each case depend on seed and epoch alone, so that a
        resumed run sees what an uninterrupted one would have seen, and several processes together
        what one sees.
        """
        if self.epoch == self.stage.end:
            following = self._stage_at(self.epoch)
            if following.is_settling and self.roles:
                self.take_statistics()
            self._begin(following)
        order = np.random.default_rng([self.run.seed, self.epoch]).permutation(len(self.cases))
        total = 0.0
        for step in range(self.steps_per_epoch):
            chosen = order[step * self.plan.batch : (step + 1) * self.plan.batch].tolist()
            samples = [self._varied(index) for index in self._part(chosen)]
            images = torch.stack([s["image"].as_tensor() for s in samples])
            labels = torch.stack([s["label"].as_tensor() for s in samples])
            if self.roles:
                images = without_some(images, [self.run.seed, self.epoch, step])
            total += self.step(images.to(memory_format=torch.channels_last_3d), labels)
        self.epoch += 1
        return total / self.steps_per_epoch

    def _part(self, batch: Sequence[T]) -> Sequence[T]:
        """Cut out what this process sees of a batch."""
        return batch[self.crew.index :: self.crew.count]

    def _varied(self, index: int) -> dict[str, MetaTensor]:
        """Vary a case as its seed and the epoch say."""
        strength = self.plan.settling_strength if self.stage.is_settling else 1.0
        drawn = np.random.SeedSequence([self.run.seed, self.epoch, index]).generate_state(1)
        augment = sequence_augmentation if self.roles else augmentation
        varied: dict[str, MetaTensor] = augment(self.plan.patch, int(drawn[0]), strength)(
            self.cases[index]
        )
        return varied

    def _stage_at(self, epoch: int) -> Stage:
        """Return the stage that an epoch, counted from 0, belongs to."""
        return next(stage for stage in self.stages if epoch < stage.end)

    def step(
        self,
        images: Float32[Tensor, "batch channel i j k"],
        labels: Float32[Tensor, "batch 1 i j k"],
    ) -> float:
        """Take one optimiser step with this process's part of a batch; return the batch's loss."""
        crew, is_mixed = self.crew, self.plan.precision == "bfloat16"
        with torch.autocast(crew.device.type, torch.bfloat16, enabled=is_mixed):
            logits = self._module(images.to(crew.device))
        expert = whole_batch(labels.to(crew.device), crew.count)
        loss = self.loss(whole_batch(logits.float(), crew.count), expert)
        if not torch.isfinite(loss):
            msg = f"{self.run.name}: the loss is not finite; lower learning_rate or enlarge patch"
            raise ValueError(msg)
        self.network.zero_grad()  # what is held, too, has gradients: several processes share all
        loss.backward()
        nn.utils.clip_grad_norm_(self._learning, 1.0)
        self.optimiser.step()
        self.schedule.step()
        return float(loss.detach())

    @property
    def keeps_statistics(self) -> bool:
        """Whether the norms' statistics stay as they are while the network settles.

        A network of several sequences is used with those of its training, sequences missing or not,
        so it must learn to be right with them.
        """
        return bool(self.roles) and self.stage.is_settling

    @torch.no_grad()
    def take_statistics(self) -> None:
        """Take the norms' statistics anew: those of the plain crops, each around its structure."""
        self.network.train()
        for module in _norms(self.network):
            module.reset_running_stats()
            module.momentum = None  # a plain mean over the batches
        for start in range(0, len(self.cases) - self.plan.batch + 1, self.plan.batch):
            seen = self._part(self.cases[start:][: self.plan.batch])
            windows = torch.stack([_window(case) for case in seen])
            if self.roles:
                windows = without_some(windows, [self.run.seed, start])
            self._module(windows.to(self.crew.device))

    def finish(self) -> dict[str, Tensor]:
        """Return what is shipped of a member that has learned, with statistics that suit it."""
        if not self.keeps_statistics:
            self.take_statistics()
        return self.weights()

    def save(self, path: Path) -> None:
        """Write a checkpoint that a resumed run goes on from; all processes take part."""
        state = {
            "network": _wholes(self.network.state_dict()),
            "optimiser": state_of_optimiser(self.optimiser),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "start": self.start.told,
        }
        if self.crew.is_first:
            with replacing(path) as temporary:
                torch.save(state, temporary)
        self.crew.wait()

    def weights(self) -> dict[str, Tensor]:
        """Gather what is shipped of a member; all processes take part."""
        return _wholes(state_of(self.network))

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, whatever the number of processes that wrote it.

        Raises ValueError when it is another architecture's, began otherwise or is beyond the plan.
        """
        state = torch.load(path, weights_only=True, map_location="cpu")
        _check_start(self.run, state.get("start", SCRATCH), self.start)
        held = self.network.state_dict()
        if _shapes(state["network"]) != _shapes(held):
            msg = (
                f"{self.run.name}: expected a checkpoint of {self.plan.network}, found another"
                " architecture's; give another --runs folder"
            )
            raise ValueError(msg)
        if state["epoch"] > self.epochs:
            msg = f"{self.run.name}: expected at most {self.epochs} epochs, found a checkpoint of"
            raise ValueError(f"{msg} {state['epoch']}; give another --runs folder")
        self.network.load_state_dict(
            {name: pieces(state["network"][name], like) for name, like in held.items()}
        )
        self.epoch = state["epoch"]
        self._begin(self._stage_at(self.epoch - 1))
        put_optimiser(self.optimiser, state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])


def train_run(
    plan: TrainingPlan, run: Run, data: Path, output: Path, start: Start = FROM_SCRATCH
) -> Iterator[Progress]:
    """Train one run, or the rest of it; write its weights as safetensors.

    The first of several processes yields each epoch.
    """
    folder = output / run.name
    folder.mkdir(parents=True, exist_ok=True)
    weights, checkpoint, log = (folder / n for n in ("weights.safetensors", "last.pt", "log.csv"))
    if weights.exists():
        with safe_open(weights, "pt") as tensors:
            _check_start(run, (tensors.metadata() or {}).get("start", SCRATCH), start)
        return
    crew = Crew.gather(is_sharded=plan.fully_sharded)
    names = [case_name(case, plan.case) for case in run.train]
    roles = len(roles_of(plan.network))
    images, labels = data / plan.images, data / plan.labels
    cases = read_cases(images, labels, names, roles, plan.structures)
    trainer = Trainer(plan, run, cases, crew, start)
    if checkpoint.exists():
        trainer.resume(checkpoint)
    crew.wait()
    if crew.is_first:
        cut_log(log, trainer.epoch)
    yield from _epochs(trainer, log, checkpoint)
    found = trainer.finish()
    if crew.is_first:
        told = {"run": run.name, "seed": str(run.seed), "start": start.told}
        with replacing(weights) as temporary:
            save_file(found, temporary, metadata=told)
    crew.wait()


def _check_start(run: Run, found: str, wanted: Start) -> None:
    """Raise ValueError where a run that is there began with something else."""
    if found != wanted.told:
        msg = f"{run.name}: expected a run that began with {wanted.told}, found one with {found}"
        raise ValueError(f"{msg}; give another --runs folder")


def _epochs(trainer: Trainer, log: Path, checkpoint: Path) -> Iterator[Progress]:
    """Train epoch by epoch, each logged and some kept."""
    plan, run, crew = trainer.plan, trainer.run, trainer.crew
    while trainer.epoch < trainer.epochs:
        began = perf_counter()
        loss = trainer.train_one_epoch()
        speed = trainer.steps_per_epoch * plan.batch / (perf_counter() - began)
        if crew.is_first:
            with log.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow([trainer.epoch, f"{loss:.5f}"])
        if trainer.epoch % plan.checkpoint_every_epochs == 0:
            trainer.save(checkpoint)
        if crew.is_first:
            yield Progress(run.name, trainer.epoch, trainer.epochs, loss, speed, crew.count)


def _wholes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put tensors together of which each process may hold a piece."""
    return {name: whole(tensor).contiguous() for name, tensor in state.items()}


def _norms(network: nn.Module) -> list[nn.BatchNorm3d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm3d)]


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _window(case: dict[str, Tensor]) -> Float32[Tensor, "channel i j k"]:
    """Cut the window that a trained network sees."""
    placed = around(case["label"][0].numpy() > 0)
    channels = [cut(channel.numpy(), placed.starts[0]) for channel in case["image"]]
    return torch.from_numpy(np.stack(channels))


def train(
    plan: TrainingPlan,
    data: Path,
    output: Path,
    *,
    start: Start = FROM_SCRATCH,
    share: int = 0,
    shares: int = 1,
) -> Iterator[Progress]:
    """Train every run of the plan, or every ``shares``-th one of several that are started apart.

    They share this machine's cores, unless OMP_NUM_THREADS says how many each has.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // shares))
    split = read_split(data / plan.split)
    for run in plan_runs(plan, split)[share::shares]:
        yield from train_run(plan, run, data, output, start)
