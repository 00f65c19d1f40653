"""Questions about change: answered from the records of a comparison, and declined without one."""

from dataclasses import replace

import pytest

import prompts
from assistant import exams
from assistant.finish import compose
from assistant.ledger import Ledger
from assistant.writers import Brief, Turn, drain
from assistant.writers.questions import language_of, understand
from assistant.writers.questions.topics import PRIOR
from assistant.writers.template import Template
from segment.change import RELATIVE, YEARLY
from tests.ledgers import NOW, followed, followup_ledger, plain_ledger, visit

EXAM = exams.load("hippocampus")
languages = pytest.mark.parametrize("language", prompts.languages())


def asked(question, ledger: Ledger, language="en", turns=()):
    """Return the lines and statements of an answer; every line is verified."""
    brief = Brief(ledger, EXAM, prompts.load(language))
    answer = drain(compose(Template().answer(brief, question, turns), brief))
    assert answer.problems == ()
    return " ".join(line.text for line in answer.lines), answer.statements


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Did it grow?", "en"),
        ("Did the left hippocampus shrink since last year?", "en"),
        ("Is the change real?", "en"),
        ("How fast is it shrinking?", "en"),
        ("变化是真的吗？", "zh"),
        ("每年变化多少？", "zh"),
    ],
)
def test_a_question_about_change_is_answered_with_its_verdict_and_its_rate(question, language):
    text, _ = asked(question, followup_ledger(1.06), language)
    words = prompts.load(language)
    assert words.lexicon["changes"]["decreased"][-1] in text
    assert words.unit("%/a") in text


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Did the left hippocampus shrink?", "en"),
        ("Has the left hippocampus shrunk?", "en"),
        ("Is the left hippocampus small?", "en"),
        ("左侧海马缩小了吗？", "zh"),
        ("左侧海马增大了吗？", "zh"),
    ],
)
def test_whether_something_shrank_is_answered_with_its_change_where_it_was_compared(
    question, language
):
    ledger = followup_ledger(1.06)
    _, statements = asked(question, ledger, language)
    change = next(r for r in ledger.records if r.quantity == RELATIVE and r.side == "left")
    assert change.structure == "hippocampus"
    assert [said.cites for said in statements] == [("m1",), (change.id,)]
    _, alone = asked("Is the left hippocampus small?", plain_ledger())
    assert [said.cites for said in alone] == [("m1",)]


CHANGE, RATE, EARLIER, IN_ML = "m14", "m18", "m8", "m17"  # of the left hippocampus
RIGHT = ("m19", "m23")


@pytest.mark.parametrize(
    ("question", "cited"),
    [
        ("Is the left hippocampus stable?", (CHANGE, RATE)),
        ("Has the left hippocampus changed?", (CHANGE, RATE)),
        ("Why did the left hippocampus grow?", (CHANGE, RATE)),
        ("Compare the left hippocampus with the prior.", (CHANGE, RATE)),
        ("How much larger is the left hippocampus than in 2022?", (CHANGE, RATE)),
        ("The left hippocampus grew from 3.11 to 3.21 mL. Correct?", (CHANGE, IN_ML)),
        ("By how many mL did the left hippocampus shrink?", (CHANGE, IN_ML)),
        ("What is the change of the anterior part of the left hippocampus in percent?", ("m15",)),
        ("Did the right hippocampus change?", RIGHT),
        ("Confirm that the right hippocampus lost 3.5 %.", RIGHT),
        ("The left one shrank by 12 %, right?", (CHANGE, RATE, *RIGHT)),
        ("左侧海马有变化吗？", (CHANGE, RATE)),
        ("左侧海马稳定吗？", (CHANGE, RATE)),
        ("与前次相比右侧海马如何？", RIGHT),
        ("右侧海马缩小了多少毫升？", ("m19", "m22")),
    ],
)
def test_a_question_about_change_in_other_words_is_answered_of_what_it_names(question, cited):
    ledger = followup_ledger(1.06)
    _, statements = asked(question, ledger, language_of(question))
    assert [said.cites for said in statements] == [(name,) for name in cited]
    _, alone = asked(question, plain_ledger(), language_of(question))
    assert [said.cites for said in alone] == [()]


