"""What a writer returns: sentences with slots, never with numbers. Knows nothing of languages."""

from dataclasses import dataclass
from typing import Literal

Section = Literal["technique", "comparison", "findings", "impression", "not_assessed", "answer"]


@dataclass(frozen=True)
class Statement:
    """One sentence with slots and the records it cites.

    A slot is ``{m1.value}``: a record's id and a field that the renderer knows how to write. It is
    what a writer said and may be wrong: rendering and verification decide what becomes of it.
    ``stock`` is the phrase of the phrasebook that stands in its place when it fails.
    """

    section: Section
    text: str
    cites: tuple[str, ...]
    stock: str


@dataclass(frozen=True)
class Draft:
    """Statements in reading order, who wrote them and from which seed."""

    statements: tuple[Statement, ...]
    writer: str
    seed: int | None = None
