"""What a writer returns: sentences with slots, never with numbers. Knows nothing of languages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Section = Literal[
    "indication",
    "technique",
    "comparison",
    "findings",
    "criteria",
    "impression",
    "not_assessed",
    "answer",
]


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
    """Statements in reading order, who wrote them and from which seed.

    ``facts`` are what a report's provenance says of the writing besides: hashes, the grammar.
    ``failures`` say in a sentence each what could not be written; ``stated`` are keys of fixed
    sentences that the technique must hold. ``took`` counts and times the writing for whoever
    measures it: it differs from run to run and never stands in a report.
    """

    statements: tuple[Statement, ...]
    writer: str
    seed: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()
    took: Mapping[str, float] = field(default_factory=dict, compare=False)
