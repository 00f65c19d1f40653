"""Worker processes that take a few studies at a time, each of which may die without the others.

A worker gets its next studies when it has handed in the last, so that it is known which ones a dead
worker held. One of several may have killed it, so each of them is drafted alone once more. Knows
nothing of what becomes of an outcome.
"""

import atexit
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import SimpleITK as sitk

from assistant.batch.item import Item
from assistant.batch.outcome import failed
from assistant.batch.work import Desk, Duty, Finished, Halted
from assistant.written import now

DIED = "worker-died"
READY = "ready"
MOST_STILLBORN = 3  # workers that end before their first study, one after the other


@dataclass(eq=False)
class _Worker:
    """A process and the studies it holds, by their ids."""

    process: SpawnProcess
    pipe: Connection
    held: dict[str, Item] = field(default_factory=dict)
    is_ready: bool = False


def drafted(
    items: Iterable[Item], duty: Duty, *, workers: int
) -> Generator[Finished | Halted, None, None]:
    """Draft studies and yield each as it is over, in the order in which they end.

    ``workers`` is the number of processes; with 0 the studies are drafted in this one, for a
    debugger. Raises ChildProcessError where one process after the other ends before it has begun.
    """
    if workers == 0:
        desk, rest = Desk(duty), iter(items)
        while group := list(islice(rest, duty.texts)):
            yield from desk.drafts(group)
        return
    team = _Team(items, duty, threads=max(1, cores() // workers))
    atexit.register(team.close)  # multiprocessing would wait for workers that heed no SIGTERM
    try:
        for _ in range(workers):
            team.hire()
        yield from team.results()
    finally:
        team.close()
        atexit.unregister(team.close)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


class _Team:
    """The workers of a run and the studies that wait for one."""

    def __init__(self, items: Iterable[Item], duty: Duty, threads: int) -> None:
        self._waiting, self._alone = deque(items), deque[Item]()
        self._duty, self._threads = duty, threads
        self._workers: dict[Connection, _Worker] = {}
        self._stillborn = 0
        self._context = multiprocessing.get_context("spawn")

    def hire(self) -> None:
        """Start a worker, unless nothing waits for it."""
        waiting = len(self._waiting) + len(self._alone)
        if len(self._workers) >= waiting + sum(bool(worker.held) for worker in self._team):
            return
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=serve, args=(there, self._duty, self._threads), daemon=True
        )
        process.start()
        there.close()  # so that the pipe ends when the worker does
        self._workers[here] = _Worker(process, here)

    def results(self) -> Iterator[Finished | Halted]:
        """Yield what the workers hand in until nothing waits and nobody works."""
        while self._workers:
            for pipe in wait(list(self._workers)):
                assert isinstance(pipe, Connection)
                worker = self._workers[pipe]
                try:
                    said = pipe.recv()
                except (EOFError, OSError):
                    yield from self._mourn(worker)
                    continue
                worker.is_ready, self._stillborn = True, 0
                if isinstance(said, Finished):
                    del worker.held[said.outcome.id]
                if not worker.held:
                    self._hand(worker)  # before anybody looks at the result: that takes time too
                if said != READY:
                    yield said

    def close(self) -> None:
        """End every worker, whatever it does, and wait until it is gone."""
        for worker in self._team:
            worker.process.kill()
            worker.pipe.close()
        for worker in self._team:
            worker.process.join()
        self._workers.clear()

    @property
    def _team(self) -> tuple[_Worker, ...]:
        return tuple(self._workers.values())

    def _hand(self, worker: _Worker) -> None:
        """Give a worker its next studies, or let it go; one that has just died gets none."""
        queue, count = self._next()
        items = [queue.popleft() for _ in range(count)]
        try:
            worker.pipe.send(items)
        except OSError:
            queue.extendleft(reversed(items))
            return  # the pipe tells of the death in the next round
        worker.held = {item.id: item for item in items}
        if not items:
            worker.process.kill()  # it holds nothing; leaving by itself takes a second
            self._part_from(worker)

    def _next(self) -> tuple[deque[Item], int]:
        """Say from where the next studies come and how many: the last ones are shared evenly."""
        if self._alone:
            return self._alone, 1
        share = -(-len(self._waiting) // len(self._workers))
        return self._waiting, min(self._duty.texts, share)

    def _mourn(self, worker: _Worker) -> Iterator[Finished]:
        """Say of which study a worker died, if that is known, and put another in its place."""
        self._part_from(worker)
        code = worker.process.exitcode
        self._stillborn += not worker.is_ready
        if self._stillborn >= MOST_STILLBORN:
            msg = (
                f"expected workers, found one that ended with code {code} before its first study;"
                " a script calls batch.run below `if __name__ == '__main__':`"
            )
            raise ChildProcessError(msg)
        if len(worker.held) > 1:
            self._alone.extend(worker.held.values())
            worker.held.clear()
        for item in worker.held.values():
            how = f"signal {-code}" if code is not None and code < 0 else f"code {code}"
            sentence = (
                f"{item.id}: expected its worker to finish, found it ended by {how}, as for"
                " want of memory; try fewer --workers"
            )
            yield Finished(failed(item, DIED, sentence, now()))
        self.hire()

    def _part_from(self, worker: _Worker) -> None:
        del self._workers[worker.pipe]
        worker.pipe.close()
        worker.process.join()


def serve(pipe: Connection, duty: Duty, threads: int) -> None:
    """Draft what comes through the pipe until nothing more comes; the body of a worker."""
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)  # the run decides when its workers stop
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    limit_threads(threads)
    desk = Desk(duty)
    with suppress(EOFError, BrokenPipeError):
        pipe.send(READY)
        while items := pipe.recv():
            for result in desk.drafts(items):
                pipe.send(result)


def _end_with_the_run() -> None:
    """End this process at once when the run is gone, by whatever signal."""
    run = multiprocessing.parent_process()
    assert run is not None
    wait([run.sentinel])
    os._exit(1)


def limit_threads(threads: int) -> None:
    """Share the cores among the workers; each library would take all of them.

    OpenMP, and torch with it, reads the variable when it is loaded, which no worker has done yet
    unless the script that runs the batch has. A variable that is set already is left as it is.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
