"""Worker processes: one that dies takes its own study with it and no other."""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from assistant import Settings, batch, read_study
from assistant.batch.item import Item
from assistant.batch.pool import drafted
from assistant.batch.work import Duty, Finished, Halted
from tests.batches import (
    BEGAN,
    DEADLY,
    MARKS,
    PATIENCE_S,
    TOLD,
    WAITS,
    broken,
    crop,
    crops,
    mortal,
    telling,
    toy,
)


@dataclass
class Run:
    """A run with two workers that is over."""

    output: Path
    outcomes: list = field(default_factory=list)

    def by_id(self):
        return {outcome.id: outcome for outcome in self.outcomes}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Six studies, one of which kills its worker and one of which is damaged."""
    folder = tmp_path_factory.mktemp("night")
    crops(folder / "in", 4)
    crop(folder / "in" / "deadly.nii.gz", brightest=DEADLY * 2)
    (folder / "in" / "damaged.nii.gz").write_bytes(b"x")
    planned = batch.plan(folder / "in", side="left")
    found = list(batch.run(planned, folder / "out", workers=2, recipe=mortal))
    return Run(folder / "out", found)


@pytest.mark.slow
def test_a_worker_that_dies_is_a_row_and_the_run_goes_on(run):
    codes = {name: outcome.code for name, outcome in run.by_id().items()}
    assert codes.pop("deadly") == "worker-died"
    assert codes.pop("damaged") == "unreadable"
    assert codes == dict.fromkeys(["s0001", "s0002", "s0003", "s0004"])


@pytest.mark.slow
def test_a_dead_worker_is_told_with_its_signal(run):
    assert "ended by signal 9" in run.by_id()["deadly"].sentence


def test_the_manifest_has_each_study_once_in_the_order_of_the_plan(run):
    lines = (run.output / "manifest.csv").read_text(encoding="utf-8").splitlines()
    names = [line.partition(",")[0] for line in lines[1:]]
    assert names == ["damaged", "deadly", "s0001", "s0002", "s0003", "s0004"]


def test_no_file_of_a_dead_worker_is_left(run):
    assert not (run.output / "studies" / "deadly").exists()
    assert not (run.output / ".voxcite-batch" / "parts").exists()


def test_workers_write_what_one_process_writes(run, tmp_path):
    planned = batch.plan(run.output.parent / "in", side="left")
    wanted = {"s0001", "s0002"}
    items = [item for item in planned.items if item.id in wanted]
    for result in drafted(items, Duty(toy, Settings(), tmp_path), workers=0):
        alone, pooled = (
            json.loads((folder / "report.json").read_text(encoding="utf-8"))
            for folder in (tmp_path / result.part, run.output / "studies" / result.outcome.id)
        )
        del alone["created"], pooled["created"]
        assert alone == pooled
        wanted.remove(result.outcome.id)
    assert wanted == set()


def of_no_model(settings):
    """A recipe that can build nothing."""
    msg = "expected a model, found none; give one"
    raise ValueError(msg)


def test_what_stops_every_study_stops_the_run(tmp_path):
    items = [Item(name, (tmp_path,), "hippocampus", "en") for name in "ab"]
    results = list(drafted(items[:1], Duty(of_no_model, Settings(), tmp_path), workers=0))
    assert results == [Halted("expected a model, found none; give one")]
    with pytest.raises(ValueError, match="expected a model"):
        raise results[0].error


def test_a_part_that_cannot_be_written_stops_the_run(tmp_path):
    crop(tmp_path / "a.nii.gz")
    item = Item("a", (tmp_path / "a.nii.gz",), "hippocampus", "en", side="left")
    gone = tmp_path / "out" / ".voxcite-batch" / "parts"
    (halted,) = drafted([item], Duty(toy, Settings(), gone), workers=0)
    assert halted.is_output
    assert halted.sentence.startswith("out: expected a folder to write to")


def test_a_study_that_is_drafted_lies_in_a_part_of_its_own(tmp_path):
    crop(tmp_path / "a.nii.gz")
    item = Item("a", (tmp_path / "a.nii.gz",), "hippocampus", "en", side="left")
    (tmp_path / "parts").mkdir()
    twice = list(drafted([item, item], Duty(toy, Settings(), tmp_path / "parts"), workers=0))
    assert all(isinstance(result, Finished) for result in twice)
    assert len({result.part for result in twice}) == 2


def test_a_study_that_fails_names_its_scan_once_it_is_read(tmp_path):
    (tmp_path / "b.nii.gz").write_bytes(b"no scan")
    paths = crop(tmp_path / "a.nii.gz"), tmp_path / "b.nii.gz"
    items = [Item(path.name[0], (path,), "hippocampus", "en", side="left") for path in paths]
    found = [
        result.outcome for result in drafted(items, Duty(broken, Settings(), tmp_path), workers=0)
    ]
    assert [outcome.code for outcome in found] == ["internal", "unreadable"]
    read = read_study(paths[0]).volume.sha256
    assert [outcome.input_sha256 for outcome in found] == [read, None]


@dataclass(frozen=True)
class Fatal:
    """A recipe that kills whoever unpacks it, as a broken installation does."""

    def __call__(self, settings):
        return toy(settings)

    def __reduce__(self):
        return os._exit, (3,)


@pytest.mark.slow
def test_workers_that_cannot_start_stop_the_run(tmp_path):
    item = Item("a", (tmp_path,), "hippocampus", "en")
    with pytest.raises(ChildProcessError, match="found one that ended with code 3 before"):
        list(drafted([item], Duty(Fatal(), Settings(), tmp_path), workers=1))


def staged(folder, monkeypatch, workers, patience_s):
    """Draft three studies; the first waits in its segmenting until the third is segmented."""
    crop(folder / "in" / "a.nii.gz", brightest=WAITS * 2)
    for name in "bc":
        crop(folder / "in" / f"{name}.nii.gz")
    (folder / "marks").mkdir()
    monkeypatch.setenv(MARKS, str(folder / "marks"))
    monkeypatch.setenv(PATIENCE_S, str(patience_s))
    planned = batch.plan(folder / "in", side="left")
    run = batch.run(planned, folder / "out", workers=workers, recipe=telling)
    return {outcome.id: outcome for outcome in run}


@pytest.mark.slow
def test_a_study_is_read_while_another_worker_segments(tmp_path, monkeypatch):
    found = staged(tmp_path, monkeypatch, workers=2, patience_s=240)
    assert [found[name].code for name in "abc"] == [None] * 3
    # The second worker began to read c when it had written b: later than a's segmenting began,
    # which in turn went on until c was read.
    began = (tmp_path / "marks" / BEGAN).stat().st_mtime_ns
    told = (tmp_path / "marks" / TOLD).stat().st_mtime_ns
    written = (tmp_path / "out" / "studies" / "b" / "report.json").stat().st_mtime_ns
    assert began < written < told
    assert found["a"].seconds["segment"] * 1e9 > told - written


def test_one_worker_takes_one_study_after_the_other(tmp_path, monkeypatch):
    found = staged(tmp_path, monkeypatch, workers=0, patience_s=0.5)
    assert found["a"].code == "internal"
    assert "found RuntimeError (batches.py" in found["a"].sentence
    assert [found[name].code for name in "bc"] == [None, None]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_workers_end_with_a_run_that_is_killed(tmp_path):
    crops(tmp_path / "in", 60)
    planned = batch.plan(tmp_path / "in", side="left")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for _ in batch.run(planned, tmp_path / "out", workers=2, recipe=toy):
                children = [str(p.pid) for p in multiprocessing.active_children()]
                os.write(writing, f"{' '.join(children)}\n".encode())
        finally:
            os._exit(0)
    workers = [int(word) for word in os.read(reading, 1000).splitlines()[0].split()]
    assert all(map(is_alive, workers))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    until = time.monotonic() + 10
    while any(map(is_alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))
    left = [o.id for o in batch.run(planned, tmp_path / "out", workers=2, recipe=toy, resume=True)]
    assert len(left) < 60
    assert sorted(o.id for o in batch.outcomes(tmp_path / "out")) == [i.id for i in planned.items]
