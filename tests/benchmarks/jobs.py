"""Processes of a benchmark side by side, on a thread each. Knows nothing of what they do."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

NO_CHANGES: Mapping[str, str] = {}


@dataclass(frozen=True)
class Job:
    """What ``python -m`` is told, and the name of the job that has to end before."""

    name: str
    words: tuple[str, ...]
    needs: str | None = None


def run_jobs(
    jobs: Sequence[Job], at_once: int, environment: Mapping[str, str] = NO_CHANGES
) -> Iterator[Job]:
    """Yield each job when it has ended well; the first of those that can begin does.

    One that fails keeps none from running but those that need it; raises CalledProcessError for
    it in the end.
    """
    waiting, running = list(jobs), dict[Future[None], Job]()
    unended = {job.name for job in jobs}
    failed: list[BaseException] = []
    with ThreadPoolExecutor(at_once) as pool:
        while True:
            ready = [job for job in waiting if job.needs not in unended]
            for job in ready[: at_once - len(running)]:
                waiting.remove(job)
                running[pool.submit(_run, job, environment)] = job
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                if error := future.exception():
                    failed.append(error)
                else:
                    unended.remove(job.name)
                    yield job
    if failed:
        raise failed[0]


def _run(job: Job, environment: Mapping[str, str]) -> None:
    changed = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    subprocess.run([sys.executable, "-m", *job.words], check=True, env=changed)
