"""Questions about the criteria of published rules: answered from judgements, or said to be none."""

from dataclasses import replace

import pytest

import prompts
from assistant import exams
from assistant.finish import compose
from assistant.ledger import Ledger
from assistant.rules import judge
from assistant.writers import Brief, drain
from assistant.writers.questions.criteria import asks_for_criteria
from assistant.writers.template import Template
from tests.ledgers import followup_ledger, plain_ledger

HIPPOCAMPUS = exams.load("hippocampus")
JUDGED = followup_ledger(1.1)
JUDGED = replace(JUDGED, judgements=judge(HIPPOCAMPUS.rules, JUDGED))


def asked(question, ledger: Ledger, language="en"):
    """Return the lines of an answer; every line is verified."""
    brief = Brief(ledger, HIPPOCAMPUS, prompts.load(language))
    answer = drain(compose(Template().answer(brief, question), brief))
    assert answer.problems == ()
    return answer.lines


@pytest.mark.parametrize(
    ("question", "language"),
    [("Which criteria are met?", "en"), ("萎缩速率标准如何？", "zh"), ("是否达到标准？", "zh")],
)
def test_a_question_about_criteria_is_answered_with_each_judgement(question, language):
    lines = asked(question, JUDGED, language)
    assert [line.cites[0] for line in lines] == ["c1", "c2", "c3", "c4"]


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Are RECIST criteria met?", "en"),
        ("Is this progression by RANO?", "en"),
        ("符合RECIST吗？", "zh"),
    ],
)
def test_a_rule_that_was_not_held_against_the_study_is_said_not_to_have_been(question, language):
    (line,) = asked(question, JUDGED, language)
    assert line.text == prompts.load(language).phrases["answer.criteria.a"]


def test_without_a_prior_no_criterion_was_judged():
    (line,) = asked("Which criteria are met?", plain_ledger())
    assert line.cites == ()


@pytest.mark.parametrize(
    "question", ["How large is the left hippocampus?", "Recistance?", "左侧多大？"]
)
def test_other_questions_ask_for_no_criterion(question):
    assert not any(asks_for_criteria(question, prompts.load(one)) for one in prompts.languages())