@pytest.mark.parametrize(
    "question",
    [
        "What was the earlier volume of the left hippocampus?",
        "What was the volume of the left hippocampus two years ago?",
        "How large was the left hippocampus before?",
        "左侧海马以前的体积是多少？",
        "上次左侧海马有多大？",
    ],
)
def test_an_earlier_volume_that_is_asked_for_is_the_earlier_one(question):
    text, statements = asked(question, followup_ledger(1.06), language_of(question))
    assert [said.cites for said in statements] == [(EARLIER,), (CHANGE,)]
    assert "3.41 mL" in text
    text, alone = asked(question, plain_ledger(), language_of(question))
    assert [said.cites for said in alone] == [()]
    assert "mL" not in text


@pytest.mark.parametrize(
    "question",
    ["What is the signal change of the left hippocampus?", "左侧海马的信号有变化吗？"],
)
def test_a_change_of_the_signal_was_not_measured(question):
    _, statements = asked(question, followup_ledger(1.06), language_of(question))
    assert [said.cites for said in statements] == [()]


@languages
def test_what_is_within_measurement_error_is_never_called_a_change(language):
    text, _ = asked("Has it changed?", followup_ledger(1.01), language)
    assert prompts.load(language).lexicon["changes"]["within_error"][0] in text
    for key in ("increased", "decreased", "stable"):
        assert not any(p in text for p in prompts.load(language).lexicon["changes"][key])


@pytest.mark.parametrize("question", ["Did it grow?", "Is the change real?", "How fast?"])
def test_without_an_earlier_examination_no_change_is_stated(question):
    text, statements = asked(question, plain_ledger())
    assert all(said.cites == () for said in statements)
    assert "%" not in text


def test_a_change_that_cannot_be_compared_is_answered_with_the_reason():
    ledger = followed(plain_ledger(), visit(plain_ledger().records, 1.06, None))
    text, _ = asked("How fast did it change?", ledger)
    assert "the date of an examination is not known" in text


@pytest.mark.parametrize(
    "question", ["Is that real?", "Is it beyond measurement error?", "How fast?"]
)
def test_what_follows_an_answer_about_a_change_is_about_it(question):
    ledger = followup_ledger(1.06)
    _, first = asked("Did it grow?", ledger)
    text, _ = asked(question, ledger, turns=(Turn("Did it grow?", first),))
    assert "a decrease beyond" in text


BARE = ["Is that real?", "is it real?", "really?", "Is this a real change or noise?"]
BARE += ["Are they real?", "这是真的吗", "变化是真的吗？", "真的吗？", "多快？", "速度如何？"]


@pytest.mark.parametrize("question", BARE)
def test_whether_it_is_real_is_asked_of_the_change_that_the_report_begins_with(question):
    language = language_of(question)
    _, statements = asked(question, followup_ledger(1.06), language)
    assert [said.cites for said in statements] == [(CHANGE,), (RATE,), *((r,) for r in RIGHT)]
    text, alone = asked(question, plain_ledger(), language)
    assert [said.cites for said in alone] == [()]
    assert text == prompts.load(language).phrases["answer.prior.a"]


@pytest.mark.parametrize("question", ["Is that real?", "really?", "这是真的吗"])
def test_whether_it_is_real_is_asked_of_the_records_answered_about(question):
    ledger, language = followup_ledger(1.06), language_of(question)
    _, first = asked("Did the right hippocampus change?", ledger)
    _, statements = asked(question, ledger, language, turns=(Turn("Did it?", first),))
    assert [said.cites for said in statements] == [(name,) for name in RIGHT]
    _, first = asked("How large is the left hippocampus?", ledger)
    _, statements = asked(question, ledger, language, turns=(Turn("How large?", first),))
    assert [said.cites for said in statements] == [("m1",)]


@pytest.mark.parametrize(
    "question", ["Is the tumour real?", "Is it really cancer?", "肿瘤是真的吗？"]
)
def test_whether_something_else_is_real_is_no_question_about_change(question):
    _, statements = asked(question, followup_ledger(1.06), language_of(question))
    assert [said.cites for said in statements] == [()]


def test_the_volume_that_is_asked_for_is_never_the_earlier_one():
    _, statements = asked("What is the volume of the left hippocampus?", followup_ledger(1.06))
    assert [said.cites for said in statements] == [("m1",)]


def test_what_is_not_assessed_leaves_change_out_where_it_was_compared():
    gap = prompts.load("en").phrases["not_assessed.change"]
    assert gap in asked("What was not assessed?", plain_ledger())[0]
    assert gap not in asked("What was not assessed?", followup_ledger(1.01))[0]


def test_a_date_asks_for_a_prior_where_there_is_none():
    records = tuple(replace(record, date=NOW) for record in plain_ledger().records)
    text, _ = asked("Did it grow since 2019-05-01?", Ledger(records))
    assert text == prompts.load("en").phrases["answer.prior.a"]


