"""An answer that is stopped keeps what was told of it, and is kept once."""

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
    asking.keep_stopped(desk, question, tellings.stop(desk.study, question))
    *_, last = steps
    assert last == told  # nothing is added any more, and nothing is kept twice
    asked, answered = asking.history(desk)
    assert asked["content"].startswith(question[:5])
    assert answered["content"].startswith(asking.shown(told))
    assert asking.markdown(page.load(language)["chat.broken_off"]) in answered["content"]
    assert [event.what for event in desk.store.events(desk.study)].count("asked") == 1


def test_an_answer_that_ended_cannot_be_stopped(desk):  # noqa: F811
    question, tellings = QUESTION["en"], Tellings()
    telling = tellings.begin(desk.study, question)
    *_, whole = asking.answering(desk, question, assistant_of, telling)
    assert tellings.stop(desk.study, question) is None
    assert asking.history(desk)[1]["content"] == asking.shown(whole)


def test_a_stopped_answer_is_nothing_that_a_later_question_follows_on(desk):  # noqa: F811
    asking.keep_stopped(desk, QUESTION["en"], ())
    assert list(asking._turns(desk, "en")) == []


def test_a_study_that_is_deleted_stops_its_answers():
    tellings = Tellings()
    mine, other = tellings.begin("a", "How large?"), tellings.begin("b", "How large?")
    tellings.forget("a")
    assert (mine.close(), other.close()) == (False, True)


def test_nothing_is_added_to_an_answer_that_is_closed():
    telling = Telling()
    assert telling.close()
    assert telling.add(object()) == ()
