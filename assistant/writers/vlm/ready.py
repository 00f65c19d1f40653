"""A writer's model in memory, ready to write: loaded, merged, and its vocabulary cut out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assistant.settings import Device, Precision
from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.adapter import (
    adapter_sha256,
    load_adapter,
    merge,
    words_comparisons,
)
from assistant.writers.vlm.base import cached_base, convert_base
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.generate import Decoder, make_decoder
from assistant.writers.vlm.model import Model, Placement, load_checkpoint, load_embedded
from assistant.writers.vlm.prompt import Markup
from assistant.writers.vlm.sources import Source, source_of
from assistant.writers.vlm.spoken import markup_of, read_vocabulary, vocabulary_of
from assistant.writers.vlm.text import Bounds
from assistant.writers.vlm.vocabulary import Vocabulary

ensure_torchvision()

from peft import PeftModel  # noqa: E402
from transformers import Gemma3ForConditionalGeneration  # noqa: E402

import prompts  # noqa: E402


@dataclass(frozen=True, eq=False)
class Ready:
    """A model, the decoder that writes with it, and what provenance says of both.

    ``compares`` tells whether it was trained to word comparisons with earlier examinations.
    """

    model: Model
    decoder: Decoder
    markup: Markup
    facts: Mapping[str, Any]
    compares: bool = False

    @property
    def bounds(self) -> Bounds:
        """How much may be written: half of a short window is the prompt's."""
        usual = Bounds()
        return replace(usual, tokens=min(usual.tokens, self.model.window // 2))


def read(
    model: str | None = None,
    adapter: str | None = None,
    precision: Precision = "bfloat16",
    device: Device = "auto",
) -> Ready:
    """Load what is asked for; the embedded base is converted first where nobody did that yet.

    Raises ModelError.
    """
    source = source_of(model, adapter)
    source.check()
    loaded = _load(source, Placement(device, precision))
    compares = words_comparisons(source.adapter_folder) if source.adapter_folder else False
    return make_ready(loaded, _vocabulary(source, loaded), precision, compares=compares)


def make_ready(
    model: Model, vocabulary: Vocabulary, precision: Precision, *, compares: bool = False
) -> Ready:
    """Merge a model's adapter into it, except into four bits, and prepare its decoder."""
    plain: Any = model.network
    if isinstance(plain, PeftModel):
        plain = plain.get_base_model() if precision == "4bit" else merge(plain)
    assert isinstance(plain, Gemma3ForConditionalGeneration)
    facts = {
        "language_model": model.base.name,
        "language_model_sha256": dict(model.sha256),
        "precision": precision,
    }
    whole = replace(model, network=plain)
    return Ready(whole, make_decoder(plain, vocabulary), markup_of(whole), facts, compares)


def _load(source: Source, placement: Placement) -> Model:
    if source.whole is not None:
        return load_checkpoint(source.whole, placement, adapter=source.adapter)
    assert source.parts is not None
    model = load_embedded(_base(), source.parts, placement, with_adapter=source.adapter is None)
    if source.adapter is None:
        return model
    assert isinstance(model.network, Gemma3ForConditionalGeneration)
    adapted = load_adapter(model.network, source.adapter, model.base)
    hashes = {**model.sha256, "adapter": adapter_sha256(source.adapter)}
    return replace(model, network=adapted, sha256=hashes)


def _base() -> Path:
    """Return the converted base, converting it where it is not there."""
    for _ in convert_base():
        pass
    if (folder := cached_base()) is None:
        msg = "expected the converted language model in the cache, found none; try again"
        raise ModelError(Fault.MISSING, msg)
    return folder


def _vocabulary(source: Source, model: Model) -> Vocabulary:
    """Take the words that the training kept, or cut the corpora anew for another tokenizer."""
    if source.vocabulary is not None:
        kept = read_vocabulary(source.vocabulary, model.tokenizer)
        if kept is not None:
            return kept
    return vocabulary_of(model.tokenizer, prompts.languages())
