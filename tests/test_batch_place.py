"""The folder of a run: one run at a time, its own files alone, every study whole or absent."""

import os
import shutil
from collections import deque
from contextlib import contextmanager

import pytest

from assistant import Settings
from assistant.batch import outcomes
from assistant.batch.identity import identity_of
from assistant.batch.item import Item, Plan
from assistant.batch.journal import Journal, mend, rows, rows_by
from assistant.batch.outcome import Outcome, failed, outcome_from_json
from assistant.batch.place import OWN, STUDIES, finished, opened
from segment.errors import Refusal, ScanError
from tests.ledgers import plain_ledger
from tests.small_disk import on_a_small_disk

ITEMS = tuple(Item(name, (), "hippocampus", "en") for name in ("a", "b", "c"))
NOW = "2021-03-04T05:06:07+00:00"
NOBODY = 65534  # the account with no rights


def plan_of(tmp_path, settings=None, items=ITEMS):
    return Plan(tmp_path, settings or Settings(), items)


def drafted(item, **changes):
    records = plain_ledger().records
    facts = {"seconds": {"read": 0.5}, "measurements": records} | changes
    return Outcome(item.id, "drafted", item.exam, item.language, NOW, **facts)


def open_place(tmp_path, *, resume=False, **options):
    return opened(
        tmp_path / "Quetzal" / "out", identity_of(plan_of(tmp_path, **options)), resume=resume
    )


def part_of(place, item):
    """Write a part as a worker does."""
    part = place.parts / f"{item.id}-x"
    part.mkdir()
    (part / "report.json").write_text("{}")
    return part.name


def refusal(context):
    with pytest.raises(ScanError) as caught, context:
        pass
    assert caught.value.code is Refusal.OUTPUT
    assert "Quetzal" not in str(caught.value)
    return str(caught.value)


# the journal


def test_an_outcome_reads_back_as_it_was_written():
    outcome = drafted(ITEMS[0], prior="z", input_sha256="1" * 64, report_sha256="2" * 64)
    assert outcome_from_json(outcome.to_json()) == outcome
    other = failed(ITEMS[1], "missing", "b: expected a file", NOW)
    assert outcome_from_json(other.to_json()) == other


@pytest.mark.parametrize(("status", "code"), [("failed", None), ("drafted", "missing")])
def test_an_outcome_has_a_reason_exactly_if_it_failed(status, code):
    with pytest.raises(ValueError, match="a reason code stands exactly where"):
        Outcome("a", status, "hippocampus", "en", NOW, code=code)


def test_every_cut_through_the_last_row_leaves_the_rows_before_it(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for number in range(3):
            journal.append({"n": number})
    whole = path.read_bytes()
    start = whole.rindex(b"{")
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        assert [row["n"] for row in rows(path)] == [0, 1]
    mend(path, lambda row: True)
    with Journal(path) as journal:
        journal.append({"n": 2})
    assert path.read_bytes() == whole


def test_rows_come_in_the_order_that_is_asked_for(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for name in "cab":
            journal.append({"id": name})
    found = rows_by(path, lambda row: row["id"], ["a", "missing", "b", "c"])
    assert [row["id"] for row in found] == ["a", "b", "c"]


def test_a_damaged_row_is_told_and_not_skipped(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"n": 1}\n\0\0\0\n{"n": 2}\n')
    with pytest.raises(ScanError, match=r"journal\.jsonl: expected a row at byte 9"):
        list(rows(path))


def test_a_journal_on_a_full_disk_raises(tmp_path):
    (tmp_path / "journal.jsonl").symlink_to("/dev/full")
    with Journal(tmp_path / "journal.jsonl") as journal, pytest.raises(OSError, match="No space"):
        journal.append({"n": 1})


# whose folder it is


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    folder = tmp_path / "Quetzal" / "out"
    folder.mkdir(parents=True)
    (folder / "thesis.doc").write_text("x")
    assert "out: expected an empty folder, found other files" in refusal(open_place(tmp_path))
    assert [path.name for path in folder.iterdir()] == ["thesis.doc"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "Quetzal").mkdir()
    (tmp_path / "Quetzal" / "out").write_text("x")
    assert "out: expected an empty folder" in refusal(open_place(tmp_path))


def test_a_begun_run_is_gone_on_with_only_if_asked(tmp_path):
    with open_place(tmp_path) as place:
        place.keep(drafted(ITEMS[0]), part_of(place, ITEMS[0]))
    assert "add --resume" in refusal(open_place(tmp_path))
    with open_place(tmp_path, resume=True) as place:
        assert place.done == {"a"}


def test_resuming_where_nothing_was_begun_begins(tmp_path):
    with open_place(tmp_path, resume=True) as place:
        assert place.done == frozenset()


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"settings": Settings(language="zh")}, "a run with another language"),
        ({"settings": Settings(seed=3, coverage=0.8)}, "another coverage and seed"),
        ({"items": ITEMS[:2]}, "other studies (0 new, 1 gone, 0 changed)"),
        ({"items": (*ITEMS, Item("d", (), "hippocampus", "en"))}, "(1 new, 0 gone, 0 changed)"),
        ({"items": (*ITEMS[:2], Item("c", (), "hippocampus", "zh"))}, "(0 new, 0 gone, 1 changed)"),
    ],
)
def test_the_folder_of_another_run_is_refused_with_what_differs(tmp_path, other, told):
    with open_place(tmp_path):
        pass
    assert told in refusal(open_place(tmp_path, resume=True, **other))


