"""Jobs run side by side, each after what it needs, and one that fails stops only what needs it."""

import subprocess
import sys

import pytest

from tests.benchmarks import jobs
from tests.benchmarks.jobs import Job, run_jobs

WAIT_FOR = """
import os, sys, time
from pathlib import Path
folder, mine, *others = sys.argv[1:]
(Path(folder) / mine).write_text(os.environ["OMP_NUM_THREADS"])
while not all((Path(folder) / other).exists() for other in others):
    time.sleep(0.01)
"""


@pytest.fixture
def waiter(tmp_path, monkeypatch):
    """A module that writes one file and ends when others are there."""
    (tmp_path / "waiter.py").write_text(WAIT_FOR)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def job(name, *others, needs=None):
        return Job(name, ("waiter", str(tmp_path), name, *others), needs)

    return job


def test_two_jobs_that_wait_for_each_other_run_at_once_and_on_a_thread_each(waiter, tmp_path):
    done = run_jobs([waiter("a", "b"), waiter("b", "a")], 2)
    assert {job.name for job in done} == {"a", "b"}
    assert (tmp_path / "a").read_text() == "1"


def test_a_job_begins_after_what_it_needs_though_others_are_free_to_begin(waiter):
    wanted = [waiter("late", needs="early"), waiter("early", "free"), waiter("free")]
    assert [job.name for job in run_jobs(wanted, 2)][-1] == "late"


def test_what_nobody_runs_is_not_waited_for(waiter):
    assert [job.name for job in run_jobs([waiter("a", needs="finished long ago")], 1)] == ["a"]


def test_a_job_that_fails_keeps_only_those_from_running_that_need_it(waiter, tmp_path):
    bad = Job("bad", ("no_such_module",))
    found = []
    with pytest.raises(subprocess.CalledProcessError):
        found.extend(run_jobs([bad, waiter("after", needs="bad"), waiter("good")], 1))
    assert not (tmp_path / "after").exists()
    assert (tmp_path / "good").exists()


def test_a_job_is_told_what_of_the_environment_is_changed(monkeypatch):
    seen = []
    monkeypatch.setattr(jobs.subprocess, "run", lambda command, check, env: seen.append(env))
    list(run_jobs([Job("a", ("module",))], 1, {"CUDA_VISIBLE_DEVICES": ""}))
    assert seen[0]["CUDA_VISIBLE_DEVICES"] == ""
