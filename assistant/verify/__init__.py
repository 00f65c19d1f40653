"""Checks rendered lines against the records they cite, by a lexer of its own.

Never imports the renderer: what one wrote wrongly the other must not read in the same way.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import prompts
from assistant import exams
from assistant.judgement import Judgement
from assistant.ledger import Ledger
from assistant.records import schema
from assistant.report import Line, Report, report_from_json
from assistant.rules import judge
from assistant.score import Score
from assistant.verify import facts
from assistant.verify.bind import sentences
from assistant.verify.check import check_sentence, check_shown, expected_origin
from assistant.verify.judged import check_judged
from assistant.verify.lexer import lexicon, tokens
from assistant.verify.scores import check_scored, is_told
from prompts import Phrasebook
from segment.measurement import Measurement

__all__ = ["untold", "verify_line", "verify_report"]
CAUTION = "technique.caution"
ANSWERS = ("answer.", "not_assessed.", CAUTION)  # how the keys of fixed answers begin


def verify_line(
    line: Line,
    records: Mapping[str, Measurement],
    phrasebook: Phrasebook,
    scores: Sequence[Score] = (),
    judgements: Sequence[Judgement] = (),
) -> tuple[str, ...]:
    """Say what in a line is not carried by the records it cites; empty when all of it is.

    A line cites measurements or scores, never both: each is said in words of its own. One that
    cites a judgement cites its records as well. A quotation cites nothing and is not checked;
    nothing but quotations stands in the indication.
    """
    if line.section == "indication" and line.origin != "quoted":
        return ("stands in the indication and is no quotation",)
    read = [score for score in scores if score.id in line.cites]
    judged = [judgement for judgement in judgements if judgement.id in line.cites]
    known = {*records, *(score.id for score in read), *(one.id for one in judged)}
    if unknown := [cite for cite in line.cites if cite not in known]:
        return (f"cites unknown records {unknown}",)
    if not line.cites:
        return tuple(_check_uncited(line, records, phrasebook))
    if len(set(line.cites)) != len(line.cites):
        return (f"cites a record twice: {line.cites}",)
    if judged:
        return tuple(check_judged(line, judged, records, phrasebook))
    if read and len(read) < len(line.cites):
        return (f"cites measurements and scores together: {line.cites}",)
    if read:
        return tuple(check_scored(line, read, phrasebook))
    return tuple(_check_cited(line, records, phrasebook))


def verify_report(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Re-check what report.json holds: schema, records, expressions and each line."""
    if found := tuple(_check_schema(table)):
        return found
    try:
        report = report_from_json(table)
        phrasebook = prompts.load(report.language)
        exam = exams.load(report.exam)
    except (ValueError, KeyError, TypeError) as error:
        return (str(error),)
    return (*_check_report(report, exam, phrasebook), *_check_rules(report, exam))


def untold(report: Report) -> tuple[str, ...]:
    """Say what of its records, and of what was not assessed, no line of a report tells."""
    return tuple(_check_told(report, exams.load(report.exam), prompts.load(report.language)))


def _check_cited(
    line: Line, records: Mapping[str, Measurement], phrasebook: Phrasebook
) -> Iterator[str]:
    """Check a line that cites records, sentence by sentence."""
    cited = tuple(records[cite] for cite in line.cites)
    if line.origin != "edited by" and line.origin != expected_origin(cited):
        yield f"the origin of a line about these records is not {line.origin!r}"
    is_edited = line.origin == "edited by"
    predicted = phrasebook.lexicon["interval"]
    named: set[str] = set()
    for sentence in sentences(tokens(line.text, lexicon(phrasebook)), cited):
        yield from check_sentence(sentence, records, is_edited=is_edited, predicted=predicted)
        yield from check_shown(sentence)
        named |= {record.id for record in sentence.subjects}
    for cite in line.cites:
        if cite not in named:
            yield f"cites {cite} and does not name its structure"


def _check_uncited(
    line: Line, records: Mapping[str, Measurement], phrasebook: Phrasebook
) -> Iterator[str]:
    """Check a line that cites nothing: a fixed sentence word for word, or a person's own words.

    A fixed sentence that says something of the records must hold of them.
    """
    if line.origin == "edited by":
        for token in tokens(line.text, lexicon(phrasebook)):
            if token.is_numeric:
                yield f"{token.text!r} is a number and the line cites no record"
        return
    if line.origin == "quoted":
        return  # Line itself holds it to its sections; what others wrote is not ours to check
    expected = "not assessed" if line.section == "not_assessed" else "stated"
    sections = ANSWERS if line.section == "answer" else (f"{line.section}.",)
    keys = {text: key for key, text in phrasebook.phrases.items() if key.startswith(sections)}
    if line.text not in keys or line.origin != expected or "{" in line.text:
        yield "cites nothing and is none of the fixed sentences of its section"
    elif not facts.holds(keys[line.text], tuple(records.values())):
        yield "is a fixed sentence that does not hold of these records"


def _check_schema(table: Mapping[str, Any]) -> Iterator[str]:
    """Hold a report against its published schema."""
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    shared = schema("measurements")
    registry: Registry[Any] = Registry().with_resource(
        shared["$id"], Resource.from_contents(shared)
    )
    validator = Draft202012Validator(schema("report"), registry=registry)
    for error in validator.iter_errors(dict(table)):
        yield f"{error.json_path}: {error.message}"


def _check_report(report: Report, exam: exams.Exam, phrasebook: Phrasebook) -> Iterator[str]:
    """Check each line, and that nothing is left out."""
    records = {record.id: record for record in report.measurements}
    for number, line in enumerate(report.lines, start=1):
        for problem in verify_line(line, records, phrasebook, report.scores, report.judgements):
            yield f"line {number} {line.text!r}: {problem}"
    yield from _check_told(report, exam, phrasebook)


def _check_told(report: Report, exam: exams.Exam, phrasebook: Phrasebook) -> Iterator[str]:
    """Check that nothing measured or told and no stated gap is left out."""
    cited = {cite for line in report.lines for cite in line.cites}
    told = {score.id for score in report.scores if is_told(score)}
    judged = [judgement.id for judgement in report.judgements]
    measured = [record.id for record in report.measurements]
    for entry_id in (*measured, *sorted(told), *judged):
        if entry_id not in cited:
            yield f"no line cites {entry_id}"
    texts = {line.text for line in report.lines}
    standings = {one["standing"] for one in report.provenance.get("likeness", ())}
    if "report with caution" in standings and phrasebook.phrases[CAUTION] not in texts:
        yield "no line says that the scan is reported with caution"
    for key in exam.not_assessed:
        holds = facts.holds(f"not_assessed.{key}", report.measurements)
        if holds and phrasebook.phrases[f"not_assessed.{key}"] not in texts:
            yield f"no line says that {key} was not assessed"


def _check_rules(report: Report, exam: exams.Exam) -> Iterator[str]:
    """Hold judgements against the exam's rules as they are here; older reports have none."""
    expected = judge(exam.rules, Ledger(report.measurements))
    if report.judgements and report.judgements != expected:
        yield (
            "the judgements are not what the exam's rules make of the records; verify the report"
            " with the version that wrote it, or draft it again"
        )
