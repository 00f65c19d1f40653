"""Questions about parts of a structure, which no asymmetry index compares."""

import pytest

import prompts
from assistant.writers.questions import language_of, understand
from assistant.writers.questions.topics import HEAD_SIZE, UNKNOWN
from tests.ledgers import followup_ledger, plain_ledger


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


@pytest.mark.parametrize(
    "question",
    [
        "Is the head of the right hippocampus smaller than the tail?",
        "Is the hippocampal head small on the left?",
        "Is the tail of the left hippocampus larger than that of the right?",
        "Is the left hippocampal tail larger than the right hippocampal tail?",
        "Did the tail of the left hippocampus shrink since the last scan?",
        "右侧海马头比海马尾小吗？",
        "左侧海马尾比右侧海马尾大吗？",
        "左侧海马头较上次缩小了吗？",
    ],
)
def test_a_head_or_a_tail_is_neither_the_whole_nor_the_size_of_the_head(question):
    words = prompts.load(language_of(question))
    found = understand(question, followup_ledger(1.06), words)
    assert (found.topic, found.records) == (UNKNOWN, ())


@pytest.mark.parametrize(
    "question",
    [
        "Is the left hippocampus normalised to head size?",
        "Is the hippocampal volume adjusted for the intracranial volume?",
        "海马体积按头围校正了吗？",
        "海马头围校正了吗？",
    ],
)
def test_the_size_of_the_head_is_still_that(question):
    assert asked(question).topic == HEAD_SIZE
