"""The model that a training begins with, and the tokens it may write. Takes no step itself.

It is the embedded language model behind the reader's tower and a projector of random weights, or
behind those that an adapter was trained with; or a whole model in MedGemma's layout, whose tower
and projector stay as they are.
"""

import math
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import torch
from torch import nn

from assistant.readers.siglip.tower import Shape, build_vision
from assistant.readers.siglip.weights import read
from assistant.writers.vlm.adapter import BaseFacts
from assistant.writers.vlm.base import cached_base
from assistant.writers.vlm.checkpoint import TEXT, WHOLE, Checkpoint, find, inspect
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.model import (
    Model,
    Placement,
    assemble,
    compose,
    load_checkpoint,
    load_embedded,
    read_tokenizer,
)
from assistant.writers.vlm.parts import VISION_KEYS, Parts
from assistant.writers.vlm.plan import (
    EMBEDDED,
    NEW,
    RANDOM,
    READER,
    SHIPPED,
    TOWER_EDGES,
    TrainingPlan,
)
from assistant.writers.vlm.projector import build_projector
from assistant.writers.vlm.sources import Source, source_of
from assistant.writers.vlm.spoken import markup_of, vocabulary_of
from assistant.writers.vlm.vision import convert

__all__ = ["Untrained", "begin", "markup_of", "vocabulary_of"]
SAMPLED_ROWS = 20_000  # of the embedding, to see how large its numbers are


@dataclass(frozen=True)
class Untrained:
    """A model, and whether its tower and projector came with it and are to stay.

    ``adapter`` is the folder of one that is trained on; without one a new one is made.
    """

    model: Model
    is_whole: bool
    adapter: Path | None = None


def begin(plan: TrainingPlan) -> Untrained:
    """Build the model of a plan: the same numbers every time; raises ModelError."""
    placement = Placement("auto", plan.precision)
    if plan.model == EMBEDDED:
        folder = cached_base()
        if folder is None:
            msg = "expected the embedded language model in the cache, found none; convert it first"
            raise ModelError(Fault.MISSING, msg)
        name = folder.name
    else:
        name, folder = find(plan.model)
    language = _inspected(folder, name)
    is_whole = language is None
    source = None if plan.adapter == NEW else _source(plan, folder, is_whole=is_whole)
    adapter = None if source is None else source.adapter_folder
    if language is None:
        return Untrained(_whole(plan, folder, placement), is_whole, adapter)
    if source is None:
        return Untrained(_assembled(plan, language, placement), is_whole)
    assert source.parts is not None
    model = load_embedded(folder, source.parts, placement, with_adapter=False)
    return Untrained(model, is_whole, adapter)


def _source(plan: TrainingPlan, folder: Path, *, is_whole: bool) -> Source:
    """Find the adapter that a plan begins with, and the tower and projector beside it."""
    if is_whole and plan.adapter == SHIPPED:
        msg = f"adapter: expected one of {folder.name}, found {SHIPPED!r}, which is the embedded"
        raise ValueError(f"{msg} model's; give its folder, or {NEW!r}")
    given = None if plan.adapter == SHIPPED else plan.adapter
    source = source_of(str(folder) if is_whole else None, given)
    source.check()
    return source


def _inspected(folder: Path, name: str) -> Checkpoint | None:
    """Look at a folder; None where it holds a whole model and not a language model alone."""
    try:
        return inspect(folder, name, TEXT)
    except ModelError as error:
        if error.code is not Fault.WRONG_CLASS:
            raise
        inspect(folder, name, WHOLE)
        return None


def _whole(plan: TrainingPlan, folder: Path, placement: Placement) -> Model:
    """Load a model whose tower and projector were trained with it."""
    if plan.projector_steps:
        msg = f"{folder.name} has a trained projector: set projector_steps = 0 to tune its adapter"
        raise ValueError(msg)
    return load_checkpoint(folder, placement)


def _assembled(plan: TrainingPlan, language: Checkpoint, placement: Placement) -> Model:
    """Put a tower and a fresh projector before a language model."""
    tokenizer = read_tokenizer(language)
    tower = convert(_tower(plan))
    told = tower.config.to_dict()
    vision = {key: told[key] for key in VISION_KEYS}
    config = compose(language, tokenizer, vision, plan.tokens_per_image)
    facts = BaseFacts(language.name, language.fingerprint, int(language.config["hidden_size"]))
    projector = build_projector(config, 1.0, torch.Generator().manual_seed(plan.seed))
    parts = Parts(
        base=facts,
        vision_config=vision,
        tokens_per_image=plan.tokens_per_image,
        tower={k: v for k, v in tower.state_dict().items() if not k.startswith("head.")},
        projector=projector.state_dict(),
        adapter=None,
        sha256="",
    )
    network = assemble(language, tokenizer, parts, placement).eval()
    network.model.multi_modal_projector.float()
    rms = _rms(network.model.language_model.get_input_embeddings())
    placed = build_projector(config, rms, torch.Generator().manual_seed(plan.seed))
    network.model.multi_modal_projector.load_state_dict(placed.state_dict())
    return Model(network, tokenizer, facts, {"base": facts.fingerprint})


def _tower(plan: TrainingPlan) -> nn.Module:
    """Take the tower that the reader trained; one of random weights only where the plan says so."""
    if plan.tower == RANDOM:
        if len(plan.random_tower) != TOWER_EDGES:
            msg = (
                "random_tower: expected image, patch, width, layers and heads of a tower of"
                f" random weights, found {list(plan.random_tower)}; or set tower = {READER!r}"
            )
            raise ValueError(msg)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            image, patch, width, layers, heads = plan.random_tower
            return build_vision(Shape(image, patch, width, layers, heads, 1)).eval()
    if plan.tower != READER:
        return _read_tower(Path(plan.tower))
    with as_file(files("assistant.readers.siglip").joinpath("weights.safetensors")) as path:
        return _read_tower(path)


def _read_tower(path: Path) -> nn.Module:
    """Read the tower out of a reader's weights; raises ValueError where there are none."""
    if not path.is_file():
        msg = (
            f"tower: expected the reader's {path.name}, found none; train it with"
            f" `voxcite train reader`, or set tower = {RANDOM!r} to try without"
        )
        raise ValueError(msg)
    return read(path).tower


def _rms(embedding: nn.Module) -> float:
    """Return the root mean square of embeddings as the network sees them, scaled."""
    weight = embedding.get_parameter("weight").detach()[:SAMPLED_ROWS].float()
    return float(weight.square().mean().sqrt()) * math.sqrt(weight.shape[1])
