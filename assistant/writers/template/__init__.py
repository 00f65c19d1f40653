"""A writer without a model: one stock sentence per fact. Knows nothing of how slots are filled."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from assistant.draft import Draft, Statement
from assistant.writers import Brief, Turn, assess
from assistant.writers.questions import understand
from assistant.writers.template.answers import LESIONS, respond
from assistant.writers.template.stock import (
    ASYMMETRY,
    COUNTS,
    IN_SHORT,
    NOTHING,
    fixed_statements,
    gaps,
    phrase_statement,
    stock_statement,
    together,
    whole_statements,
    withheld_statement,
)

__all__ = [
    "ASYMMETRY",
    "COUNTS",
    "IN_SHORT",
    "LESIONS",
    "NOTHING",
    "Template",
    "fixed_statements",
    "gaps",
    "phrase_statement",
    "respond",
    "stock_statement",
    "together",
]
NAME = "template"


@dataclass(frozen=True)
class Template:
    """Write and answer from the phrasebook alone."""

    def write(self, brief: Brief) -> Generator[Statement, None, Draft]:
        """Write the report: technique, findings, impression and what was not assessed."""
        return (yield from _kept(_report(brief)))

    def answer(
        self, brief: Brief, question: str, turns: tuple[Turn, ...] = ()
    ) -> Generator[Statement, None, Draft]:
        """Answer what a question is about; what it is about is found by its words."""
        asked = understand(question, brief.ledger, brief.phrasebook, turns)
        return (yield from _kept(respond(asked, brief)))


def _kept(statements: Iterator[Statement]) -> Generator[Statement, None, Draft]:
    """Yield statements and return all of them."""
    kept = []
    for statement in statements:
        kept.append(statement)
        yield statement
    return Draft(tuple(kept), NAME)


def _report(brief: Brief) -> Iterator[Statement]:
    fixed = fixed_statements(brief.ledger, brief.exam, brief.phrasebook)
    yield from (s for s in fixed if s.section == "technique")
    yield from _findings(brief)
    yield from whole_statements(brief, "impression")
    yield from (s for s in fixed if s.section == "not_assessed")


def _findings(brief: Brief) -> Iterator[Statement]:
    """Say every record once, in order; withheld ones of the same reason together."""
    exam, words = brief.exam, brief.phrasebook
    for records in together(brief.ledger.records):
        if records[0].is_withheld:
            yield withheld_statement(records, words, "findings")
            continue
        for record in records:
            yield stock_statement(record, exam, words)
            if record.quantity == ASYMMETRY and (placed := assess(record)):
                yield phrase_statement(f"reference.{placed}", (record.id,), words, "findings")
