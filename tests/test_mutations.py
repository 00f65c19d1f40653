"""What is wrong is caught and what is right is not, over random ledgers in both languages.

Every call is type-checked while tests run, so the default run takes few ledgers and the slow one
as many as the figures are quoted on.
"""

import random
from functools import cache

import numpy as np
import pytest

import prompts
from assistant import exams
from assistant.draft import Draft
from assistant.finish import finish
from assistant.verify import verify_line
from assistant.writers import phrasings
from assistant.writers.vlm.author import Author
from tests.drafts import template_draft
from tests.ledgers import random_ledger
from tests.mutations import MUTATIONS, Case

CAUGHT = 0.995
ONLY_RICH = ("size", "claimed side")  # wordings that no stock sentence has
FALSE_ALARMS = 0.005

ledgers = pytest.mark.parametrize("ledgers", [6, pytest.param(100, marks=pytest.mark.slow)])
wordings = pytest.mark.parametrize("wording", ["stock", "rich"])


def rich_draft(ledger, words, number):
    """Write as a tuned model does: any of the wordings that it is trained on."""
    part = ("training", "held out")[number % 2]
    rng = np.random.default_rng(number)
    author = Author(rng, part, words, phrasings.load(words.language), ledger)
    return Draft((*author.findings(), *author.impression()), "rich")


@cache
def reports(ledgers, wording):
    exam = exams.load("hippocampus")
    generator = random.Random(20)
    drafts = {
        "stock": lambda ledger, words, _: template_draft(ledger, exam, words),
        "rich": rich_draft,
    }
    return [
        (finish(drafts[wording](ledger, words, number), ledger, exam, words, {}), words)
        for number, ledger in enumerate(random_ledger(generator) for _ in range(ledgers))
        for words in map(prompts.load, prompts.languages())
    ]


def mutants(name, ledgers, wording):
    """Make one line of each report wrong, where a line of it can be."""
    generator = random.Random(name)
    for report, words in reports(ledgers, wording):
        lines = [line for line in report.lines if line.cites]
        cases = (
            Case(line, report, words, generator) for line in generator.sample(lines, len(lines))
        )
        wrong = (mutant for case in cases if (mutant := MUTATIONS[name](case)))
        records = {record.id: record for record in report.measurements}
        yield from ((line, records, words) for line in [next(wrong, None)] if line)


@ledgers
@wordings
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_caught(name, wording, ledgers):
    found = [(line, verify_line(line, *rest)) for line, *rest in mutants(name, ledgers, wording)]
    missed = [(line.cites, line.text) for line, problems in found if not problems]
    least = 0 if wording == "stock" and name in ONLY_RICH else ledgers / 5
    assert len(found) >= least, "too few lines give this mutation something to change"
    assert len(missed) <= (1 - CAUGHT) * len(found), missed[:5]


@ledgers
@wordings
def test_right_lines_raise_no_alarm(wording, ledgers):
    checked = [
        (line.text, verify_line(line, {m.id: m for m in report.measurements}, words))
        for report, words in reports(ledgers, wording)
        for line in report.lines
    ]
    alarms = [(text, problems) for text, problems in checked if problems]
    assert len(checked) > 20 * ledgers
    assert len(alarms) <= FALSE_ALARMS * len(checked), alarms[:5]


@ledgers
@wordings
def test_no_right_sentence_is_replaced(wording, ledgers):
    assert [report.problems for report, _ in reports(ledgers, wording) if report.problems] == []
