"""Writes a text under a grammar: one token after another, by the line. Knows nothing of records.

Every text it returns satisfies its grammar; what ends in any other way is a DecodingError.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.grammar import Grammar
from assistant.writers.vlm.matcher import GrammarError, Guide, Matcher, make_guide
from assistant.writers.vlm.step import Memory, Project, TextStep, product
from assistant.writers.vlm.vocabulary import NEWLINE, Vocabulary

ensure_torchvision()

from transformers import DynamicCache  # noqa: E402
from transformers.modeling_outputs import BaseModelOutputWithPooling  # noqa: E402

ChangeLogits = Callable[[Tensor, Sequence[int]], Tensor]
Choose = Callable[[np.ndarray, Sequence[int]], int]


class DecodingError(RuntimeError):
    """No text came of it: no end within the bound, no way through the grammar, or no logits."""


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
class Sampling:
    """How a token is chosen: the likeliest at temperature 0, otherwise drawn, from a seed."""

    seed: int = 0
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature < float("inf"):
            msg = f"a temperature is 0 or more, not {self.temperature}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Bounds:
    """Tokens a text may have, and tokens after which a line is closed where the grammar lets it."""

    tokens: int = 1536
    line_tokens: int = 96


@dataclass(frozen=True)
class Statistics:
    """What writing took; forced tokens had no alternative and were chosen without the model."""

    prompt_tokens: int
    tokens: int
    forced: int
    prefill_s: float
    first_statement_s: float
    total_s: float

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second after the prompt was read."""
        return self.tokens / max(self.total_s - self.prefill_s, 1e-9)


@dataclass(frozen=True)
class Decoded:
    """A text that satisfies its grammar, slots spelled as tokens, and how it came about."""

    text: str
    tokens: tuple[int, ...]
    grammar_sha256: str
    sampling: Sampling
    statistics: Statistics


@dataclass(frozen=True, eq=False)
class Decoder:
    """A model that is ready to write; made once, and again when its weights change."""

    model: nn.Module
    guide: Guide
    step: TextStep
    head: Project

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens it may write."""
        return self.guide.vocabulary

    def stream(
        self,
        prompt: Prompt,
        grammar: Grammar,
        sampling: Sampling | None = None,
        bounds: Bounds | None = None,
        change_logits: ChangeLogits | None = None,
    ) -> Generator[str, None, Decoded]:
        """Yield each line as soon as it is finished, without its end; return the whole.

        ``change_logits`` gets fp32 logits over the vocabulary and the tokens so far; tests drive
        the decoder with it. Closing the generator stops the writing. Raises DecodingError.
        """
        sampling, bounds = sampling or Sampling(), bounds or Bounds()
        clock = _Clock()
        try:
            matcher = self.guide.start(grammar)
            hidden, memory = self._read(prompt, bounds.tokens)
            clock.mark_prefill()
            source = _Source(self, hidden, memory, sampling, change_logits)
            tokens: list[int] = []
            for line in write_lines(source.choose, matcher, self.vocabulary, bounds, tokens):
                clock.mark_statement()
                yield line
        except GrammarError as error:
            raise DecodingError(str(error)) from error
        statistics = clock.statistics(len(prompt.tokens), len(tokens), source.forced)
        text = self.vocabulary.text(tokens)
        return Decoded(text, tuple(tokens), grammar.sha256, sampling, statistics)

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
    def _logits(self, hidden: Tensor) -> Float[Tensor, " v"]:
        """Multiply the last hidden state with the rows of the vocabulary alone."""
        return self.head(hidden[-1:])[0].float().cpu()

    @torch.inference_mode()
    def _feed(self, tokens: Sequence[int], memory: Memory) -> Tensor:
        """Feed chosen tokens to the model, all at once."""
        return self.step([self.vocabulary.ids[token] for token in tokens], memory)


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


class _Source:
    """Where tokens come from: the only one allowed, or the model's choice among those allowed."""

    def __init__(
        self,
        decoder: Decoder,
        hidden: Tensor,
        memory: Memory,
        sampling: Sampling,
        change_logits: ChangeLogits | None,
    ) -> None:
        self._decoder, self._memory, self._hidden = decoder, memory, hidden
        self._temperature = sampling.temperature
        self._generator = torch.Generator().manual_seed(sampling.seed)
        self._change = change_logits
        self._fed = 0
        self.forced = 0

    def choose(self, allowed: Bool[np.ndarray, " v"], tokens: Sequence[int]) -> int:
        """Choose the token after ``tokens``; forced ones are fed together with the next choice."""
        only = np.flatnonzero(allowed)
        if len(only) == 1:
            self.forced += 1
            return int(only[0])
        if waiting := tokens[self._fed :]:
            self._hidden = self._decoder._feed(waiting, self._memory)
            self._fed = len(tokens)
        logits = self._decoder._logits(self._hidden)
        if self._change is not None:
            logits = self._change(logits, tokens)
        return self._pick(logits.masked_fill(~torch.from_numpy(allowed), -torch.inf))

    def _pick(self, logits: Float[Tensor, " v"]) -> int:
        """Take the likeliest token or draw one; raises DecodingError where none is likeliest."""
        if not torch.isfinite(logits.max()):
            msg = "the model's logits are not finite: its weights are damaged"
            raise DecodingError(msg)
        if self._temperature == 0.0:
            return int(logits.argmax())
        probability = torch.softmax(logits / self._temperature, dim=-1)
        return int(torch.multinomial(probability, 1, generator=self._generator))


