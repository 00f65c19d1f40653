"""Writes texts under grammars, one or several together, by the line. Knows nothing of records.

Every text it returns satisfies its grammar; what ends in any other way is a DecodingError.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.grammar import Grammar
from assistant.writers.vlm.matcher import GrammarError, Guide, make_guide
from assistant.writers.vlm.pen import ChangeLogits, Clock, Pen, Sampling, Statistics
from assistant.writers.vlm.product import Product, product
from assistant.writers.vlm.step import Memory, TextStep
from assistant.writers.vlm.text import Bounds, DecodingError, Text
from assistant.writers.vlm.vocabulary import Vocabulary

ensure_torchvision()

from transformers import DynamicCache  # noqa: E402
from transformers.modeling_outputs import BaseModelOutputWithPooling  # noqa: E402

K = TypeVar("K")


@dataclass(frozen=True)
class Prompt:
    """Tokens of the base model with a place for each image token, and pictures or their features.

    ``image_features`` are what the projector makes of the pictures; give one of the two or none.
    """

    tokens: Int64[Tensor, " n"]
    pixel_values: Float[Tensor, "images 3 height width"] | None = None
    image_features: Float[Tensor, "images places hidden"] | None = None

    def __post_init__(self) -> None:
        if self.pixel_values is not None and self.image_features is not None:
            msg = "a prompt has pictures or their features, not both"
            raise ValueError(msg)


@dataclass(frozen=True)
class Commission:
    """A text to write: after which prompt, under which grammar, how chosen, how long at most.

    ``change_logits`` gets fp32 logits over the vocabulary and the tokens so far; tests drive the
    decoder with it.
    """

    prompt: Prompt
    grammar: Grammar
    sampling: Sampling = field(default_factory=Sampling)
    bounds: Bounds = field(default_factory=Bounds)
    change_logits: ChangeLogits | None = None


@dataclass(frozen=True)
class Decoded:
    """A text that satisfies its grammar, slots spelled as tokens, and how it came about."""

    text: str
    tokens: tuple[int, ...]
    grammar_sha256: str
    sampling: Sampling
    statistics: Statistics


Event = str | Decoded | DecodingError


@dataclass(frozen=True, eq=False)
class Decoder:
    """A model that is ready to write; made once, and again when its weights change."""

    model: nn.Module
    guide: Guide
    step: TextStep
    head: Product

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens it may write."""
        return self.guide.vocabulary

    def write_together(
        self, wanted: Iterable[tuple[K, Commission]], at_once: int = 1
    ) -> Iterator[tuple[K, Event]]:
        """Write so many texts at once; yield each line as it is finished, and how each text ends.

        A line has no end of its own. A text ends as it would alone, in the same tokens: whole or
        with an error. Each event comes with what its commission was given with. A commission is
        taken when there is room for it, and its prompt is read then. Closing the generator stops
        the writing.
        """
        waiting = iter(wanted)
        running: list[tuple[K, _Writing]] = []
        while True:
            while len(running) < at_once and (given := next(waiting, None)) is not None:
                key, commission = given
                writing = _Writing(self, commission)
                for event in writing.begin():
                    yield key, event
                if not writing.is_over:
                    running.append((key, writing))
            if not running:
                return
            logits = self._choices([writing.pen for _, writing in running])
            for (key, writing), row in zip(running, logits, strict=True):
                for event in writing.go_on(row):
                    yield key, event
            running = [(key, writing) for key, writing in running if not writing.is_over]

    @torch.inference_mode()
    def _read(self, prompt: Prompt, room: int) -> tuple[Tensor, Memory]:
        """Read the prompt; return the last hidden state and the keys and values of all."""
        model = cast(Any, self.model)
        longest = model.config.get_text_config().max_position_embeddings
        if len(prompt.tokens) + room > longest:
            msg = (
                f"the model reads {longest} tokens; the prompt has {len(prompt.tokens)} "
                f"and {room} more may be written: leave records or pictures out"
            )
            raise DecodingError(msg)
        cache, tokens = DynamicCache(), prompt.tokens[None].to(model.device)
        is_image = (tokens == model.config.image_token_id).long()
        found = model.model(
            input_ids=tokens,
            token_type_ids=is_image if is_image.any() else None,
            use_cache=True,
            **{cache_argument(model.model): cache},
            **_pictures(prompt, model),
        )
        keys_values = [(layer.keys, layer.values) for layer in cast(Any, cache).layers]
        return found.last_hidden_state[0, -1:], self.step.begin(keys_values, room)

    @torch.inference_mode()
    def _choices(self, pens: Sequence[Pen]) -> Float[Tensor, "texts v"]:
        """Feed what waits in each text, all at once; return the logits of what comes next."""
        fed = [pen for pen in pens if pen.waiting]
        if fed:
            ids = self.vocabulary.ids
            tokens = [[ids[token] for token in pen.waiting] for pen in fed]
            hidden = self.step.together(
                [(new, pen.memory) for new, pen in zip(tokens, fed, strict=True)]
            )
            for pen, states in zip(fed, hidden.split([*map(len, tokens)]), strict=True):
                pen.feed(states[-1:])
        return self._logits(torch.cat([pen.hidden for pen in pens]))

    @torch.inference_mode()
    def _logits(self, hidden: Float[Tensor, "texts hidden"]) -> Float[Tensor, "texts v"]:
        """Multiply last hidden states with the rows of the vocabulary alone."""
        return self.head.each(hidden, [1] * len(hidden)).float().cpu()


