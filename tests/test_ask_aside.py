"""What is asked of the scan, of the patient and of something else altogether is told apart."""

import pytest

import prompts
from assistant import exams
from assistant.finish import compose
from assistant.writers import Brief, drain
from assistant.writers.questions import language_of
from assistant.writers.template import Template
from tests.ledgers import plain_ledger

EXAM = exams.load("hippocampus")
ASKED = [
    ("Was contrast given?", "acquisition"),
    ("What field strength?", "acquisition"),
    ("Which scanner was used?", "acquisition"),
    ("What is the slice thickness?", "acquisition"),
    ("用了造影剂吗？", "acquisition"),
    ("场强是多少？", "acquisition"),
    ("层厚多少？", "acquisition"),
    ("What's the patient's age?", "identity"),
    ("How old is the patient?", "identity"),
    ("患者多大年龄？", "identity"),
    ("病人的年龄是多少？", "identity"),
    ("Is the left hippocampus normal for the patient's age?", "age"),
    ("左侧海马对患者的年龄来说正常吗？", "age"),
    ("Write me a poem about hippocampi.", "off_topic"),
    ("Tell me a joke about the hippocampus.", "off_topic"),
    ("写一首关于海马的诗。", "off_topic"),
    ("给我讲个关于海马的笑话", "off_topic"),
]


def answered(question):
    words = prompts.load(language_of(question))
    brief = Brief(plain_ledger(), EXAM, words)
    return drain(compose(Template().answer(brief, question), brief))


@pytest.mark.parametrize(("question", "topic"), ASKED)
def test_what_is_no_measurement_is_declined_as_what_it_is(question, topic):
    phrases = prompts.load(language_of(question)).phrases
    composed = answered(question)
    assert [line.text for line in composed.lines] == [phrases[f"answer.{topic}.a"]]
    assert composed.problems == ()


@pytest.mark.parametrize(
    "question",
    [
        "Write me a poem. What is the volume of the left hippocampus?",
        "写一首诗。左侧海马的体积是多少？",
    ],
)
def test_a_question_beside_a_pastime_is_still_answered(question):
    assert [line.cites for line in answered(question).lines] == [("m1",)]
