"""One text in the making, held to its grammar: what may come next, which lines are finished.

Knows nothing of models or records.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from assistant.writers.vlm.matcher import Matcher
from assistant.writers.vlm.vocabulary import NEWLINE, Vocabulary

Choose = Callable[[np.ndarray, Sequence[int]], int]


class DecodingError(RuntimeError):
    """No text came of it: no end within the bound, no way through the grammar, or no logits."""


@dataclass(frozen=True)
class Bounds:
    """Tokens a text may have, and tokens after which a line is closed where the grammar lets it."""

    tokens: int = 1536
    line_tokens: int = 96


class Text:
    """The tokens of a text so far, and those that may come next."""

    def __init__(self, matcher: Matcher, vocabulary: Vocabulary, bounds: Bounds) -> None:
        self._matcher, self._vocabulary, self._bounds = matcher, vocabulary, bounds
        self._newline = vocabulary.dense[NEWLINE]
        self._begin = 0  # of the line that is being written
        self.tokens: list[int] = []

    @property
    def is_ended(self) -> bool:
        """Whether nothing more may come."""
        return self._matcher.is_ended

    def allowed(self) -> Bool[np.ndarray, " v"]:
        """Tell of each token whether it may come next; raises GrammarError where none may."""
        allowed = self._matcher.allowed()
        if len(self.tokens) - self._begin >= self._bounds.line_tokens:
            return closing(allowed, self._vocabulary)
        return allowed

    def add(self, token: int) -> str | None:
        """Add a token; return the line that it finishes, without its end, if it finishes one.

        Raises DecodingError at the bound and GrammarError where the grammar cannot be followed.
        """
        self._matcher.consume(token)
        if self.is_ended:
            return self._line(self.tokens) if self._begin < len(self.tokens) else None
        if len(self.tokens) == self._bounds.tokens:
            msg = f"the text has no end after {self._bounds.tokens} tokens"
            raise DecodingError(msg)
        self.tokens.append(token)
        if token != self._newline:
            return None
        line = self._line(self.tokens[:-1])
        self._begin = len(self.tokens)
        return line

    def _line(self, tokens: Sequence[int]) -> str:
        return self._vocabulary.text(tokens[self._begin :])


def write_lines(choose: Choose, text: Text) -> Iterator[str]:
    """Add chosen tokens to a text until it has ended; yield each line without its end.

    ``choose`` gets what may come next and the tokens so far. Raises as ``Text`` does.
    """
    while not text.is_ended:
        line = text.add(choose(text.allowed(), text.tokens))
        if line is not None:
            yield line


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
