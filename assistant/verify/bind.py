"""Says of each token of a sentence whose it is and what it plays. Judges nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from assistant.verify.lexer import Token
from segment.measurement import Measurement

Role = Literal[
    "value", "interval", "coverage", "reference", "reference coverage", "n", "unbound", "word"
]
LISTING = ("glue", "punctuation", "name", "quantity")  # what stands between the names of a list
MARKERS = {
    "interval": "interval",
    "basis": "interval",
    "reference": "reference",
    "comparator": "reference",
    "size": "reference",
    "change": "reference",
}


@dataclass(frozen=True)
class Bound:
    """A token, the record it is about and the field it states; ``before`` is its neighbour.

    ``also`` are records named in one breath with that one: a claim must hold of them too.
    """

    token: Token
    record: Measurement | None
    role: Role
    before: Token | None
    also: tuple[Measurement | None, ...] = ()


@dataclass(frozen=True)
class Sentence:
    """The bound tokens of one sentence and the cited records that it names, in order."""

    bound: tuple[Bound, ...]
    subjects: tuple[Measurement, ...]

    def keys(self, kind: str, record: Measurement | None = None) -> list[str]:
        """List what the tokens of a kind stand for; those about one record, if given."""
        return [
            b.token.key
            for b in self.bound
            if b.token.kind == kind and (record is None or b.record is record)
        ]

    def roles(self, record: Measurement) -> set[Role]:
        """List the fields stated of one record."""
        return {b.role for b in self.bound if b.record is record}


def sentences(tokens: Sequence[Token], cited: Sequence[Measurement]) -> Iterator[Sentence]:
    """Cut tokens at full stops and bind each sentence by itself."""
    for part in parts(tokens):
        yield bind(part, cited)


def parts(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Cut tokens at full stops."""
    part: list[Token] = []
    for token in (*tokens, Token("stop", "")):
        if token.kind != "stop":
            part.append(token)
        elif part:
            yield part
            part = []


def bind(tokens: Sequence[Token], cited: Sequence[Measurement]) -> Sentence:
    """Bind each token to the record last named before it, or else to the first one named."""
    quantities = {token.key for token in tokens if token.kind == "quantity"}
    names = {
        index: _named(token, cited, quantities)
        for index, token in enumerate(tokens)
        if token.kind == "name"
    }
    bound = []
    for index, token in enumerate(tokens):
        last = max((i for i in names if i <= index), default=min(names, default=None))
        current = None if last is None else names[last]
        before = tokens[index - 1] if index else None
        also = tuple(names[i] for i in _beside(tokens, names, last, index))
        bound.append(Bound(token, current, _role(tokens, index), before, also))
    return Sentence(tuple(bound), tuple(record for record in names.values() if record is not None))


def _beside(
    tokens: Sequence[Token], names: Iterable[int], last: int | None, index: int
) -> Iterator[int]:
    """List the names in one breath with the one at ``last``, and one that follows the token."""
    if last is None:
        return
    for other in names:
        low, high = min(other, last), max(other, last)
        between = tokens[low + 1 : high]
        is_listed = all(token.kind in LISTING for token in between)
        is_next = other > index and all(t.kind == "glue" for t in tokens[index + 1 : other])
        if other != last and (is_listed or is_next):
            yield other


def _named(token: Token, cited: Sequence[Measurement], quantities: set[str]) -> Measurement | None:
    """Return the cited record that a name stands for; of several, the one of a quantity named."""
    same = [record for record in cited if f"{record.structure}|{record.side}" == token.key]
    if len(same) > 1:
        same = [record for record in same if record.quantity in quantities]
    return same[0] if len(same) == 1 else None


def _role(tokens: Sequence[Token], index: int) -> Role:
    """Say which field a number states, from the words beside it."""
    token = tokens[index]
    if token.kind == "range":
        return _range_role(tokens[:index])
    if token.kind != "number":
        return "word"
    before = tokens[index - 1].kind if index else None
    after = tokens[index + 1].kind if index + 1 < len(tokens) else None
    if after == "interval":
        return "coverage"
    if before == "central":
        return "reference coverage"
    return "n" if after == "cases" else "value"


def _range_role(before: Sequence[Token]) -> Role:
    """Say which range follows: that of the nearest marker with no other range in between."""
    for token in reversed(before):
        if token.kind == "range":
            return "unbound"
        if token.kind in MARKERS:
            return "interval" if MARKERS[token.kind] == "interval" else "reference"
    return "unbound"
