"""A run that is killed at random moments loses nothing, doubles nothing, halves nothing.

A child process is forked for each run, so that a kill costs no start of Python.
"""

import hashlib
import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from assistant import batch
from assistant.batch.journal import rows
from assistant.batch.place import OWN, STUDIES
from segment.register import Registration, register
from tests.batches import assistant_of, crops, toy, wait_until, written
from tests.phantoms import ThresholdSegmenter, head, registered
from tests.test_batch_plan import table

KILLS, POOL_KILLS, STUDIES_A_RUN = 30, 6, 12
LONGEST_S = 2.0  # of a run before it is killed: some studies
MOST_GROWTH = 1.05

pytestmark = pytest.mark.slow


def forked(planned, output, workers=0):
    """Start a run in a process of its own, which leads a group with its workers."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            for _ in batch.run(planned, output, workers=workers, recipe=toy, resume=True):
                pass
            code = 0
        finally:
            os._exit(code)
    return pid


def killed(pid, after_s):
    """Kill a process and its workers after a while; tell whether it had not ended by itself."""
    time.sleep(after_s)
    with suppress(ProcessLookupError):  # it was killed before it led its group
        os.killpg(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def parts_of(output):
    return {path.name for path in (output / OWN / "parts").glob("*")}


def wait_for_part(output, before, pid):
    """Wait until a worker begins to write a study, or until the run has ended."""
    wait_until(lambda: has_ended(pid) or parts_of(output) - before, patience_s=300)


def has_ended(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")


def half_written(output):
    """List what somebody could take for a study and is none."""
    hashes = {
        row["outcome"]["id"]: row["outcome"]["report_sha256"]
        for row in rows(output / OWN / "journal.jsonl")
    }
    folders = output / STUDIES
    found = sorted(folders.iterdir()) if folders.exists() else []
    return [folder.name for folder in found if not is_whole(folder, hashes.get(folder.name))]


def is_whole(folder, digest):
    names = sorted(path.name for path in folder.iterdir())
    maps = ("entropy", "mutual_information", "probability", "segmentation")
    others = ["overlay_hippocampus_left.png", "report.json", "report.md"]
    expected = [*others, *(f"{name}.nii.gz" for name in maps)]
    return names == sorted(expected) and digest == sha256(folder / "report.json")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without_time(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["created"]
    return content


def test_a_run_that_is_killed_thirty_times_loses_doubles_and_halves_nothing(tmp_path):
    crops(tmp_path / "in", STUDIES_A_RUN)
    planned = batch.plan(tmp_path / "in", side="left")
    alone = tmp_path / "alone"
    assert len(list(batch.run(planned, alone, workers=0, recipe=toy))) == STUDIES_A_RUN
    rng, kills, outputs = random.Random(0), 0, [tmp_path / "out0"]
    while kills < KILLS:
        kills += killed(forked(planned, outputs[-1]), rng.uniform(0, LONGEST_S))
        assert half_written(outputs[-1]) == []
        if (outputs[-1] / "summary.html").exists():
            outputs.append(tmp_path / f"out{len(outputs)}")
    for output in outputs:
        assert_finished_as(alone, planned, output)


@pytest.mark.timeout(1800)
def test_a_run_with_workers_that_is_killed_with_them_loses_doubles_and_halves_nothing(tmp_path):
    crops(tmp_path / "in", STUDIES_A_RUN)
    planned = batch.plan(tmp_path / "in", side="left")
    alone = tmp_path / "alone"
    list(batch.run(planned, alone, workers=0, recipe=toy))
    rng, kills, outputs = random.Random(1), 0, [tmp_path / "out0"]
    while kills < POOL_KILLS:
        before = parts_of(outputs[-1])
        pid = forked(planned, outputs[-1], workers=2)
        if kills:  # the first kill comes while workers start, which takes seconds
            wait_for_part(outputs[-1], before, pid)
        kills += killed(pid, rng.uniform(0, LONGEST_S / 4))
        assert half_written(outputs[-1]) == []
        if (outputs[-1] / "summary.html").exists():
            outputs.append(tmp_path / f"out{len(outputs)}")
    for output in outputs:
        assert_finished_as(alone, planned, output)


def assert_finished_as(alone, planned, output):
    """Go on to the end: each study once, as in a run that nobody killed."""
    list(batch.run(planned, output, workers=0, recipe=toy, resume=True))
    written = Counter(row["outcome"]["id"] for row in rows(output / OWN / "journal.jsonl"))
    assert written == Counter(item.id for item in planned.items)
    assert half_written(output) == []
    assert {path.name for path in (output / STUDIES).iterdir()} == set(written)
    for name in written:
        one, other = (folder / STUDIES / name / "report.json" for folder in (output, alone))
        assert without_time(one) == without_time(other)


def nowhere(settings):
    """An assistant that finds no head: it reads, registers, writes and saves, and draws nothing."""
    import assistant.pipeline

    def unfound(volume) -> Registration:
        return registered(similarity=0.0)

    assistant.pipeline.register = unfound
    return assistant_of(settings, ThresholdSegmenter())


def resident_bytes():
    """Return the memory of this process and of its workers."""
    import multiprocessing

    pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(3600)
def test_a_thousand_studies_take_no_more_memory_than_fifty(tmp_path, monkeypatch):
    # ``nowhere`` is called in this process too; what it replaces is put back for the next test.
    monkeypatch.setattr("assistant.pipeline.register", register)
    volume = head((6.0, 6.0, 6.0), field_mm=110).volume
    scan = tmp_path / "one.nii.gz"
    written(scan, volume.array, volume.geometry.affine)
    listed = table(tmp_path / "t.csv", [(f"s{n:04}", "one.nii.gz") for n in range(1000)])
    taken = []
    for _ in batch.run(batch.plan(listed), tmp_path / "out", workers=1, recipe=nowhere):
        taken.append(resident_bytes())
    assert len(taken) == 1000
    assert max(taken[900:]) <= MOST_GROWTH * max(taken[40:60])
