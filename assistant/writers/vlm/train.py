"""Train a writer: the projector, then the adapter. Knows nothing of what pictures or reports say.

Started by python, or by torchrun in several processes. A run that was interrupted goes on from its
last checkpoint with the samples that it would have had; one that is finished is left alone.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm import curve
from assistant.writers.vlm.adapter import Rank, add_adapter, save_adapter, words_comparisons
from assistant.writers.vlm.base import convert_base
from assistant.writers.vlm.batches import Shown, Stage, Stream, Tokens
from assistant.writers.vlm.model import Model
from assistant.writers.vlm.parts import ADAPTER, write_parts
from assistant.writers.vlm.plan import EMBEDDED, TrainingPlan
from assistant.writers.vlm.sights import (
    Gallery,
    Views,
    crop_views,
    everything_said,
    strengths_between,
)
from assistant.writers.vlm.stages import Trainer, put
from assistant.writers.vlm.untrained import Untrained, begin, markup_of, vocabulary_of
from segment.models.training.processes import Crew
from segment.resume import replacing

ensure_torchvision()

from transformers import Gemma3ForConditionalGeneration  # noqa: E402

PLAN, CHECKPOINT, LOG, TRAINED = "plan.json", "last.pt", "log.csv", "trained.safetensors"
FIGURES, VOCABULARY, SHIPPED = "figures.json", "vocabulary.json", "shipped"


@dataclass(frozen=True)
class Progress:
    """How far one stage is, for whoever shows it.

    ``samples_per_s`` counts those of all ``processes``, since the last time that it was told.
    """

    stage: Literal["convert", "projector", "adapter"]
    step: int
    steps: int
    loss: float | None = None
    samples_per_s: float | None = None
    processes: int = 1


@dataclass(frozen=True, eq=False)
class Material:
    """Views of scans, made for pictures of so many pixels, and a user's own pairs."""

    views: Callable[[int], Views]
    own: tuple[Shown, ...] = ()


@dataclass(frozen=True, eq=False)
class _Run:
    """One training: its plan, its processes, what it shows and where it writes."""

    plan: TrainingPlan
    crew: Crew
    material: Material
    output: Path

    def folder(self, stage: Stage) -> Path:
        """Where a stage keeps its checkpoint, its log and what it trained."""
        return self.output / stage

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that take a step."""
        return ("projector", "adapter") if self.plan.projector_steps else ("adapter",)


def training_material(plan: TrainingPlan, data: Path) -> Material:
    """Show the crops of the training subjects; what is not there is refused when it is needed."""
    return Material(partial(crop_views, data / plan.images, data / plan.labels))


def train(
    plan: TrainingPlan, material: Material, output: Path, *, resume: bool = False
) -> Iterator[Progress]:
    """Take every step that was not taken yet, and write what is shipped to ``output/shipped``.

    Only the first of several processes yields. Raises ValueError and ModelError.
    """
    crew = Crew.gather(is_sharded=plan.fully_sharded)
    plan.accumulated(crew.count)
    run = _Run(plan, crew, material, output)
    _claim(run, resume=resume)
    if plan.model == EMBEDDED:
        yield from _converted(crew)
    for stage in run.stages:
        yield from _train_stage(run, stage)
    if crew.is_first and not (output / SHIPPED / FIGURES).exists():
        _ship(run)
    crew.wait()


def _claim(run: _Run, *, resume: bool) -> None:
    """Take a folder for a plan; refuse one that holds another's run, or one unasked."""
    path = run.output / PLAN
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    if stored is not None and not resume:
        msg = (
            f"{run.output.name}: expected an empty folder, found a run; resume it, or name another"
        )
        raise ValueError(msg)
    if stored is not None and (wrong := run.plan.differences(stored)):
        msg = f"{run.output.name}: its run had another {', '.join(wrong)}; give the plan it had"
        raise ValueError(msg)
    run.crew.wait()
    if run.crew.is_first:
        run.output.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(run.plan), indent=2) + "\n", encoding="utf-8")
    run.crew.wait()


def _converted(crew: Crew) -> Iterator[Progress]:
    """Convert the embedded language model into the cache, once for all processes."""
    if crew.is_first:
        for converting in convert_base():
            yield Progress("convert", converting.done, converting.stages)
    crew.wait()


def _train_stage(run: _Run, stage: Stage) -> Iterator[Progress]:
    """Take the steps of a stage, or the rest of them, and write what it trained."""
    folder, crew = run.folder(stage), run.crew
    if (folder / TRAINED).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    begun = _begin(run, stage)
    tokens = _tokens(run, stage, begun.model)
    trainer = Trainer(run.plan, stage, crew, begun.model, tokens, begun.adapter)
    if (folder / CHECKPOINT).exists():
        trainer.resume(folder / CHECKPOINT)
    if crew.is_first:
        curve.cut(folder / LOG, trainer.step)
    crew.wait()
    gallery = _gallery(run, begun.model.image_px)
    trainer.show(gallery)
    stream = Stream(run.plan, stage, tokens, gallery, run.material.own)
    yield from _steps(run, trainer, stream)
    trained = trainer.weights()
    if crew.is_first:
        with replacing(folder / TRAINED) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in trained.items()}, temporary)
    crew.wait()