def test_a_question_that_names_dates_is_answered_of_these_alone():
    ledger = plain_ledger()
    visits = [visit(ledger.records, 1.08, "2019-05-01"), visit(ledger.records, 1.04, "2021-05-01")]
    ledger = followed(ledger, *visits)
    _, earlier = asked("What was the volume of the left hippocampus on 2019-05-01?", ledger)
    (record,) = [ledger[cite] for said in earlier for cite in said.cites]
    assert (record.quantity, record.side, record.date) == ("earlier volume", "left", "2019-05-01")
    text, _ = asked("Did the left hippocampus shrink between 2019-05-01 and 2021-05-01?", ledger)
    assert text == prompts.load("en").phrases["answer.not_measured.a"]
    _, latest = asked(f"Did the left hippocampus shrink between 2021-05-01 and {NOW}?", ledger)
    assert {ledger[cite].comparator for said in latest for cite in said.cites} == {"2021-05-01"}


@pytest.mark.parametrize(
    "question",
    [
        "What did the right hippocampus measure in {year}?",
        "How large was the right hippocampus in {year}?",
        "What was the right hippocampal volume in {year}?",
        "{year}年右侧海马多大？",
        "右侧海马在{year}年的体积是多少",
    ],
)
def test_a_volume_that_is_asked_for_of_a_year_is_that_of_its_examination(question):
    ledger = plain_ledger()
    visits = [visit(ledger.records, 1.08, "2019-05-01"), visit(ledger.records, 1.04, "2021-05-01")]
    ledger = followed(ledger, *visits)
    for year in ("2019", "2021"):
        _, said = asked(question.format(year=year), ledger, language_of(question))
        (record,) = [ledger[cite] for one in said for cite in one.cites]
        assert (record.structure, record.side) == ("hippocampus", "right")
        assert (record.quantity, record.date[:4]) == ("earlier volume", year)
    text, _ = asked(question.format(year="2017"), ledger, language_of(question))
    assert text == prompts.load(language_of(question)).phrases["answer.not_measured.a"]


@pytest.mark.parametrize(
    "question",
    [
        "When was the prior?",
        "What is the date of the previous scan?",
        "How long is the interval between the two examinations?",
        "上次检查是什么时候",
        "既往检查的日期是哪天？",
    ],
)
def test_when_the_prior_was_is_answered_by_the_earlier_volumes(question):
    ledger = followup_ledger(1.06)
    text, said = asked(question, ledger, language_of(question))
    told = [ledger[cite] for one in said for cite in one.cites]
    assert [(r.quantity, r.structure) for r in told] == [("earlier volume", "hippocampus")] * 2
    assert "2023-05-01" in text
    text, _ = asked(question, plain_ledger(), language_of(question))
    assert text == prompts.load(language_of(question)).phrases["answer.prior.a"]


@pytest.mark.parametrize(
    "question",
    [
        "From how many people does the measurement error come?",
        "Where does the measurement error come from?",
        "What is the measurement error based on?",
        "On how many subjects is the error estimated?",
        "测量误差来自多少人",
        "测量误差是从哪里来的",
    ],
)
def test_what_a_measurement_error_rests_on_stands_with_the_change(question):
    text, said = asked(question, followup_ledger(1.06), language_of(question))
    assert said[0].cites == (CHANGE,)
    assert "17 cases" in text or "17 例" in text
    text, _ = asked(question, plain_ledger(), language_of(question))
    assert text == prompts.load(language_of(question)).phrases["answer.unclear.a"]


@pytest.mark.parametrize(
    "question",
    [
        "What is the rate of change of the right hippocampus?",
        "How fast does the right hippocampus change?",
        "右侧海马变化多快？",
        "右侧海马的变化有多快",
        "右侧海马萎缩得多快？",
        "右侧海马的年变化率是多少",
    ],
)
def test_a_rate_of_a_structure_that_is_named_is_the_rate_of_its_change(question):
    found = understand(question, followup_ledger(1.06), prompts.load(language_of(question)))
    assert found.topic == PRIOR
    assert YEARLY in {record.quantity for record in found.records}
    assert {record.side for record in found.records} == {"right"}


@pytest.mark.parametrize(
    "question",
    ["What is the blood flow rate of the left hippocampus?", "左侧海马的血流速度是多少？"],
)
def test_another_rate_of_a_structure_was_not_measured(question):
    found = understand(question, followup_ledger(1.06), prompts.load(language_of(question)))
    assert found.topic != PRIOR
