"""What is wrong is caught and what is right is not, over random ledgers in both languages.

Every call is type-checked while tests run, so the default run takes few ledgers and the slow one
as many as the figures are quoted on.
"""

import random
from functools import cache

import pytest

import prompts
from assistant import exams, writers
from assistant.finish import finish
from assistant.verify import verify_line
from tests.ledgers import random_ledger
from tests.mutations import MUTATIONS, Case

CAUGHT = 0.995
FALSE_ALARMS = 0.005

ledgers = pytest.mark.parametrize("ledgers", [6, pytest.param(100, marks=pytest.mark.slow)])


@cache
def reports(ledgers):
    exam, writer = exams.load("hippocampus"), writers.load("template")
    generator = random.Random(20)
    return [
        (finish(writer(ledger, exam, words), ledger, exam, words, {}), words)
        for ledger in (random_ledger(generator) for _ in range(ledgers))
        for words in map(prompts.load, prompts.languages())
    ]


def mutants(name, ledgers):
    """Make one line of each report wrong, where a line of it can be."""
    generator = random.Random(name)
    for report, words in reports(ledgers):
        lines = [line for line in report.lines if line.cites]
        cases = (
            Case(line, report, words, generator) for line in generator.sample(lines, len(lines))
        )
        wrong = (mutant for case in cases if (mutant := MUTATIONS[name](case)))
        records = {record.id: record for record in report.measurements}
        yield from ((line, records, words) for line in [next(wrong, None)] if line)


@ledgers
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_caught(name, ledgers):
    found = [(line, verify_line(line, *rest)) for line, *rest in mutants(name, ledgers)]
    missed = [(line.cites, line.text) for line, problems in found if not problems]
    assert len(found) >= ledgers / 5, "too few lines give this mutation something to change"
    assert len(missed) <= (1 - CAUGHT) * len(found), missed[:5]


@ledgers
def test_right_lines_raise_no_alarm(ledgers):
    checked = [
        (line.text, verify_line(line, {m.id: m for m in report.measurements}, words))
        for report, words in reports(ledgers)
        for line in report.lines
    ]
    alarms = [(text, problems) for text, problems in checked if problems]
    assert len(checked) > 20 * ledgers
    assert len(alarms) <= FALSE_ALARMS * len(checked), alarms[:5]


@ledgers
def test_no_sentence_of_the_template_writer_is_replaced(ledgers):
    assert [report.problems for report, _ in reports(ledgers) if report.problems] == []