class _Clock:
    """Reads the time at what statistics name."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._prefill_s = self._first_s = 0.0

    def mark_prefill(self) -> None:
        self._prefill_s = perf_counter() - self._start

    def mark_statement(self) -> None:
        self._first_s = self._first_s or perf_counter() - self._start

    def statistics(self, prompt_tokens: int, tokens: int, forced: int) -> Statistics:
        total_s = perf_counter() - self._start
        return Statistics(prompt_tokens, tokens, forced, self._prefill_s, self._first_s, total_s)


def write_lines(
    choose: Choose, matcher: Matcher, vocabulary: Vocabulary, bounds: Bounds, tokens: list[int]
) -> Iterator[str]:
    """Add chosen tokens to ``tokens`` until the text has ended; yield each line without its end.

    ``choose`` gets what may come next and the tokens so far. Raises DecodingError at the bound and
    GrammarError where the grammar cannot be followed.
    """
    newline, begin = vocabulary.dense[NEWLINE], len(tokens)
    while True:
        allowed = matcher.allowed()
        if len(tokens) - begin >= bounds.line_tokens:
            allowed = closing(allowed, vocabulary)
        token = choose(allowed, tokens)
        matcher.consume(token)
        if matcher.is_ended:
            break
        if len(tokens) == bounds.tokens:
            msg = f"the text has no end after {bounds.tokens} tokens"
            raise DecodingError(msg)
        tokens.append(token)
        if token == newline:
            yield vocabulary.text(tokens[begin:-1])
            begin = len(tokens)
    if begin < len(tokens):
        yield vocabulary.text(tokens[begin:])


def closing(allowed: Bool[np.ndarray, " v"], vocabulary: Vocabulary) -> Bool[np.ndarray, " v"]:
    """Keep of the tokens that may come next those that bring a line nearer to its end.

    These are the new line and the stop tokens, else slots; where none of them may come, all stay.
    """
    first_slot = len(vocabulary.words)
    first_stop = first_slot + len(vocabulary.slots)
    ends = np.zeros_like(allowed)
    ends[vocabulary.dense[NEWLINE]] = True
    ends[first_stop:] = True
    slots = np.zeros_like(allowed)
    slots[first_slot:first_stop] = True
    kept: Bool[np.ndarray, " v"]
    for kept in (allowed & ends, allowed & slots):
        if kept.any():
            return kept
    return allowed


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
