"""Chooses the tokens of one text, of which a model is asked only where there is a choice.

Knows nothing of how logits come about, and nothing of other texts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from assistant.writers.vlm.step import Memory
from assistant.writers.vlm.text import DecodingError, Text

ChangeLogits = Callable[[Tensor, Sequence[int]], Tensor]


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
class Statistics:
    """What writing took; forced tokens had no alternative and were chosen without the model.

    Of a text that was written beside others the seconds hold what those took.
    """

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


class Clock:
    """Reads the time at what statistics name."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._prefill_s = self._first_s = 0.0

    def mark_prefill(self) -> None:
        """Note that the prompt was read."""
        self._prefill_s = perf_counter() - self._start

    def mark_statement(self) -> None:
        """Note that a line was finished; the first one counts."""
        self._first_s = self._first_s or perf_counter() - self._start

    def statistics(self, prompt_tokens: int, tokens: int, forced: int) -> Statistics:
        """Read the time at the end."""
        total_s = perf_counter() - self._start
        return Statistics(prompt_tokens, tokens, forced, self._prefill_s, self._first_s, total_s)


class Pen:
    """Writes one text: with what the model knows of it, and what it has not been fed yet."""

    def __init__(
        self,
        text: Text,
        hidden: Float[Tensor, "1 hidden"],
        memory: Memory,
        sampling: Sampling,
        change_logits: ChangeLogits | None,
        clock: Clock,
    ) -> None:
        self.text, self.hidden, self.memory, self.clock = text, hidden, memory, clock
        self.forced = 0
        self._temperature = sampling.temperature
        self._generator = torch.Generator().manual_seed(sampling.seed)
        self._change = change_logits
        self._fed = 0
        self._allowed: Bool[np.ndarray, " v"] | None = None

    @property
    def waiting(self) -> Sequence[int]:
        """Tokens that the model has not been fed."""
        return self.text.tokens[self._fed :]

    def feed(self, hidden: Float[Tensor, "1 hidden"]) -> None:
        """Take the hidden state after all that was waiting."""
        self.hidden, self._fed = hidden, len(self.text.tokens)

    def to_choice(self) -> Iterator[str]:
        """Add tokens without an alternative up to the next choice; yield each finished line."""
        while not self.text.is_ended:
            allowed = self.text.allowed()
            only = np.flatnonzero(allowed)
            if len(only) > 1:
                self._allowed = allowed
                return
            self.forced += 1
            yield from self._add(int(only[0]))

    def choose(self, logits: Float[Tensor, " v"]) -> Iterator[str]:
        """Add the model's choice and all up to the next one; yield each finished line.

        Raises DecodingError where no token is likeliest.
        """
        assert self._allowed is not None
        if self._change is not None:
            logits = self._change(logits, self.text.tokens)
        allowed = torch.from_numpy(self._allowed)
        yield from self._add(self._pick(logits.masked_fill(~allowed, -torch.inf)))
        yield from self.to_choice()

    def _add(self, token: int) -> Iterator[str]:
        line = self.text.add(token)
        if line is not None:
            self.clock.mark_statement()
            yield line

    def _pick(self, logits: Float[Tensor, " v"]) -> int:
        """Take the likeliest token or draw one."""
        if not torch.isfinite(logits.max()):
            msg = "the model's logits are not finite: its weights are damaged"
            raise DecodingError(msg)
        if self._temperature == 0.0:
            return int(logits.argmax())
        probability = torch.softmax(logits / self._temperature, dim=-1)
        return int(torch.multinomial(probability, 1, generator=self._generator))
