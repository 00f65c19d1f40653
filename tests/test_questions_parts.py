"""Questions about parts of a structure, which no asymmetry index compares."""

import pytest

import prompts
from assistant.writers.questions import language_of, understand
from assistant.writers.questions.topics import UNKNOWN
from tests.ledgers import plain_ledger


def asked(question):
    return understand(question, plain_ledger(), prompts.load(language_of(question)))


@pytest.mark.parametrize(
    ("question", "records"),
    [
        ("Is the left anterior part larger than the left posterior part?", ["m2", "m3"]),
        ("Compare the anterior and posterior parts on the right.", ["m5", "m6"]),
        ("Is the left anterior part larger than the right anterior part?", ["m2", "m5"]),
        ("Is the anterior part larger than the posterior part?", ["m2", "m3", "m5", "m6"]),
        (
            "Is the anterior part of the left hippocampus smaller than the posterior part?",
            ["m2", "m3"],
        ),
        ("左侧前部比左侧后部大吗？", ["m2", "m3"]),
        ("右侧前部比后部大吗？", ["m5", "m6"]),
        ("比较右侧前部和后部。", ["m5", "m6"]),
        ("左侧海马前部比后部小吗？", ["m2", "m3"]),
    ],
)
def test_parts_are_compared_by_their_volumes(question, records):
    found = asked(question)
    assert found.topic in ("volume", "size")
    assert [record.id for record in found.records] == records


@pytest.mark.parametrize(
    ("question", "records"),
    [
        ("Is the left anterior part within its reference range?", ["m2"]),
        ("Is the right posterior part smaller than normal?", ["m6"]),
        ("左侧前部在参考范围内吗？", ["m2"]),
    ],
)
def test_a_part_is_held_against_its_own_range(question, records):
    found = asked(question)
    assert found.topic == "size"
    assert [record.id for record in found.records] == records


@pytest.mark.parametrize(
    "question",
    [
        "What is the ratio of anterior to posterior on the right?",
        "What is the anterior to posterior ratio of the left hippocampus?",
        "右侧前部与后部的比值是多少？",
        "左侧海马前部与后部之比是多少？",
    ],
)
def test_a_ratio_of_parts_was_not_measured(question):
    assert asked(question).topic == UNKNOWN
    assert asked(question).records == ()


def test_the_index_itself_is_still_explained():
    assert asked("Does the index use the anterior and posterior parts?").topic == "asymmetry"


@pytest.mark.parametrize(
    "question", ["Is the left larger than the right?", "Do the sides differ?", "左侧比右侧大吗？"]
)
def test_sides_are_still_compared_by_the_index(question):
    assert asked(question).topic == "sides"