def make_decoder(model: nn.Module, vocabulary: Vocabulary) -> Decoder:
    """Prepare a Gemma3ForConditionalGeneration; its weights are copied as they are now."""
    inner = cast(Any, model)
    with torch.inference_mode():
        rows = vocabulary.rows(inner.lm_head.weight.detach())
        return Decoder(
            model=model,
            guide=make_guide(vocabulary),
            step=TextStep(inner.model.language_model),
            head=product(rows),
        )


class _Writing:
    """A commission that is being carried out."""

    pen: Pen

    def __init__(self, decoder: Decoder, commission: Commission) -> None:
        self._decoder, self._commission = decoder, commission
        self.is_over = False

    def begin(self) -> Iterator[Event]:
        """Read the prompt and write up to the first choice."""
        yield from self._to_end(self._begun())

    def go_on(self, logits: Float[Tensor, " v"]) -> Iterator[Event]:
        """Write the model's choice and all up to the next one."""
        yield from self._to_end(self.pen.choose(logits))

    def _begun(self) -> Iterator[str]:
        decoder, wanted, clock = self._decoder, self._commission, Clock()
        matcher = decoder.guide.start(wanted.grammar)
        hidden, memory = decoder._read(wanted.prompt, wanted.bounds.tokens)
        clock.mark_prefill()
        text = Text(matcher, decoder.vocabulary, wanted.bounds)
        self.pen = Pen(text, hidden, memory, wanted.sampling, wanted.change_logits, clock)
        yield from self.pen.to_choice()

    def _to_end(self, lines: Iterator[str]) -> Iterator[Event]:
        """Pass lines on, and then how the text ended, if it did."""
        end: Decoded | DecodingError | None = None
        try:
            yield from lines
        except DecodingError as error:
            end = error
        except GrammarError as error:
            end = DecodingError(str(error))
            end.__cause__ = error
        else:
            end = self._decoded() if self.pen.text.is_ended else None
        if end is not None:
            self.is_over = True
            yield end

    def _decoded(self) -> Decoded:
        pen, wanted = self.pen, self._commission
        tokens = tuple(pen.text.tokens)
        statistics = pen.clock.statistics(len(wanted.prompt.tokens), len(tokens), pen.forced)
        text = self._decoder.vocabulary.text(tokens)
        return Decoded(text, tokens, wanted.grammar.sha256, wanted.sampling, statistics)


def cache_argument(model: nn.Module) -> str:
    """Return how a model of transformers calls its cache: from 5.24 on by another name."""
    known = signature(model.forward).parameters
    return "cache" if "cache" in known else "past_key_values"


def _pictures(prompt: Prompt, model: Any) -> dict[str, Any]:  # noqa: ANN401  # transformers' class
    """Hand pictures or their features over as transformers wants them."""
    if prompt.image_features is not None:
        features = prompt.image_features.to(model.device, model.dtype)
        return {"mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=features)}}
    if prompt.pixel_values is not None:
        return {"pixel_values": prompt.pixel_values.to(model.device, model.dtype)}
    return {}
