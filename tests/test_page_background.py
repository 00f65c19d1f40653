"""What the page does beside the acts of people: it reads the networks, and removes what is left."""

import asyncio
from types import SimpleNamespace

import pytest

from prompts import page

pytest.importorskip("gradio", reason="the chat page needs voxcite[app]")

from assistant.page import uploads
from assistant.page.actions import Actions
from assistant.page.server import Options, open_parts
from assistant.page.showing import REFERRAL
from assistant.page.uploads import Uploads

ADA = SimpleNamespace(username="ada", session_hash="window")
AGAIN = SimpleNamespace(username="ada", session_hash="another window")


@pytest.fixture
def parts(tmp_path):
    made = open_parts(Options(tmp_path))
    yield made
    made.close()


def test_whoever_comes_before_the_networks_are_read_is_told_so(parts):
    say, steps = page.load("en"), Actions(parts, "en").load(ADA)
    first = next(steps)
    assert say["study.none"] in first["status"]
    assert say["step.warming"] in next(steps)["status"]
    assert next(steps) == {}
    parts.warmed.set()
    (last,) = steps
    assert say["step.warming"] not in last["status"]
    assert say["study.none"] in last["status"]


def test_a_study_that_another_window_opened_meanwhile_is_shown(parts):
    steps = Actions(parts, "en").load(ADA)
    next(steps), next(steps)
    kept = parts.store.add("ada", "scan", "hippocampus", "en")
    assert next(steps) == {}  # it is being opened, and nothing of it is there
    parts.store.change(kept.id, state="failed")
    *_, shown = steps
    assert shown["study"] == kept.id
    assert page.load("en")["study.none"] not in shown["status"]


def test_a_study_that_the_window_itself_opens_ends_its_waiting(parts):
    act = Actions(parts, "en")
    steps = act.load(ADA)
    next(steps), next(steps)
    kept = parts.store.add("ada", "scan", "hippocampus", "en")
    (shown,) = act.choose(ADA, kept.id)
    assert shown["study"] == kept.id
    assert list(steps) == []


@pytest.mark.parametrize("is_read", [True, False])
def test_a_page_that_answers_late_takes_nothing_back(parts, monkeypatch, is_read):
    def opened_meanwhile(store, owner):
        parts.windows.show(ADA.session_hash)
        return ()

    if is_read:
        parts.warmed.set()
    monkeypatch.setattr(type(parts.store), "list", opened_meanwhile)
    assert list(Actions(parts, "en").load(ADA)) == []


def test_what_was_opened_before_the_page_had_answered_stays(parts):
    parts.warmed.set()
    is_shown = parts.windows.show(ADA.session_hash)
    assert list(Actions(parts, "en").load(ADA)) == []
    assert is_shown()


def test_each_window_waits_for_itself(parts):
    act = Actions(parts, "en")
    both = [act.load(window) for window in (ADA, AGAIN)]
    for steps in both:
        next(steps)
    told = [next(steps)["status"] for steps in both]
    assert told == [act.show.warming()] * 2


def test_with_the_networks_read_nothing_is_told_of_them(parts):
    parts.warmed.set()
    (only,) = Actions(parts, "en").load(ADA)
    assert page.load("en")["step.warming"] not in only["status"]


def test_what_was_written_of_the_next_study_while_the_page_loads_stays(parts):
    parts.warmed.set()
    (only,) = Actions(parts, "en").load(ADA)
    assert only.keys().isdisjoint(REFERRAL)


def test_what_nobody_opened_is_removed_while_the_server_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "SWEPT_EVERY_S", 0.01)
    monkeypatch.setattr(uploads, "KEPT_S", 0.05)
    sent = Uploads(tmp_path / "uploads")
    token = sent.begin("ada")
    sent.place(token, "scan.nii", 0).write_bytes(b"scan")

    async def served():
        async with sent.swept():
            assert (tmp_path / "uploads" / token).exists()
            await asyncio.sleep(1.0)

    asyncio.run(served())
    assert not (tmp_path / "uploads" / token).exists()
    with pytest.raises(uploads.UploadError, match="send them again"):
        sent.claim(token, "ada", tmp_path / "study")


def test_what_an_earlier_run_left_is_gone_when_the_server_starts(tmp_path):
    left = tmp_path / "uploads" / "old" / "scan.nii"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"scan")
    Uploads(tmp_path / "uploads")
    assert list((tmp_path / "uploads").iterdir()) == []
