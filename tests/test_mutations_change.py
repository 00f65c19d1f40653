"""What is wrong in a sentence about a comparison is caught, over random histories."""

import random
from functools import cache

import pytest

import prompts
from assistant import exams
from assistant.finish import finish
from assistant.verify import verify_line
from segment.change import OF_EXAMINATIONS
from tests.change_mutations import CHANGE_MUTATIONS, LESION_MUTATIONS
from tests.drafts import template_draft
from tests.ledgers import random_followup_ledger, random_lesion_ledger
from tests.mutations import MUTATIONS, Case

ALL = {**MUTATIONS, **CHANGE_MUTATIONS}
NOT_OF_CHANGES = {"change"}  # a change may have increased; CHANGE_MUTATIONS says the opposite
ledgers = pytest.mark.parametrize("ledgers", [4, pytest.param(40, marks=pytest.mark.slow)])


@cache
def reports(ledgers):
    return told_of("hippocampus", random_followup_ledger, ledgers)


@cache
def lesion_reports(ledgers):
    return told_of("follow-up", random_lesion_ledger, ledgers)


def told_of(exam_name, make, ledgers):
    exam = exams.load(exam_name)
    generator = random.Random(21)
    return [
        (finish(template_draft(ledger, exam, words), ledger, exam, words, {}), words)
        for ledger in (make(generator) for _ in range(ledgers))
        for words in map(prompts.load, prompts.languages())
    ]


def mutants(name, made, known=ALL):
    """Make two lines about a comparison of each report wrong, where a line of it can be."""
    generator = random.Random(name)
    for report, words in made:
        records = {record.id: record for record in report.measurements}
        lines = [x for x in report.lines if any(records[c].is_of_comparison for c in x.cites)]
        cases = (Case(x, report, words, generator) for x in generator.sample(lines, len(lines)))
        wrong = [mutant for case in cases if (mutant := known[name](case))]
        yield from ((line, records, words) for line in wrong[:2])


@ledgers
@pytest.mark.parametrize("name", sorted({*ALL} - NOT_OF_CHANGES))
def test_a_mutation_of_a_comparison_is_caught(name, ledgers):
    found = [(line, verify_line(line, *rest)) for line, *rest in mutants(name, reports(ledgers))]
    missed = [(line.cites, line.text) for line, problems in found if not problems]
    assert len(found) >= (ledgers if name in CHANGE_MUTATIONS else 0)
    assert missed == []


@ledgers
@pytest.mark.parametrize("name", sorted(LESION_MUTATIONS))
def test_a_mutation_of_a_comparison_of_lesions_is_caught(name, ledgers):
    made = mutants(name, lesion_reports(ledgers), LESION_MUTATIONS)
    found = [(line, verify_line(line, *rest)) for line, *rest in made]
    missed = [(line.cites, line.text) for line, problems in found if not problems]
    assert len(found) >= ledgers
    assert missed == []


@ledgers
def test_a_change_is_called_incomparable_for_what_the_examinations_are_alone(ledgers):
    told = [
        (report.measurements, line)
        for report, words in reports(ledgers)
        for line in report.lines
        if any(said in line.text for said in words.lexicon["incomparable"]["not comparable"])
    ]
    cited = {
        record.reason for records, line in told for record in records if record.id in line.cites
    }
    assert cited <= {*OF_EXAMINATIONS}


@ledgers
def test_right_lines_about_lesions_raise_no_alarm(ledgers):
    assert [report.problems for report, _ in lesion_reports(ledgers) if report.problems] == []


@ledgers
def test_right_lines_about_comparisons_raise_no_alarm(ledgers):
    alarms = [
        (line.text, problems)
        for report, words in reports(ledgers)
        for line in report.lines
        if (problems := verify_line(line, {m.id: m for m in report.measurements}, words))
    ]
    assert alarms == []
    assert [report.problems for report, _ in reports(ledgers) if report.problems] == []
