"""Questions about a report: who is asked, what may be asked, and what stands in the answer."""

from collections.abc import Iterator

import prompts
from assistant import exams
from assistant.answer import Answer
from assistant.finish import compose
from assistant.provenance import of_draft
from assistant.report import Line, Report
from assistant.writers import Brief, Turn, Writer
from assistant.writers.questions import LONGEST_QUESTION
from assistant.writers.template import Template
from assistant.writers.template.stock import CAUTION
from prompts import Phrasebook
from segment.errors import Refusal, ScanError


def answering(
    writer: Writer, words: Phrasebook, report: Report, question: str, turns: tuple[Turn, ...]
) -> Iterator[Line | Answer]:
    """Answer a question about a report: each verified line, then the whole.

    Where nothing of what a model wrote may stand, the template's answer stands in its place.
    Raises ScanError for a report that no answers are worded for, and for too long a question.
    """
    exam = exams.load(report.exam)
    if exam.segmenter == exams.SUPPLIED and exam.compares != "lesions":
        msg = f"expected a report that answers are worded for, found exam {exam.name}"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}; read the report itself")
    if len(question) > LONGEST_QUESTION:
        msg = f"expected a question of at most {LONGEST_QUESTION} characters, found {len(question)}"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}; ask one thing at a time")
    brief = Brief(report.ledger, exam, words, is_cautious=_is_cautious(report))
    composed = yield from compose(writer.answer(brief, question, turns), brief)
    lines, statements = composed.lines, composed.statements
    if not lines:
        stock = yield from compose(Template().answer(brief, question, turns), brief)
        lines, statements = stock.lines, stock.statements
    provenance = {
        "input_sha256": report.provenance.get("input_sha256"),
        **of_draft(composed.draft),
        "replaced": len(composed.problems),
    }
    yield Answer(question, lines, composed.problems, provenance, statements)


def _is_cautious(report: Report) -> bool:
    """Tell whether a report says, in its own language, that it is to be taken with caution."""
    sentence = prompts.load(report.language).phrases[CAUTION]
    return any(line.text == sentence for line in report.lines)