def _gallery(run: _Run, image_px: int) -> Gallery:
    """Say where pictures come from, and how strong their faults are."""
    strengths = strengths_between(run.plan.weakest, run.plan.strongest)
    return Gallery(run.material.views(image_px), strengths)


def _steps(run: _Run, trainer: Trainer, stream: Stream) -> Iterator[Progress]:
    """Take steps to the end, each logged, some kept and some shown."""
    plan, crew, stage = run.plan, run.crew, trainer.stage
    folder = run.folder(stage)
    drawn = curve.board(run.output / "board") if crew.is_first else None
    untold: list[curve.Row] = []
    for samples in stream.from_step(trainer.step):
        if trainer.step == trainer.steps:
            return
        row = trainer.take(samples)
        untold.append(row)
        if crew.is_first:
            curve.append(folder / LOG, row)
        if row.step % plan.checkpoint_every_steps == 0:
            _keep(trainer, folder / CHECKPOINT)
        if drawn is not None:
            drawn.add_scalar(f"{stage}/loss", row.loss, row.step)
        if crew.is_first and _is_shown(row.step, trainer):
            speed = curve.samples_per_s(untold)
            untold.clear()
            yield Progress(stage, row.step, trainer.steps, row.loss, speed, crew.count)


def _is_shown(step: int, trainer: Trainer) -> bool:
    return step % trainer.plan.report_every_steps == 0 or step == trainer.steps


def _keep(trainer: Trainer, path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    state = trainer.state()
    if trainer.crew.is_first:
        with replacing(path) as temporary:
            torch.save(state, temporary)
    trainer.crew.wait()


def _begin(run: _Run, stage: Stage) -> Untrained:
    """Build the model that a stage begins with: what the stages before it trained is in it."""
    begun = begin(run.plan)
    if stage == "adapter" and "projector" in run.stages:
        assert isinstance(begun.model.network, Gemma3ForConditionalGeneration)
        put(begun.model.network, load_file(run.folder("projector") / TRAINED))
    return begun


def _tokens(run: _Run, stage: Stage, model: Model) -> Tokens:
    """Say what may be written in a stage, and how prompts are marked up."""
    said = everything_said() if stage == "projector" else _own_targets(run.material)
    return tokens_of(model, run.plan, said)


def tokens_of(model: Model, plan: TrainingPlan, said: Sequence[str]) -> Tokens:
    """Say what may be written, ``said`` among it, and how prompts are marked up."""
    vocabulary = vocabulary_of(model.tokenizer, plan.languages, said)
    return Tokens(model.tokenizer, vocabulary, markup_of(model), vocabulary.stops[0])


def _own_targets(material: Material) -> tuple[str, ...]:
    return tuple(shown.pair.target for shown in material.own)


def _ship(run: _Run) -> None:
    """Write what is shipped of a run, and its figures."""
    folder, begun = run.output / SHIPPED, _begin(run, "adapter")
    trained = load_file(run.folder("adapter") / TRAINED)
    ship(begun, run.plan, trained, _own_targets(run.material), folder)
    logs: dict[str, Path] = {stage: run.folder(stage) / LOG for stage in run.stages}
    curve.write_figures(folder / FIGURES, logs, run.crew.count, asdict(run.plan))


def ship(
    begun: Untrained,
    plan: TrainingPlan,
    trained: Mapping[str, Tensor],
    said: Sequence[str],
    folder: Path,
) -> None:
    """Write adapter, tower and projector as they are loaded, and the vocabulary.

    ``said`` is what a user's own reports say, which may be written too.
    """
    network = begun.model.network
    assert isinstance(network, Gemma3ForConditionalGeneration)
    adapted = add_adapter(network, Rank(plan.rank, plan.alpha))
    put(network, trained)
    folder.mkdir(parents=True, exist_ok=True)
    compares = begun.adapter is None or words_comparisons(begun.adapter)
    save_adapter(adapted, folder / ADAPTER, begun.model.base, compares=compares)
    if not begun.is_whole:
        write_parts(folder, network, begun.model.base)
    words: dict[str, Any] = {"words": tokens_of(begun.model, plan, said).vocabulary.words}
    text = json.dumps(words, ensure_ascii=False, indent=2) + "\n"
    (folder / VOCABULARY).write_text(text, encoding="utf-8")
