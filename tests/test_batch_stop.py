"""A batch that is told to end, as SLURM and systemd tell it: a real process and its workers."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assistant import batch
from assistant.batch import cluster
from assistant.cli import NOTHING_MEASURED, REFUSED
from tests.batches import crops, wait_until

ROOT = Path(__file__).resolve().parents[1]
STUDIES_A_RUN = 16
OPTIONS = ("--crop", "--side", "left", "--writer", "template", "--workers", "2", "--resume")
LEFT_OPEN = """
import sys
from pathlib import Path
from assistant import batch
from tests.batches import toy
planned = batch.plan(Path(sys.argv[1]), side="left")
running = batch.run(planned, Path(sys.argv[2]), workers=1, recipe=toy)
print(next(running).id)
"""
RAY_LOG = re.compile(r"\[[^]]+\] core_worker\.cc")
NEEDS_RAY = pytest.mark.skipif(cluster.find_spec("ray") is None, reason="needs ray (voxcite[ray])")

pytestmark = pytest.mark.slow


def started(*arguments):
    """Start Python in a session of its own, in which whoever ends a service reaches its workers."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def assert_goes_on(command, output):
    """Resume a run that was stopped: each study is drafted, and once."""
    stopped = [outcome.id for outcome in batch.outcomes(output)]
    assert 0 < len(stopped) < STUDIES_A_RUN
    resumed = started(*command)
    resumed.communicate(timeout=240)
    assert resumed.returncode == NOTHING_MEASURED  # the shipped networks find nothing in a ball
    found = [(outcome.id, outcome.code) for outcome in batch.outcomes(output)]
    assert sorted(found) == [(f"s{n:04}", None) for n in range(1, STUDIES_A_RUN + 1)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("told", "options"),
    [
        (os.kill, ()),
        (os.killpg, ()),
        pytest.param(os.kill, ("--engine", "ray"), marks=NEEDS_RAY),
    ],
    ids=["the run", "the run and its workers", "the run, by Ray"],
)
def test_a_run_that_is_told_to_end_ends_with_its_workers_and_goes_on(tmp_path, told, options):
    crops(tmp_path / "in", STUDIES_A_RUN)
    output = tmp_path / "out"
    command = ("-m", "assistant.cli", "batch", tmp_path / "in", output, *OPTIONS, *options)
    run = started(*command)
    wait_until(lambda: any(batch.outcomes(output)) or run.poll() is not None, patience_s=240)
    workers = children(run.pid)
    told(run.pid, signal.SIGTERM)
    _, said = run.communicate(timeout=60)
    own = [line for line in said.splitlines() if not RAY_LOG.match(line)]
    assert (run.returncode, own) == (REFUSED, ["voxcite: stopped; what was complete is kept"])
    assert len(workers) >= 2
    wait_until(lambda: not any(Path("/proc", pid).exists() for pid in workers), patience_s=20)
    assert_goes_on(command, output)


def test_a_script_that_leaves_its_run_open_ends(tmp_path):
    crops(tmp_path / "in", 4)
    script = started("-c", LEFT_OPEN, tmp_path / "in", tmp_path / "out")
    assert script.communicate(timeout=120) == ("s0001\n", "")
    assert script.returncode == 0
