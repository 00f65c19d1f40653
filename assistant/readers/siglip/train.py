"""Train the tower by pairs of pictures and captions, then its heads. Knows nothing of reports.

Towers that leave subjects out come first: what they make of those subjects gives the temperatures
and the figures. The shipped tower then sees every subject but the validation ones. A run that was
interrupted goes on from its last checkpoint with the same random numbers.
"""

import csv
import json
import math
import os
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from assistant.readers.siglip.evaluate import HeldOut, Row, figures, temperatures, write_rows
from assistant.readers.siglip.facts import ARTEFACTS, FACTS, place_of
from assistant.readers.siglip.heads import OUTPUTS, QUALITY, Head, fit_heads, head_loss
from assistant.readers.siglip.pairs import (
    Captions,
    Corpus,
    Pair,
    draw_combinations,
    draw_pair,
    gathered,
    held_out_part,
    read_corpus,
    training_part,
)
from assistant.readers.siglip.sources import Sample
from assistant.readers.siglip.tower import (
    Shape,
    as_input,
    build_dual,
    build_loss,
    build_vision,
    load_state,
    pooled,
    state_of,
    tokens,
)
from assistant.readers.siglip.weights import pack

SHIPPED = "shipped"
ADAM_BETAS = (0.9, 0.98)  # Zhai et al. 2023 lower the second one to 0.95 for batches of thousands
LARGEST_LOG_SCALE = math.log(100)  # of the logits, as open_clip bounds it
CAPTIONS_A_VALUE = 32  # that stand for a value without a head
EVALUATION_BATCH = 64
HEAD_STREAM, HELD_OUT_STREAM, CAPTION_STREAM = 1, 2, 3  # of random numbers, beside the steps'

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

    @classmethod
    def read(cls, path: Path) -> "TrainingPlan":
        """Read a plan; a key that is missing or unknown is refused."""
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(cls)}
        if table.keys() != known:
            wrong = sorted(table.keys() ^ known)
            msg = f"{path.name}: the keys {wrong} are missing or unknown; it takes {sorted(known)}"
            raise ValueError(msg)
        return cls(**table)

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
    """List the runs of a plan: each fold's, then the shipped one."""
    folds = [Run(f"fold{n}", plan.seed + 1 + n, plan.fold_steps, n) for n in range(plan.folds)]
    return (*folds, Run(SHIPPED, plan.seed, plan.steps, None))


def train(plan: TrainingPlan, data: Path, output: Path) -> Iterator[Progress]:
    """Do everything that was not done yet, and write what is shipped into ``output/shipped``.

    That is ``weights.safetensors``, ``held_out.csv`` and ``figures.txt``.
    """
    output.mkdir(parents=True, exist_ok=True)
    stored = output / "corpus.npz"
    if not stored.exists():
        yield from _collect(plan, data, stored)
    yield from train_on(plan, Corpus.read(stored), output)


def _collect(plan: TrainingPlan, data: Path, stored: Path) -> Iterator[Progress]:
    """Cut every picture once, before the first step."""
    found: list[Sample] = []
    for place, of, cut in read_corpus(data, plan.folds, plan.slices):
        found += cut
        yield Progress("all", "pictures", place, of)
    gathered(found).save(stored)


def train_on(plan: TrainingPlan, corpus: Corpus, output: Path) -> Iterator[Progress]:
    """Train on pictures that were cut already, wherever they were cut."""
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0))))
    for run in plan_runs(plan):
        folder = output / run.name
        folder.mkdir(parents=True, exist_ok=True)
        part = training_part(corpus, run.held_out)
        yield from train_tower(plan, run, part, folder)
        yield from train_heads(plan, run, part, folder)
        if run.held_out is not None:
            yield from judge(plan, run, corpus, folder)
    ship(plan, corpus, output)


