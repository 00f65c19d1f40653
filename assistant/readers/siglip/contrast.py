"""Train both towers by pairs of pictures and captions. Knows nothing of heads on the result.

A run that was interrupted goes on from its last checkpoint with the same random numbers.
"""

import csv
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from safetensors.torch import save_file
from torch import Tensor, nn

from assistant.readers.siglip.facts import FACTS
from assistant.readers.siglip.heads import OUTPUTS, head_loss
from assistant.readers.siglip.pairs import (
    Captions,
    Corpus,
    Pair,
    draw_combinations,
    draw_pair,
    targets_of,
)
from assistant.readers.siglip.plan import CAPTION_STREAM, Progress, Run, TrainingPlan
from assistant.readers.siglip.start import begin
from assistant.readers.siglip.tower import (
    as_input,
    best_device,
    build_dual,
    build_loss,
    compared,
    mean_token,
    state_of,
    tokens,
)
from segment.resume import cut_log, replacing

ADAM_BETAS = (0.9, 0.98)  # Zhai et al. 2023 lower the second one to 0.95 for batches of thousands
LARGEST_LOG_SCALE = math.log(100)  # of the logits, as open_clip bounds it
CAPTIONS_A_VALUE = 32  # that stand for a value without a head


class Trainer:
    """One run in memory: both towers, their guide and the optimiser.

    The guide is a linear map from the mean of a picture's tokens to the facts, thrown away at the
    end. Captions alone say nothing that a fresh text tower tells apart for the first hundred steps;
    the guide lets the vision tower learn from the first one on.
    """

    def __init__(self, plan: TrainingPlan, run: Run, corpus: Corpus) -> None:
        torch.manual_seed(run.seed)
        self.plan, self.run, self.corpus = plan, run, corpus
        self.captions = Captions.load()
        self.device = best_device()
        self.towers = build_dual(plan.shape).to(self.device)
        begin(self.towers.get_submodule("visual"), plan.shape, torch.default_generator)
        outputs = sum(len(values) for values in OUTPUTS.values())
        self.guide = nn.Linear(plan.width, outputs).to(self.device)
        modules = nn.ModuleList([self.towers, self.guide])
        self.optimiser = torch.optim.AdamW(_groups(modules, plan), betas=ADAM_BETAS)
        self.loss = build_loss()
        self.step = 0

    def rate(self, step: int) -> float:
        """Rise in a line to the peak, then fall along a cosine."""
        warm = min(self.plan.warmup_steps, self.run.steps // 2) or 1
        if step < warm:
            return self.plan.learning_rate * (step + 1) / warm
        share = (step - warm) / max(1, self.run.steps - warm)
        return self.plan.learning_rate * 0.5 * (1 + math.cos(math.pi * share))

    def draw(self, step: int, pool: ThreadPoolExecutor) -> list[Future[Pair]]:
        """Begin to make the pairs of one step; they depend on seed and step alone."""
        seed = self.run.seed
        chosen = draw_combinations(
            self.corpus, self.plan.batch, np.random.default_rng([seed, 0, step])
        )
        return [
            pool.submit(
                draw_pair,
                self.corpus,
                combination,
                self.captions,
                self.plan.strengths,
                np.random.default_rng([seed, 0, step, n]),
            )
            for n, combination in enumerate(chosen)
        ]

    def take(self, pairs: Sequence[Pair]) -> float:
        """Take one optimiser step in bf16 autocast; return the contrastive loss."""
        images = as_input(np.stack([pair.grey for pair in pairs])).to(self.device)
        texts = tokens([pair.caption for pair in pairs]).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            found, seen = compared(self.towers, images, texts)
        loss = self.loss(**{name: tensor.float() for name, tensor in found.items()})
        total = loss + self.plan.guide_weight * self.guidance(mean_token(seen), pairs)
        if not torch.isfinite(total):
            msg = f"{self.run.name}: the loss is not finite; lower learning_rate"
            raise ValueError(msg)
        self.optimiser.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.towers.parameters(), 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(self.step)
        self.optimiser.step()
        with torch.no_grad():
            self.towers.get_parameter("logit_scale").clamp_(0, LARGEST_LOG_SCALE)
        self.step += 1
        return float(loss.detach())

    def guidance(self, features: Tensor, pairs: Sequence[Pair]) -> Tensor:
        """Return the mean loss of the facts and of the faults, read from the features."""
        logits = self.guide(features)
        parts = logits.split([len(values) for values in OUTPUTS.values()], dim=1)
        targets = {name: target.to(self.device) for name, target in targets_of(pairs).items()}
        losses = [head_loss(part, targets[name]) for name, part in zip(OUTPUTS, parts, strict=True)]
        return torch.stack(losses).mean()

    def save(self, path: Path) -> None:
        """Write a checkpoint that a resumed run goes on from."""
        state = {
            "towers": self.towers.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "guide": self.guide.state_dict(),
            "step": self.step,
        }
        with replacing(path) as temporary:
            torch.save(state, temporary)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.towers.load_state_dict(state["towers"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.guide.load_state_dict(state["guide"])
        self.step = state["step"]


def train_tower(plan: TrainingPlan, run: Run, corpus: Corpus, folder: Path) -> Iterator[Progress]:
    """Train one run's towers, or the rest of them; write the vision tower as safetensors."""
    weights, checkpoint, log = (folder / n for n in ("tower.safetensors", "last.pt", "log.csv"))
    if weights.exists():
        return
    trainer = Trainer(plan, run, corpus)
    if checkpoint.exists():
        trainer.resume(checkpoint)
    cut_log(log, trainer.step)
    with ThreadPoolExecutor(_workers()) as pool:
        waiting = trainer.draw(trainer.step, pool)
        while trainer.step < run.steps:
            pairs = [made.result() for made in waiting]
            waiting = trainer.draw(trainer.step + 1, pool)
            loss = trainer.take(pairs)
            with log.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow([trainer.step, f"{loss:.5f}"])
            if trainer.step % plan.checkpoint_every_steps == 0:
                trainer.save(checkpoint)
            if trainer.step % plan.report_every_steps == 0 or trainer.step == run.steps:
                yield Progress(run.name, "contrastive", trainer.step, run.steps, loss)
    state = {f"tower.{k}": v for k, v in state_of(trainer.towers.get_submodule("visual")).items()}
    with replacing(weights) as temporary:
        save_file({**state, **zero_shot(trainer)}, temporary)


def zero_shot(trainer: Trainer) -> dict[str, Float32[Tensor, "value width"]]:
    """Embed every value of every fact: the mean of captions that name it."""
    rng = np.random.default_rng([trainer.run.seed, CAPTION_STREAM])
    towers = trainer.towers.eval()
    found = {}
    for fact, values in FACTS.items():
        rows = []
        for value in values:
            said = trainer.captions.every(fact, value, rng, CAPTIONS_A_VALUE)
            with torch.inference_mode():
                texts = tokens(said).to(trainer.device)
                embedded = towers.encode_text(texts, normalize=True).float()  # type: ignore[operator]
            rows.append(nn.functional.normalize(embedded.mean(dim=0), dim=0).cpu())
        found[f"zero_shot.{fact}"] = torch.stack(rows)
    return found


def _groups(modules: nn.Module, plan: TrainingPlan) -> list[dict[str, object]]:
    """Decay matrices; leave gains, biases and the logits' scale and bias alone."""
    plain = [p for p in modules.parameters() if p.ndim < 2]
    decayed = [p for p in modules.parameters() if p.ndim >= 2]
    return [
        {"params": decayed, "lr": plan.learning_rate, "weight_decay": plan.weight_decay},
        {"params": plain, "lr": plan.learning_rate, "weight_decay": 0.0},
    ]


def _workers() -> int:
    """Leave the pictures to other threads than the network's where there are many cores."""
    return max(1, len(os.sched_getaffinity(0)) // 2)
