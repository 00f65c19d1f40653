"""Questions that name a part without its structure, or a record by the id that a report cites."""

import random

import pytest

import prompts
from assistant import exams
from assistant.finish import compose
from assistant.writers import Brief, drain
from assistant.writers.questions import language_of, understand
from assistant.writers.questions.topics import LESION
from assistant.writers.template import Template
from tests.ledgers import plain_ledger, random_lesion_ledger, wide_ledger

EXAM = exams.load("hippocampus")


def asked(question, ledger=None):
    return understand(question, ledger or plain_ledger(), prompts.load(language_of(question)))


def ids(found):
    return [record.id for record in found.records]


@pytest.mark.parametrize(
    ("question", "records"),
    [
        ("Why is the left posterior part not reliable?", ["m3"]),
        ("Why was the value of the left posterior part withheld?", ["m3"]),
        ("Why is the right anterior part unreliable?", ["m5"]),
        ("左侧后部为什么不可靠？", ["m3"]),
        ("为什么没有给出左侧后部的数值？", ["m3"]),
        ("右侧前部为何未报告？", ["m5"]),
    ],
)
def test_a_part_is_named_before_a_negation(question, records):
    assert ids(asked(question)) == records


@pytest.mark.parametrize(
    ("question", "records"),
    [
        ("Why is m6 missing?", ["m6"]),
        ("What is m1?", ["m1"]),
        ("What does [m7] say?", ["m7"]),
        ("Compare M2 and M5.", ["m2", "m5"]),
        ("m6 为什么缺失？", ["m6"]),
        ("m1是什么？", ["m1"]),
    ],
)
def test_a_record_is_named_by_its_id(question, records):
    brief = Brief(wide_ledger(), EXAM, prompts.load(language_of(question)))
    composed = drain(compose(Template().answer(brief, question), brief))
    assert [cite for line in composed.lines for cite in line.cites] == records
    assert composed.problems == ()


@pytest.mark.parametrize("question", ["What is m99?", "How many mm3 is it?", "m99 是什么？"])
def test_an_id_that_no_record_has_names_none(question):
    assert ids(asked(question)) == []


@pytest.mark.parametrize("question", ["Does m1 mean dementia?", "Is m1 adjusted for age?"])
def test_what_nobody_measured_is_declined_of_a_record_as_well(question):
    assert ids(asked(question)) == []


def test_a_record_of_lesions_is_named_by_its_id():
    ledger = random_lesion_ledger(random.Random(0))
    first = ledger.records[0]
    found = asked(f"What is {first.id}?", ledger)
    assert (found.topic, found.records) == (LESION, (first,))


@pytest.mark.parametrize(
    "question",
    ["Is the left posterior cingulate small?", "Why is the left kidney not reliable?"],
)
def test_a_part_of_something_else_is_none(question):
    assert ids(asked(question)) == []
