"""The answer to a question about a report: lines that cite its records. Knows no models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assistant.draft import Statement
from assistant.report import SYNTAX, Line, Problem
from assistant.rows import one_line
from assistant.writers import Turn


@dataclass(frozen=True)
class Answer:
    """What was asked and answered; every line is rendered and verified as a report's is.

    ``statements`` are the sentences with their slots, for the questions that follow.
    """

    question: str
    lines: tuple[Line, ...]
    problems: tuple[Problem, ...]
    provenance: Mapping[str, Any]
    statements: tuple[Statement, ...] = ()

    @property
    def turn(self) -> Turn:
        """Question and answer as the next question of the dialogue is asked after them."""
        return Turn(self.question, self.statements)

    def markdown(self) -> str:
        """Write the answer for people, a line a sentence with its citations."""
        return "".join(f"- {_literal(line.text)}{_marks(line)}\n" for line in self.lines)


def _literal(text: str) -> str:
    return SYNTAX.sub(r"\\\1", one_line(text))


def _marks(line: Line) -> str:
    return "".join(f" [{cite}]" for cite in line.cites)