class Trainer:
    """One run in memory: both towers, their guide and the optimiser.

    The guide is a linear map from the pictures' features to the facts, thrown away at the end.
    Captions alone say nothing that a fresh text tower tells apart for the first hundred steps; the
    guide lets the vision tower learn from the first one on.
    """

    def __init__(self, plan: TrainingPlan, run: Run, corpus: Corpus) -> None:
        torch.manual_seed(run.seed)
        self.plan, self.run, self.corpus = plan, run, corpus
        self.captions = Captions.load()
        self.device = _device()
        self.towers = build_dual(plan.shape).to(self.device)
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
            found = self.towers(images, texts)
        loss = self.loss(**{name: tensor.float() for name, tensor in found.items()})
        total = loss + self.plan.guide_weight * self.guidance(found["image_features"], pairs)
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
        logits = self.guide(features.float() * math.sqrt(self.plan.width))
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
        temporary = path.with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(path)

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
    _cut_log(log, trainer.step)
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
    _save_whole({**state, **zero_shot(trainer)}, weights)


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


def train_heads(plan: TrainingPlan, run: Run, corpus: Corpus, folder: Path) -> Iterator[Progress]:
    """Fit the heads on the frozen tower's features of newly drawn pictures."""
    path = folder / "heads.safetensors"
    if path.exists():
        return
    found: list[Tensor] = []
    drawn: list[Pair] = []
    for pairs, features in _described(plan, run, corpus, folder, HEAD_STREAM):
        drawn += pairs
        found.append(features)
        yield Progress(run.name, "heads", len(drawn), plan.head_pictures)
    heads = fit_heads(torch.cat(found), targets_of(drawn), plan.head_penalty)
    tensors = {f"{name}.weight": head.weight for name, head in heads.items()}
    tensors |= {f"{name}.bias": head.bias for name, head in heads.items()}
    _save_whole(tensors, path)


def judge(plan: TrainingPlan, run: Run, corpus: Corpus, folder: Path) -> Iterator[Progress]:
    """Write what the heads make of the subjects that the run left out.

    Pictures of a kind or part of which the run has seen nothing are left out: nobody can know
    what was never shown.
    """
    path = folder / "held_out.csv"
    if path.exists() or run.held_out is None:
        return
    trained = training_part(corpus, run.held_out)
    known = {name: {getattr(label, name) for label in trained.labels} for name in ("kind", "part")}
    left_out = held_out_part(corpus, run.held_out)
    fair = left_out.chosen(
        [
            index
            for index, label in enumerate(left_out.labels)
            if label.kind in known["kind"] and label.part in known["part"]
        ]
    )
    heads, near = read_heads(folder / "heads.safetensors"), _zero_shot_of(folder)
    rows: list[Row] = []
    for pairs, features in _described(plan, run, fair, folder, HELD_OUT_STREAM):
        rows += _rows(run.held_out, pairs, features, heads, near)
        yield Progress(run.name, "held out", len(rows), plan.held_out_pictures)
    temporary = path.with_suffix(".part")
    write_rows(rows, temporary)
    temporary.replace(path)


def ship(plan: TrainingPlan, corpus: Corpus, output: Path) -> None:
    """Pack the shipped tower with its heads and temperatures; write the figures."""
    from assistant.readers.siglip.evaluate import read_rows

    folder = output / SHIPPED
    rows = [
        row
        for run in plan_runs(plan)
        if run.held_out is not None
        for row in read_rows(output / run.name / "held_out.csv")
    ]
    write_rows(rows, folder / "held_out.csv")
    fitted = temperatures(HeldOut(tuple(rows)))
    trained = {label.subject for label in training_part(corpus, None).labels}
    judged = {row.subject for row in rows}
    pack(
        folder / "weights.safetensors",
        plan.shape,
        load_file(folder / "tower.safetensors"),
        read_heads(folder / "heads.safetensors"),
        fitted,
        {
            "calibration": f"siglip, held-out pictures of {len(judged)} subjects",
            "subjects": str(len(trained)),
            "plan": json.dumps(asdict(plan)),
        },
    )
    text = "".join(f"{figure}\n" for figure in figures(rows))
    (folder / "figures.txt").write_text(text, encoding="utf-8")


