"""An answer that is stopped keeps what was told of it, and is kept once."""

import threading

import pytest

import prompts
from assistant.page import asking
from assistant.page.telling import Telling, Tellings
from assistant.pipeline import Assistant
from assistant.settings import Settings
from prompts import page
from tests.test_page_desk import desk  # noqa: F401

QUESTION = {"en": "How large are the hippocampi?", "zh": "海马体积有多确定？"}
languages = pytest.mark.parametrize("language", prompts.languages())


def assistant_of(exam, language):
    return Assistant.from_settings(Settings(writer="template", exam=exam, language=language))


@languages
def test_lines_that_were_told_before_a_stop_are_kept_and_marked(desk, language):  # noqa: F811
    question, tellings = QUESTION[language], Tellings()
    telling = tellings.begin(desk.study, question)
    steps = asking.answering(desk, question, assistant_of, telling)
    told = next(steps)
    asking.keep_stopped(desk, question, tellings.stop(desk.study).lines)
    assert list(steps) == []  # nothing is told any more, and nothing is kept twice
    asked, answered = asking.history(desk)
    assert asked["content"].startswith(question[:5])
    assert answered["content"].startswith(asking.shown(told))
    assert asking.markdown(page.load(language)["chat.broken_off"]) in answered["content"]
    assert [event.what for event in desk.store.events(desk.study)].count("asked") == 1


def test_an_answer_that_ended_cannot_be_stopped(desk):  # noqa: F811
    question, tellings = QUESTION["en"], Tellings()
    telling = tellings.begin(desk.study, question)
    *_, whole = asking.answering(desk, question, assistant_of, telling)
    assert tellings.stop(desk.study) is None
    assert asking.history(desk)[1]["content"] == asking.shown(whole)


def test_a_stopped_answer_is_nothing_that_a_later_question_follows_on(desk):  # noqa: F811
    asking.keep_stopped(desk, QUESTION["en"], ())
    assert list(asking._turns(desk, "en")) == []


def test_a_study_that_is_deleted_stops_its_answers():
    tellings = Tellings()
    mine, other = tellings.begin("a", "How large?"), tellings.begin("b", "How large?")
    tellings.stop("a")
    assert (mine.is_stopped, other.is_closed) == (True, False)


def test_a_study_has_one_answer_on_its_way_at_a_time():
    tellings = Tellings()
    first = tellings.begin("a", "How large?")
    assert tellings.begin("a", "How certain?") is None
    first.end((), list)
    second = tellings.begin("a", "How certain?")
    tellings.end("a", first)  # whoever watched the first comes late
    assert tellings.stop("a") is second


def test_nothing_is_added_to_an_answer_that_is_closed():
    telling = Telling()
    assert telling.stop()
    assert not telling.add(object())
    assert not telling.end((object(),), pytest.fail)
    assert telling.lines == ()


def test_whoever_waits_is_woken_by_a_line_and_by_the_end():
    telling, line = Telling(), object()
    threading.Timer(0.05, telling.add, [line]).start()
    assert telling.news(0, 30) == (line,)
    kept = []
    threading.Timer(0.05, telling.end, [(line, line), lambda: kept.append(line)]).start()
    assert telling.news(1, 30) == (line, line)
    assert kept == [line]


@pytest.mark.parametrize(
    "error", [ValueError("expected a report"), RuntimeError("a fault of ours")]
)
def test_an_answer_that_fails_ends_and_says_why(desk, error, caplog):  # noqa: F811
    def failing(exam, language):
        raise error

    telling = Telling()
    asking.begin(desk, QUESTION["en"], failing, telling)
    telling.news(0, 30)
    assert telling.is_closed
    assert str(telling.failure) == ("" if caplog.records else "expected a report")
    assert desk.store.turns(desk.study) == ()
