"""What the page keeps is its owner's alone, survives a restart, and can be removed whole."""

import stat

import pytest

from assistant.page.store import Store, Wanted, owner_of


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "state")
    yield opened
    opened.close()


def test_a_study_is_found_by_its_owner_alone(store):
    kept = store.add("a", "scan.nii.gz", "hippocampus", "en")
    assert store.get("a", kept.id) == kept
    with pytest.raises(KeyError):
        store.get("b", kept.id)
    assert store.list("b") == ()


def test_a_study_survives_a_restart_and_an_unfinished_one_is_marked(tmp_path):
    first = Store.open(tmp_path)
    done = first.add("a", "done", "hippocampus", "en")
    first.change(done.id, state="drafted", report={"exam": "hippocampus"})
    first.add("a", "half", "hippocampus", "en")
    first.close()
    second = Store.open(tmp_path)
    states = {kept.name: kept.state for kept in second.list("a")}
    assert states == {"done": "drafted", "half": "cancelled"}
    assert second.get("a", done.id).report == {"exam": "hippocampus"}
    second.close()


def test_the_trail_keeps_who_did_what_in_order(store):
    kept = store.add("a", "scan", "hippocampus", "en")
    store.record(kept.id, "Dr One", "edited", line=1)
    store.record(kept.id, "Dr Two", "signed")
    told = [(event.who, event.what) for event in store.events(kept.id)]
    assert told == [("a", "opened"), ("Dr One", "edited"), ("Dr Two", "signed")]


def test_a_deleted_study_leaves_nothing_behind(store):
    kept = store.add("a", "scan-of-somebody", "hippocampus", "en")
    (store.files(kept.id) / "scan.nii.gz").write_bytes(b"x")
    store.add_turn(kept.id, "question-of-somebody", {"lines": []})
    store.delete("a", kept.id)
    assert not store.files(kept.id).exists()
    assert store.events(kept.id) == ()
    assert store.turns(kept.id) == ()
    store.close()
    left = b"".join(path.read_bytes() for path in store.folder.rglob("*") if path.is_file())
    assert b"somebody" not in left


def test_files_of_no_study_are_removed_when_the_store_is_opened(tmp_path):
    store = Store.open(tmp_path / "state")
    kept = store.add("a", "scan", "hippocampus", "en")
    left = store.files("f" * 32)
    left.mkdir()
    (left / "scan.nii.gz").write_bytes(b"of somebody")
    store.close()
    again = Store.open(tmp_path / "state")
    assert not left.exists()
    assert again.files(kept.id).is_dir()
    again.close()


def test_nobody_deletes_the_study_of_another(store):
    kept = store.add("a", "scan", "hippocampus", "en")
    with pytest.raises(KeyError):
        store.delete("b", kept.id)
    assert store.files(kept.id).is_dir()


def test_of_what_a_draft_was_asked_for_is_kept(store):
    kept = store.add("a", "scan", "hippocampus", "en")
    assert store.wanted(kept.id) == Wanted()
    for wanted in (Wanted("5.2", is_compared=True), Wanted()):
        store.enqueue(kept.id, wanted)
        assert store.wanted(kept.id) == wanted
        assert [pending.wanted for pending in store.unfinished()] == [wanted]


def test_only_the_owner_of_the_machines_account_can_read_the_folder(store):
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_a_browsers_secret_is_not_what_is_kept():
    assert "secret-of-a-browser" not in owner_of("secret-of-a-browser")
    assert owner_of("a") != owner_of("b")


def test_a_store_of_an_earlier_version_is_opened_with_what_it_lacks(tmp_path):
    first = Store.open(tmp_path)
    kept = first.add("a", "scan", "hippocampus", "en")
    first.enqueue(kept.id, Wanted("2"))
    with first.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE study DROP COLUMN referral")
        connection.exec_driver_sql("ALTER TABLE job DROP COLUMN is_compared")
    first.close()
    second = Store.open(tmp_path)
    assert second.get("a", kept.id).referral == {}
    assert second.wanted(kept.id) == Wanted("2")
    second.change(kept.id, referral={"indication": "memory loss"})
    assert second.get("a", kept.id).referral == {"indication": "memory loss"}
    second.close()