def test_no_path_stands_in_a_runs_own_files(tmp_path):
    item = Item("a", (tmp_path / "Quetzal" / "DOE_JANE.nii.gz",), "hippocampus", "en")
    settings = Settings(writer="vlm", model=str(tmp_path / "Quetzal"))
    with open_place(tmp_path, settings=settings, items=(item,)):
        pass
    written = (tmp_path / "Quetzal" / "out" / OWN / "run.json").read_text()
    assert "Quetzal" not in written
    assert "DOE" not in written


def test_a_second_run_is_refused_while_the_first_lasts(tmp_path):
    with open_place(tmp_path):
        assert "found a run that writes to it" in refusal(open_place(tmp_path, resume=True))
    with open_place(tmp_path, resume=True):
        pass


def test_looking_into_a_folder_is_refused_while_a_run_lasts_and_writes_nothing(tmp_path):
    folder, identity = tmp_path / "Quetzal" / "out", identity_of(plan_of(tmp_path))
    assert finished(folder, identity, resume=False) == frozenset()
    assert not folder.exists()
    with open_place(tmp_path) as place:
        place.keep(drafted(ITEMS[0]), part_of(place, ITEMS[0]))
        with pytest.raises(ScanError, match=r"out: .* found a run that writes to it"):
            finished(folder, identity, resume=True)
    assert finished(folder, identity, resume=True) == {"a"}


def test_a_folder_on_a_full_disk_is_told_in_one_sentence_and_is_mended(tmp_path):
    identity = identity_of(plan_of(tmp_path))
    long = [failed(Item(f"x{n}", (), "e", "en"), "code", "x" * 4000, NOW) for n in range(99)]

    def body(disk, grow):
        with opened(disk / "out", identity, resume=False) as place:
            with pytest.raises(ScanError, match="out: expected room on its disk, found none left"):
                deque(place.keep(outcome, None) for outcome in long)
            kept = {outcome.id for outcome in outcomes(disk / "out")}
        assert 0 < len(kept) < len(long)
        (disk / "out" / "log.txt").unlink()
        with opened(disk / "out", identity, resume=True) as place:
            assert place.done == kept

    on_a_small_disk(tmp_path / "disk", 64, body)


# what a kill leaves


def test_a_row_that_was_written_before_its_rename_is_made_good(tmp_path):
    with open_place(tmp_path) as place:
        row = {"part": part_of(place, ITEMS[0]), "outcome": drafted(ITEMS[0]).to_json()}
        place.journal.append(row)
        shutil.move(place.parts, tmp_path / "kept")  # what the end of this block would remove
    shutil.move(tmp_path / "kept", tmp_path / "Quetzal" / "out" / OWN / "parts")
    identity = identity_of(plan_of(tmp_path))
    assert finished(tmp_path / "Quetzal" / "out", identity, resume=True) == {"a"}
    with open_place(tmp_path, resume=True) as place:
        assert place.done == {"a"}
    assert (tmp_path / "Quetzal" / "out" / STUDIES / "a" / "report.json").is_file()


def test_a_part_without_a_row_is_thrown_away(tmp_path):
    with open_place(tmp_path) as place:
        part_of(place, ITEMS[0])
        shutil.move(place.parts, tmp_path / "kept")
    shutil.move(tmp_path / "kept", tmp_path / "Quetzal" / "out" / OWN / "parts")
    with open_place(tmp_path, resume=True) as place:
        assert place.done == frozenset()
        assert list(place.parts.iterdir()) == []


def test_a_study_whose_folder_was_removed_is_made_again(tmp_path):
    with open_place(tmp_path) as place:
        for item in ITEMS[:2]:
            place.keep(drafted(item), part_of(place, item))
        place.keep(failed(ITEMS[2], "missing", "c: expected a file", NOW), None)
    shutil.rmtree(tmp_path / "Quetzal" / "out" / STUDIES / "a")
    with open_place(tmp_path, resume=True) as place:
        assert place.done == {"b", "c"}
        place.keep(drafted(ITEMS[0]), part_of(place, ITEMS[0]))
        assert [outcome.id for outcome in place.outcomes("abc")] == ["a", "b", "c"]


def test_a_log_line_says_how_a_study_ended(tmp_path):
    with open_place(tmp_path) as place:
        place.keep(drafted(ITEMS[0]), part_of(place, ITEMS[0]))
        place.keep(failed(ITEMS[1], "missing", "b: expected a file, found none", NOW), None)
    assert (tmp_path / "Quetzal" / "out" / "log.txt").read_text().splitlines() == [
        f"{NOW} a drafted, 0.5 s",
        f"{NOW} b failed [missing] b: expected a file, found none",
    ]


@contextmanager
def as_nobody():
    """Give up the right to write anywhere, if this account has it."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_folder_that_may_not_be_written_is_refused(tmp_path):
    above = tmp_path / "Quetzal"
    above.mkdir()
    above.chmod(0o500)
    try:
        with as_nobody():
            assert not os.access(above, os.W_OK, effective_ids=True)
            assert "out: expected a folder to write to" in refusal(open_place(tmp_path))
    finally:
        above.chmod(0o700)
