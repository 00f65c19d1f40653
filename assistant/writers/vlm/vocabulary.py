"""The tokens a writer may say, numbered from zero. Knows nothing of grammars or languages."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

SPACE = "\u2581"  # how SentencePiece spells a space
NEWLINE = "\n"
BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
NAMED = re.compile(r"<[^<>\s]+>")  # a token with a meaning of its own, such as <unused1000>
LIAO = "两"  # the numeral of Chinese that Unicode gives no value


@dataclass(frozen=True)
class Vocabulary:
    """Words, then slots (the section token is one of them), then stop tokens, as pieces of text.

    ``ids`` are the same tokens in the vocabulary of a base model, in the same order. No word
    holds a numeric character or stands for a byte; no slot or stop is spelled with letters.
    """

    words: tuple[str, ...]
    slots: tuple[str, ...]
    stops: tuple[str, ...]
    ids: tuple[int, ...]

    def __post_init__(self) -> None:
        pieces = self.pieces
        if len(self.ids) != len(pieces) or len({*self.ids}) != len(self.ids):
            msg = f"each of the {len(pieces)} tokens has an id of its own, not {len({*self.ids})}"
            raise ValueError(msg)
        if len({*pieces}) != len(pieces):
            msg = f"the vocabulary holds a token twice: {sorted(_twice(pieces))}"
            raise ValueError(msg)
        for word in self.words:
            _check_word(word)
        for piece in (*self.slots, *self.stops):
            if not NAMED.fullmatch(piece):
                msg = f"a slot or stop is one token in angle brackets, not {piece!r}"
                raise ValueError(msg)
        if NEWLINE not in self.words or not self.stops:
            msg = "a vocabulary holds the token of a new line and at least one stop token"
            raise ValueError(msg)

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """All tokens in order, as the tokenizer spells them."""
        return (*self.words, *self.slots, *self.stops)

    @cached_property
    def dense(self) -> Mapping[str, int]:
        """Where each piece stands in the order."""
        return {piece: index for index, piece in enumerate(self.pieces)}

    def text(self, tokens: Iterable[int]) -> str:
        """Spell dense tokens, slots as they are and stop tokens not at all."""
        last = len(self.words) + len(self.slots)
        return "".join(spelled(self.pieces[token]) for token in tokens if token < last)

    def rows(self, matrix: Float[Tensor, "tokens hidden"]) -> Float[Tensor, "v hidden"]:
        """Gather the rows of a head or embedding matrix that these tokens have."""
        return matrix[torch.tensor(self.ids, device=matrix.device)].contiguous()


def make_vocabulary(
    words: Iterable[str], slots: Sequence[str], stops: Sequence[str], base: Mapping[str, int]
) -> Vocabulary:
    """Number pieces by the vocabulary of a base model; raises ValueError for one it lacks."""
    ordered = tuple(sorted({*words, NEWLINE}))
    pieces = (*ordered, *slots, *stops)
    if missing := [piece for piece in pieces if piece not in base]:
        msg = f"the base model has no token for {missing[:5]}; {len(missing)} are missing"
        raise ValueError(msg)
    return Vocabulary(ordered, tuple(slots), tuple(stops), tuple(base[piece] for piece in pieces))


def spelled(piece: str) -> str:
    """Return the text that a piece stands for."""
    return piece.replace(SPACE, " ")


def is_numeral(character: str) -> bool:
    """Tell whether a character is a letter that also counts, such as a Han numeral."""
    return character.isnumeric() or character == LIAO


def _check_word(word: str) -> None:
    """Refuse a word that can say a number or a byte, or that has a meaning of its own."""
    if not word or BYTE.fullmatch(word) or NAMED.fullmatch(word):
        msg = f"a word is text, not a byte or a token with a meaning of its own: {word!r}"
        raise ValueError(msg)
    is_number = any(unicodedata.category(character).startswith("N") for character in word)
    if is_number or any(is_numeral(a) and is_numeral(b) for a, b in pairwise(word)):
        msg = f"a word holds no numeric character; {word!r} does"
        raise ValueError(msg)


def _twice(pieces: Sequence[str]) -> set[str]:
    return {piece for piece in pieces if pieces.count(piece) > 1}
