"""A batch as a simulation of its workers, its storage and its GPUs. Knows nothing of scans.

Each worker takes the next study, reads it, measures it and perhaps writes its text, waits for a GPU
if that writes, and stores the files. Storage is one pipe, first come, first served.
"""

import heapq
import random
from dataclasses import dataclass, fields, replace

READ, COMPUTE, TEXT, SAVE, NEXT = range(5)
SHORT_WAVES, LONG_WAVES = 2, 6  # studies a worker, of the two runs that are told apart
LEAST = 1_500  # studies of the shorter one


@dataclass(frozen=True)
class Batch:
    """What a batch is made of; times in seconds, each of one study.

    ``read_s`` and ``save_s`` are times of the storage; ``compute_s`` is a worker's, evenly spread
    by ``spread`` of itself to both sides; ``text_s`` that of one of ``slots`` of the GPUs. A worker
    dies at the end of the share ``failing`` of measurings.
    """

    studies: int
    workers: int
    read_s: float
    save_s: float
    compute_s: float
    spread: float = 0.0
    slots: int = 0
    text_s: float = 0.0
    failing: float = 0.0
    attempts: int = 2
    restart_s: float = 0.0

    def __post_init__(self) -> None:
        if min(self.studies, self.workers, self.attempts) < 1:
            msg = "expected studies, workers and attempts of 1 or more; raise them"
            raise ValueError(msg)
        if not 0 <= self.failing <= 1 or not 0 <= self.spread <= 1:
            msg = f"expected shares of 0 to 1, found {self.failing} and {self.spread}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Outcome:
    """What it took: seconds on the clock, and seconds in which each part was busy."""

    wall_s: float
    present_s: float  # until a worker found no more studies, added up over workers
    computing_s: float  # added up over workers, as texts are over slots
    moving_s: float
    texting_s: float
    retried: float
    lost: float

    def utilisation(self, batch: Batch) -> dict[str, float]:
        """Return the share of the time in which workers, storage and GPUs were busy."""
        return {
            "cores": self.computing_s / (batch.workers * self.wall_s),
            "storage": self.moving_s / self.wall_s,
            "GPUs": self.texting_s / (batch.slots * self.wall_s) if batch.slots else 0.0,
        }


class _Run:
    """A simulation under way: a clock that jumps from one event to the next."""

    def __init__(self, batch: Batch, rng: random.Random) -> None:
        self.batch, self.rng = batch, rng
        self.left, self.number = batch.studies, 0
        self.events: list[tuple[float, int, int, int]] = []  # when, number, stage, attempt
        self.pipe_free_s = 0.0
        self.slots_free_s = [0.0] * batch.slots
        self.wall_s = self.present_s = self.computing_s = self.moving_s = self.texting_s = 0.0
        self.retried = self.lost = 0

    def plan(self, moment_s: float, stage: int, attempt: int = 1) -> None:
        """Note what comes, in the order of time and then of asking."""
        self.number += 1
        heapq.heappush(self.events, (moment_s, self.number, stage, attempt))

    def move(self, now_s: float, took_s: float) -> float:
        """Wait for the storage and use it; return when that is over."""
        self.pipe_free_s = max(now_s, self.pipe_free_s) + took_s
        self.moving_s += took_s
        return self.pipe_free_s

    def take(self, now_s: float, stage: int, attempt: int) -> None:
        """Let one worker do its next thing."""
        if stage == NEXT:
            self.wall_s = max(self.wall_s, now_s)
            if self.left:
                self.left -= 1
                self.plan(now_s, READ)
            else:
                self.present_s += now_s
        elif stage == READ:
            self.plan(self.move(now_s, self.batch.read_s), COMPUTE, attempt)
        elif stage == COMPUTE:
            self.compute(now_s, attempt)
        elif stage == TEXT:
            end_s = max(now_s, self.slots_free_s[0]) + self.batch.text_s
            heapq.heapreplace(self.slots_free_s, end_s)
            self.texting_s += self.batch.text_s
            self.plan(end_s, SAVE)
        else:
            self.plan(self.move(now_s, self.batch.save_s), NEXT)

    def compute(self, now_s: float, attempt: int) -> None:
        """Measure, or die of it: the worker that takes its place has the study once more."""
        batch = self.batch
        took_s = batch.compute_s * (1 + batch.spread * self.rng.uniform(-1, 1))
        self.computing_s += took_s
        if self.rng.random() >= batch.failing:
            self.plan(now_s + took_s, TEXT if batch.slots else SAVE)
        elif attempt < batch.attempts:
            self.retried += 1
            self.plan(now_s + took_s + batch.restart_s, READ, attempt + 1)
        else:
            self.lost += 1
            self.plan(now_s + took_s + batch.restart_s, NEXT)


def simulate(batch: Batch, rng: random.Random) -> Outcome:
    """Do every study of a batch."""
    run = _Run(batch, rng)
    for _ in range(batch.workers):
        run.plan(0.0, NEXT)
    while run.events:
        now_s, _, stage, attempt = heapq.heappop(run.events)
        run.take(now_s, stage, attempt)
    return Outcome(*(float(getattr(run, field.name)) for field in fields(Outcome)))


def simulate_long(batch: Batch, seed: int) -> Outcome:
    """Do a batch of very many studies: two shorter ones, and from their difference the rest.

    What the rest takes is told by the time that workers are present, since the last to leave is
    chance. No batch is over before storage, GPUs and workers have done their work.
    """
    sizes = [max(LEAST * n // SHORT_WAVES, n * batch.workers) for n in (SHORT_WAVES, LONG_WAVES)]
    if batch.studies <= sizes[1]:
        return simulate(batch, random.Random(seed))
    short, long = (simulate(replace(batch, studies=n), random.Random(seed)) for n in sizes)
    more = (batch.studies - sizes[1]) / (sizes[1] - sizes[0])
    pairs = zip(vars(short).values(), vars(long).values(), strict=True)
    found = Outcome(*(second + more * (second - first) for first, second in pairs))
    wall_s = max(
        long.wall_s + more * (long.present_s - short.present_s) / batch.workers,
        found.computing_s / batch.workers,
        found.moving_s,
        found.texting_s / max(1, batch.slots),
    )
    return replace(found, wall_s=wall_s)
