"""What a report says of its caution is said again where somebody asks whether to trust it."""

from dataclasses import replace

import pytest

import prompts
from assistant import Assistant, Settings, exams
from assistant.finish import finish
from assistant.report import Line
from assistant.verify import verify_line
from assistant.writers.questions import language_of
from assistant.writers.template.stock import CAUTION
from assistant.writers.vlm.writer import VisionLanguage
from tests.drafts import template_draft
from tests.ledgers import plain_ledger
from tests.toy_writer import steered

EXAM = exams.load("hippocampus")
OF_TRUST = [
    ("Can I trust the left volume?", ["m1"]),
    ("How sure are you of the right hippocampus?", ["m4"]),
    ("How sure are you?", ["m1", "m4"]),
    ("Should I be cautious with this report?", ["m1", "m4"]),
    ("Why is this reported with caution?", ["m1", "m4"]),
    ("左侧体积可信吗？", ["m1"]),
    ("有多大把握？", ["m1", "m4"]),
    ("这份报告需要谨慎对待吗？", ["m1", "m4"]),
]
OF_ELSE = [
    "How large is the left hippocampus?",
    "Do the sides differ?",
    "右侧海马有多大？",
    "Be less cautious.",
]


def report(stated, language):
    words, ledger = prompts.load(language), plain_ledger()
    draft = template_draft(ledger, EXAM, words)
    return finish(draft, ledger, EXAM, words, {"input_sha256": "0" * 64}, stated)


def ask(question, stated=(CAUTION,), writer=None, of_report="en"):
    assistant = Assistant.from_settings(Settings(language=language_of(question), writer="template"))
    if writer is not None:
        assistant = replace(assistant, writer=writer)
    return assistant.ask(report(stated, of_report), question)


def caution(question):
    return prompts.load(language_of(question)).phrases[CAUTION]


def cites(answer):
    return [cite for line in answer.lines for cite in line.cites]


@pytest.mark.parametrize("of_report", prompts.languages())
@pytest.mark.parametrize(("question", "records"), OF_TRUST)
def test_trust_in_a_report_with_caution_is_answered_with_its_caution(question, records, of_report):
    answer = ask(question, of_report=of_report)
    assert answer.lines[0].text == caution(question)
    assert cites(answer) == records
    assert answer.problems == ()


@pytest.mark.parametrize(("question", "records"), OF_TRUST)
def test_a_usual_report_is_asked_about_without_a_word_of_caution(question, records):
    answer = ask(question, stated=())
    assert caution(question) not in [line.text for line in answer.lines]
    assert cites(answer) == records


@pytest.mark.parametrize("question", OF_ELSE)
def test_what_asks_for_no_trust_is_answered_without_the_caution(question):
    assert caution(question) not in [line.text for line in ask(question).lines]


@pytest.mark.parametrize("question", ["Can I trust the left volume?", "左侧体积可信吗？"])
def test_a_language_model_says_the_caution_as_well(question):
    ready, _ = steered(lambda logits, tokens: logits)
    answer = ask(question, writer=VisionLanguage.of(ready))
    assert answer.lines[0].text == caution(question)
    assert cites(answer) == ["m1"]
    assert answer.provenance["writer"] == "vlm"


def test_no_other_sentence_of_the_technique_stands_in_an_answer():
    words, records = prompts.load("en"), {r.id: r for r in plain_ledger().records}
    line = Line("answer", words.phrases["technique.sample"], (), "stated")
    assert verify_line(line, records, words)
    assert verify_line(replace(line, text=words.phrases[CAUTION]), records, words) == ()