def read_heads(path: Path) -> dict[str, Head]:
    """Read what ``train_heads`` wrote."""
    stored = load_file(path)
    return {name: Head(stored[f"{name}.weight"], stored[f"{name}.bias"]) for name in OUTPUTS}


def targets_of(pairs: Sequence[Pair]) -> dict[str, Tensor]:
    """Say what is true of pictures, as the heads take it."""
    targets: dict[str, Tensor] = {}
    for fact in FACTS:
        labels = [pair.label for pair in pairs]
        places = [place_of(fact, getattr(label, fact), label.part) for label in labels]
        targets[fact] = torch.tensor(places)
    has = [[int(pair.artefact == artefact) for artefact in ARTEFACTS] for pair in pairs]
    targets[QUALITY] = torch.tensor(has)
    return targets


def _described(
    plan: TrainingPlan, run: Run, corpus: Corpus, folder: Path, stream: int
) -> Iterator[tuple[list[Pair], Float32[Tensor, "n width"]]]:
    """Draw pictures and describe them by the run's frozen tower, a batch after the other.

    Held-out pictures are taken as they are; those that heads are fitted on are posed.
    """
    n = plan.head_pictures if stream == HEAD_STREAM else plan.held_out_pictures
    captions, device = Captions.load(), _device()
    stored = load_file(folder / "tower.safetensors")
    state = {k.removeprefix("tower."): v for k, v in stored.items() if k.startswith("tower.")}
    tower = build_vision(plan.shape)
    load_state(tower, state)
    tower = tower.to(device).eval()
    size = min(EVALUATION_BATCH, len(corpus.combinations))
    for start in range(0, n, size):
        rng = np.random.default_rng([run.seed, stream, start])
        chosen = draw_combinations(corpus, min(size, n - start), rng)
        is_posed = stream == HEAD_STREAM
        pairs = [
            draw_pair(corpus, c, captions, plan.strengths, rng, is_posed=is_posed) for c in chosen
        ]
        images = as_input(np.stack([pair.grey for pair in pairs])).to(device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            features = pooled(tower, images)
        yield pairs, features.float().cpu()


def _rows(
    fold: int,
    pairs: Sequence[Pair],
    features: Tensor,
    heads: dict[str, Head],
    near: dict[str, Tensor],
) -> Iterator[Row]:
    logits = {name: head(features).tolist() for name, head in heads.items()}
    nearest = {fact: (features @ near[fact].T).argmax(dim=1).tolist() for fact in FACTS}
    for n, pair in enumerate(pairs):
        label = pair.label
        yield Row(
            fold,
            label.subject,
            label.kind,
            label.part,
            label.plane,
            pair.artefact,
            pair.strength,
            {name: tuple(values[n]) for name, values in logits.items()},
            {fact: FACTS[fact][places[n]] for fact, places in nearest.items()},
        )


def _zero_shot_of(folder: Path) -> dict[str, Tensor]:
    stored = load_file(folder / "tower.safetensors")
    return {fact: stored[f"zero_shot.{fact}"] for fact in FACTS}


def _groups(modules: nn.Module, plan: TrainingPlan) -> list[dict[str, object]]:
    """Decay matrices; leave gains, biases and the logits' scale and bias alone."""
    plain = [p for p in modules.parameters() if p.ndim < 2]
    decayed = [p for p in modules.parameters() if p.ndim >= 2]
    return [
        {"params": decayed, "lr": plan.learning_rate, "weight_decay": plan.weight_decay},
        {"params": plain, "lr": plan.learning_rate, "weight_decay": 0.0},
    ]


def _save_whole(tensors: dict[str, Tensor], path: Path) -> None:
    temporary = path.with_suffix(".part")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
    temporary.replace(path)


def _cut_log(log: Path, steps: int) -> None:
    """Drop the steps after the last checkpoint from a log: they are taken again."""
    if log.exists():
        rows = log.read_text(encoding="utf-8").splitlines(keepends=True)
        log.write_text("".join(rows[:steps]), encoding="utf-8", newline="")


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _workers() -> int:
    """Leave the pictures to other threads than the network's where there are many cores."""
    return max(1, len(os.sched_getaffinity(0)) // 2)
