"""Questions about a measured structure and one beside it that nobody measured."""

import pytest

import prompts
from assistant import exams
from assistant.finish import compose
from assistant.writers import Brief, drain
from assistant.writers.questions import language_of, understand
from assistant.writers.template import Template
from tests.ledgers import plain_ledger

EXAM = exams.load("hippocampus")
BESIDE = [
    ("What is the volume of the left hippocampus and of the left amygdala?", ["m1"]),
    ("How large are the right hippocampus and the left amygdala?", ["m4"]),
    ("Volume of the amygdala and the right hippocampus?", ["m4"]),
    ("Are the left hippocampus, the thalamus and the amygdala small?", ["m1"]),
    ("How sure are you of the hippocampus and the liver?", ["m1", "m4"]),
    ("左侧海马和左侧杏仁核的体积是多少？", ["m1"]),
    ("杏仁核和海马有多大？", ["m1", "m4"]),
    ("右侧海马和海马旁回的体积是多少？", ["m4"]),
    ("左侧海马、丘脑偏小吗？", ["m1"]),
]


def asked(question):
    return understand(question, plain_ledger(), prompts.load(language_of(question)))


@pytest.mark.parametrize(("question", "records"), BESIDE)
def test_what_was_measured_is_told_and_what_was_not_is_said_not_to_be(question, records):
    found = asked(question)
    assert [record.id for record in found.records] == records
    assert found.besides == ("other_structures",)


@pytest.mark.parametrize("question", [BESIDE[0][0], BESIDE[5][0]])
def test_the_answer_ends_with_what_was_not_measured(question):
    words = prompts.load(language_of(question))
    brief = Brief(plain_ledger(), EXAM, words)
    composed = drain(compose(Template().answer(brief, question), brief))
    assert [line.cites for line in composed.lines] == [("m1",), ()]
    assert composed.lines[1].text == words.phrases["answer.other_structures.b"]
    assert composed.problems == ()


@pytest.mark.parametrize(
    "question", ["How large is the amygdala?", "杏仁核有多大？", "Volume of the left thalamus?"]
)
def test_what_stands_beside_no_measured_structure_is_declined(question):
    assert asked(question).records == ()


@pytest.mark.parametrize(
    "question", ["How large are the left and right hippocampus?", "左侧和右侧海马有多大？"]
)
def test_two_sides_are_no_other_structures(question):
    assert asked(question).besides == ()
