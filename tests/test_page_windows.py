"""Two windows of one browser show one study: what one does to it the other finds out."""

from types import SimpleNamespace

import pytest

from prompts import page

pytest.importorskip("gradio", reason="the chat page needs voxcite[app]")

import gradio as gr

from assistant.page import windows
from assistant.page.actions import Actions
from assistant.page.server import Options, Parts
from assistant.page.uploads import Uploads
from assistant.page.windows import Windows
from assistant.page.work import Job, Request
from assistant.settings import Settings
from tests.test_page_desk import desk  # noqa: F401

ADA = SimpleNamespace(username="ada", session_hash="window")
SAY = page.load("en")


@pytest.fixture
def act(desk, tmp_path):  # noqa: F811
    options = Options(desk.store.folder, settings=Settings(writer="template"))
    return Actions(Parts(options, desk.store, Uploads(tmp_path / "uploads")), "en")


def test_a_report_that_another_window_changed_is_not_signed_unseen(desk, act):  # noqa: F811
    seen = act.show.shown(desk)["seen"]
    desk.override("m4", 3.5, (3.2, 3.8), "Dr One")
    updates = act.sign(ADA, desk.study, seen, "Dr Two")
    assert SAY["study.changed"] in updates["notice"]
    assert desk.kept.signature is None
    assert "3.50 mL" in updates["draft"]
    act.sign(ADA, desk.study, updates["seen"], "Dr Two")
    assert desk.kept.signature["who"] == "Dr Two"


def test_what_was_not_done_is_told_until_something_is(desk, act):  # noqa: F811
    seen = act.show.shown(desk)["seen"]
    assert SAY["who.missing"] in act.sign(ADA, desk.study, seen, " ")["notice"]
    assert SAY["denied.nothing-to-undo"] in act.undo(ADA, desk.study, seen, "Dr Two")["notice"]
    assert act.sign(ADA, desk.study, seen, "Dr Two")["notice"] == ""


def test_questions_and_exports_change_nothing_that_was_seen(desk, act):  # noqa: F811
    seen = act.show.shown(desk)["seen"]
    desk.export("json")
    act.sign(ADA, desk.study, seen, "Dr Two")
    assert desk.kept.signature is not None


def test_a_window_that_watches_a_study_shows_none_once_it_is_deleted(desk, act):  # noqa: F811
    steps = act.watch(desk, lambda: True)
    next(steps)
    desk.store.delete("ada", desk.study)
    (last,) = steps
    assert SAY["study.none"] in last["status"]
    assert last["study"] == ""


def test_an_act_on_a_study_that_was_deleted_says_so(desk, act):  # noqa: F811
    desk.store.delete("ada", desk.study)
    with pytest.raises(gr.Error, match="deleted in another window"):
        act.sign(ADA, desk.study, "", "Dr Two")


@pytest.fixture
def at_work(desk, act):  # noqa: F811
    """A study that is being drafted; nothing of it ever comes."""
    kept = desk.store.add("ada", "slow", "hippocampus", "en")
    act.parts.workshop._jobs[kept.id] = Job(kept, Request("slow"))
    return kept


def test_a_window_that_shows_another_study_is_told_nothing_of_the_one_before(desk, act, at_work):  # noqa: F811
    before = act.choose(ADA, at_work.id)
    next(before), next(before)
    (shown,) = act.choose(ADA, desk.study)
    assert shown["study"] == desk.study
    assert list(before) == []


def test_a_study_that_is_shown_already_is_not_chosen_again(desk, act):  # noqa: F811
    assert list(act.choose(ADA, desk.study, desk.study)) == [{}]


def test_an_answer_is_shown_in_no_other_study_and_kept_in_its_own(desk, act, at_work):  # noqa: F811
    answering = act.chat.ask(ADA, desk.study, "How large is the left hippocampus?")
    next(answering)
    next(act.choose(ADA, at_work.id))
    assert not any("chatbot" in updates for updates in answering)
    assert len(desk.store.turns(desk.study)) == 1


def test_what_a_window_showed_is_forgotten_before_memory_is_full(monkeypatch):
    monkeypatch.setattr(windows, "MOST_WINDOWS", 2)
    shown = Windows()
    first, *others = (shown.show(name) for name in "abc")
    assert (first(), [one() for one in others]) == (False, [True, True])
