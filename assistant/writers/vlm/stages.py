"""One stage in memory: what it trains, its optimiser, one step at a time, and checkpoints.

The projector's stage teaches what pictures show; the adapter's how reports and answers are
written, with the projector as it is. Knows nothing of folders or of who shows the steps.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import torch
from torch import Tensor, nn

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.adapter import LINEAR, Rank, add_adapter, load_adapter
from assistant.writers.vlm.batches import Sample, Stage, Tokens, shares
from assistant.writers.vlm.curve import Row
from assistant.writers.vlm.loss import Features, TargetLoss, tensors_of
from assistant.writers.vlm.model import Model
from assistant.writers.vlm.plan import TrainingPlan
from assistant.writers.vlm.sights import Gallery
from segment.models.training.processes import (
    Crew,
    pieces,
    put_optimiser,
    state_of_optimiser,
    whole,
)

ensure_torchvision()

from peft import LoraConfig  # noqa: E402
from transformers import Gemma3ForConditionalGeneration  # noqa: E402

LARGEST_GRADIENT = 1.0
LOWEST_SHARE = 0.1  # of the rate, where the cosine ends
UNEVEN = ("use_rslora", "rank_pattern", "alpha_pattern")  # which a new adapter has not
LAYER = re.compile(LINEAR + r"\.lora_[AB]\.default\.weight")


class Trainer:
    """A stage: the network with what it trains, the optimiser, and how far it is."""

    def __init__(
        self,
        plan: TrainingPlan,
        stage: Stage,
        crew: Crew,
        model: Model,
        tokens: Tokens,
        adapter: Path | None = None,
    ) -> None:
        self.plan, self.stage, self.crew, self.tokens = plan, stage, crew, tokens
        self.step = 0
        self.steps = plan.projector_steps if stage == "projector" else plan.adapter_steps
        self.network = trainable(model, stage, Rank(plan.rank, plan.alpha), plan.seed, adapter)
        inner = cast(Any, self.network.model)
        self._tower, self._projector = inner.vision_tower, inner.multi_modal_projector
        inner.vision_tower = nn.Identity()  # frozen and apart: it looks at each picture once
        head = tokens.vocabulary.rows(self.network.lm_head.weight.detach())
        module = TargetLoss(self.network, head)
        self._features: Features | None = None
        self._module = crew.hold(module, inner.language_model.layers)
        self.trained = {n: p for n, p in self.network.named_parameters() if p.requires_grad}
        self._optimiser = torch.optim.AdamW(
            list(self.trained.values()), lr=0.0, weight_decay=plan.weight_decay
        )

    def show(self, gallery: Gallery) -> None:
        """Say where pictures come from."""
        self._features = Features(self._tower.to(self.crew.device), self._projector, gallery)

    @property
    def rate(self) -> float:
        """The learning rate of the coming step: up in a line, then down along a cosine."""
        peak = self.plan.projector_rate if self.stage == "projector" else self.plan.adapter_rate
        warm = min(self.plan.warmup_steps, self.steps // 2) or 1
        if self.step < warm:
            return peak * (self.step + 1) / warm
        share = (self.step - warm) / max(1, self.steps - warm)
        return peak * (LOWEST_SHARE + (1 - LOWEST_SHARE) * 0.5 * (1 + math.cos(math.pi * share)))

    def take(self, samples: Sequence[Sample]) -> Row:
        """Take one step with the samples of all processes."""
        begun = perf_counter()
        targets = sum(len(sample.target) for sample in samples)
        loss = self._backward(samples, targets)
        if not math.isfinite(loss):
            msg = f"{self.stage}: the loss is not finite at step {self.step}; lower its rate"
            raise ValueError(msg)
        nn.utils.clip_grad_norm_(list(self.trained.values()), LARGEST_GRADIENT)
        for group in self._optimiser.param_groups:
            group["lr"] = self.rate
        self._optimiser.step()
        self._optimiser.zero_grad()
        self.step += 1
        tokens = sum(map(len, samples))
        return Row(self.step, loss, len(samples), tokens, targets, perf_counter() - begun)

    def _backward(self, samples: Sequence[Sample], targets: int) -> float:
        """Add up the gradients of a step; return the mean loss of a target token."""
        crew, device = self.crew, self.crew.device
        assert self._features is not None
        parts = shares(samples, crew.index, crew.count, self.plan.micro_batch)
        total = torch.zeros((), device=device)
        for number, part in enumerate(parts, start=1):
            batch = self.tokens.batch(part)
            pooled = self._features.of(batch.sights)
            with crew.accumulating(self._module, is_last=number == len(parts)):
                with torch.autocast(device.type, torch.bfloat16, enabled=self._is_mixed):
                    loss = self._module(tensors_of(batch, device), pooled)
                # gradients are averaged over processes, and each has its share of the targets
                (loss * crew.count / targets).backward()
            total += loss.detach()
        return crew.sum(total) / targets

    @property
    def _is_mixed(self) -> bool:
        return self.plan.precision != "float32"

    def state(self) -> dict[str, Any]:
        """Gather what a resumed run needs; all processes take part."""
        moments = state_of_optimiser(self._optimiser)["state"]
        return {"step": self.step, "trained": self.weights(), "moments": moments}

    def weights(self) -> dict[str, Tensor]:
        """Gather what was trained; all processes take part."""
        return {name: whole(parameter) for name, parameter in self.trained.items()}

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, whatever the number of processes that wrote it."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(pieces(state["trained"][name], parameter))
        now = self._optimiser.state_dict()
        put_optimiser(self._optimiser, {**now, "state": state["moments"]})
        self.step = state["step"]


def trainable(
    model: Model, stage: Stage, rank: Rank, seed: int, adapter: Path | None = None
) -> Gemma3ForConditionalGeneration:
    """Leave only what a stage trains to be trained; return the network below an adapter.

    Every process, and every run of a plan, begins with the same adapter: with that in the folder
    ``adapter``, or with a new one. Raises ValueError where that has another rank than the plan.
    """
    network = model.network
    assert isinstance(network, Gemma3ForConditionalGeneration)
    network.requires_grad_(False)
    if stage == "projector":
        network.model.multi_modal_projector.float().requires_grad_(True)
    elif adapter is not None:
        _continue(model, network, rank, adapter)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            add_adapter(network, rank)
    return network


def _continue(
    model: Model, network: Gemma3ForConditionalGeneration, rank: Rank, folder: Path
) -> None:
    """Put on an adapter that was trained before, to be trained on."""
    adapted = load_adapter(network, folder, model.base, is_trainable=True)
    held = next(iter(adapted.peft_config.values()))
    if not isinstance(held, LoraConfig):
        msg = f"{folder.name}: expected LoRA, found {held.peft_type}; begin with a new adapter"
        raise ValueError(msg)
    found = (held.r, held.lora_alpha)
    if found != (rank.r, rank.alpha):
        msg = f"{folder.name}: expected rank {rank.r} and alpha {rank.alpha}, found {found[0]} and"
        raise ValueError(f"{msg} {found[1]}; set rank and alpha in the plan")
    if uneven := [name for name in UNEVEN if getattr(held, name)]:
        msg = f"{folder.name}: expected LoRA of one rank and scale, found {uneven[0]}"
        raise ValueError(f"{msg}; begin with a new adapter")
    trained = [name for name, p in network.named_parameters() if p.requires_grad]
    if foreign := [name for name in trained if not LAYER.fullmatch(name)]:
        msg = f"{folder.name}: expected plain LoRA of the language model's linear layers, found"
        raise ValueError(f"{msg} {foreign[0]}; begin with a new adapter")


def put(network: Gemma3ForConditionalGeneration, trained: Mapping[str, Tensor]) -> None:
    """Give a network what a stage trained; raises ValueError where it lacks a weight of it."""
    parameters = dict(network.named_parameters())
    if foreign := sorted(trained.keys() - parameters.keys()):
        msg = f"expected weights that the network has, found {foreign[0]}; train anew"
        raise ValueError(msg)
    with torch.no_grad():
        for name, tensor in trained.items():
            parameters[name].data = parameters[name].data.to(tensor.dtype).copy_(tensor)
