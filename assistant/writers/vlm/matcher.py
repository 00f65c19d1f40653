"""Holds a text in the making to its grammar, token by token. Knows nothing of models or records.

llguidance does the parsing, over the tokens of a vocabulary alone; whatever it cannot do is an
error here and never an end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from llguidance import LLMatcher, LLTokenizer

from assistant.writers.vlm.grammar import Grammar
from assistant.writers.vlm.vocabulary import Vocabulary, spelled

BITS = 8


class GrammarError(RuntimeError):
    """The grammar cannot be followed: it is no grammar, or the parser gave up."""


@dataclass(frozen=True)
class _Pieces:
    """What llguidance asks of a tokenizer; it cuts no text, for nothing is forced as text."""

    tokens: Sequence[bytes]
    special_token_ids: Sequence[int]
    eos_token_id: int
    bos_token_id: int | None = None
    is_tokenizer_wrapper: bool = True

    def __call__(self, text: str) -> list[int]:
        """Refuse to cut a text."""
        msg = f"the pieces of a vocabulary cut no text, such as {text!r}"
        raise NotImplementedError(msg)


@dataclass(frozen=True)
class Guide:
    """A vocabulary as llguidance reads it; made once, for many texts."""

    vocabulary: Vocabulary
    tokenizer: LLTokenizer

    def start(self, grammar: Grammar) -> "Matcher":
        """Begin a text; raises GrammarError where the grammar is none over this vocabulary."""
        vocabulary = self.vocabulary
        if foreign := sorted(grammar.slots - {*vocabulary.slots}):
            msg = f"the grammar has slots that the vocabulary lacks: {', '.join(foreign[:5])}"
            raise GrammarError(msg)
        matcher = LLMatcher(self.tokenizer, grammar.text, log_level=0)
        allowed = np.ones(len(vocabulary.pieces), dtype=bool)
        for slot in vocabulary.slots:
            allowed[vocabulary.dense[slot]] = slot in grammar.slots
        return Matcher(matcher, allowed, len(vocabulary.words) + len(vocabulary.slots))


def make_guide(vocabulary: Vocabulary) -> Guide:
    """Hand the bytes of each token to llguidance."""
    first = len(vocabulary.words)
    pieces = _Pieces(
        tokens=[spelled(piece).encode() for piece in vocabulary.pieces],
        special_token_ids=range(first, len(vocabulary.pieces)),
        eos_token_id=first + len(vocabulary.slots),
    )
    stops = list(range(first + len(vocabulary.slots), len(vocabulary.pieces)))
    tokenizer = LLTokenizer(pieces, eos_token=stops, slices=[])  # type: ignore[arg-type]  # takes any object of this shape
    return Guide(vocabulary, tokenizer)


class Matcher:
    """One text in the making: what may come next, and whether it may end here."""

    def __init__(self, parser: LLMatcher, static: Bool[np.ndarray, " v"], first_stop: int) -> None:
        self._parser = parser
        self._static = static
        self._first_stop = first_stop
        self.is_ended = False
        self._check()

    def copy(self) -> "Matcher":
        """Begin another text from where this one is."""
        copied = Matcher(self._parser.deep_copy(), self._static, self._first_stop)
        copied.is_ended = self.is_ended
        return copied

    def allowed(self) -> Bool[np.ndarray, " v"]:
        """Tell of each token whether it may come next; raises GrammarError where none may."""
        packed = np.frombuffer(self._parser.compute_bitmask(), dtype=np.uint8)
        self._check()
        bits = np.unpackbits(packed, count=len(self._static), bitorder="little")
        mask: Bool[np.ndarray, " v"] = (bits == 1) & self._static
        if not mask.any():
            msg = f"no token may come next; the parser says {self._parser.stop_reason()}"
            raise GrammarError(msg)
        return mask

    def consume(self, token: int) -> None:
        """Add a token; raises GrammarError for one that may not come next."""
        if self.is_ended or not self._static[token]:
            msg = f"token {token} may not stand here"
            raise GrammarError(msg)
        if token >= self._first_stop:
            self._end()
            return
        self._parser.consume_token(token)
        self._check()

    def _end(self) -> None:
        """End the text; raises GrammarError where something is still missing."""
        if not self._parser.is_accepting():
            msg = "the text stops before all that it must hold is written"
            raise GrammarError(msg)
        self.is_ended = True

    def _check(self) -> None:
        if self._parser.is_error():
            reason = self._parser.get_error().partition("\n")[0]
            msg = f"the grammar cannot be followed: {reason}"
            raise GrammarError(msg)
