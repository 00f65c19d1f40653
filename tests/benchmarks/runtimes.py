"""Seconds and memory of the segmenter's networks in torch and in OpenVINO's ways, by turns.

python -m tests.benchmarks.runtimes [--runs 7]

Each runtime has a process of its own; they take turns, so that whatever else the machine does
slows both. Ratios are what to look at: seconds depend on the machine and on what runs beside this.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from assistant.threads import spin_briefly
from segment import models
from segment.geometry import Geometry
from segment.infer import segment_crop
from segment.models.windows import WINDOW, cut, tiles
from segment.runtime import OF_OPENVINO, Runtime
from segment.volume import Volume

RUNTIMES: tuple[Runtime, ...] = ("torch", *OF_OPENVINO)
CROP = (36, 50, 36)
LARGE = (128, 128, 128)
FLIPS = ((), (3,), (4,), (3, 4))  # of a ``batch 1 i j k`` window: left stays left
SECONDS, PROCESSOR, PEAK = range(3)


def as_shipped(runtime: Runtime) -> Callable[[], object]:
    """Segment a crop as a report does."""
    segmenter = models.load("unet", runtime=runtime)
    array = np.random.default_rng(0).normal(100, 20, CROP).astype(np.float32)
    crop = Volume(array, Geometry(CROP, np.eye(4)), "crop")
    return lambda: segment_crop(crop, "left", segmenter)


def flipped(runtime: Runtime) -> Callable[[], object]:
    """Average five members over four flips of a window; torch sees the flips as one batch."""
    networks = models.load("unet", runtime=runtime).networks
    window = torch.rand(1, 1, *WINDOW, generator=torch.Generator().manual_seed(0))
    flips = torch.cat([window.flip(axes) for axes in FLIPS])

    def averaged() -> Tensor:
        with torch.inference_mode():
            found = [network(flips).softmax(dim=1) for network in networks]
            back = [
                member[n : n + 1].flip(axes) for member in found for n, axes in enumerate(FLIPS)
            ]
            return torch.cat(back).mean(dim=0)

    return averaged


def large(runtime: Runtime) -> Callable[[], object]:
    """Run one member over a volume of 128 voxels a side, window by window as a report does."""
    ensemble = models.load("unet", runtime=runtime)
    volume = np.random.default_rng(0).random(LARGE, np.float32)
    windows = [cut(volume, start) for start in tiles(LARGE)]
    return lambda: ensemble.predict(windows, ensemble.networks[0])


TASKS = {
    "the shipped ensemble on one crop": as_shipped,
    "5 members x 4 flips of one window": flipped,
    "1 member, a volume of 128 x 128 x 128": large,
}


def serve(task: str, runtime: Runtime) -> None:
    """Do a task once for every line that comes in; tell what it took."""
    work = TASKS[task](runtime)
    work()
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        work()
        took = time.perf_counter() - wall, time.process_time() - processor
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(*took, peak, flush=True)


def start(task: str, runtime: Runtime) -> subprocess.Popen[str]:
    """Start a process that waits for its turns."""
    command = [sys.executable, "-m", "tests.benchmarks.runtimes", "--task", task, runtime]
    begun = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert begun.stdout is not None
    assert begun.stdout.readline() == "ready\n"
    return begun


def turn(process: subprocess.Popen[str]) -> list[float]:
    """Let a process do its task once."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return [float(number) for number in process.stdout.readline().split()]


def end(process: subprocess.Popen[str]) -> None:
    """Let a process go."""
    process.communicate()


def compare(task: str, runs: int) -> str:
    """Measure a task in both runtimes; return a row of the table."""
    processes = [start(task, runtime) for runtime in RUNTIMES]
    turns = np.array([[turn(process) for process in processes] for _ in range(runs)])
    for process in processes:
        end(process)
    best, peak = turns.min(axis=0), turns.max(axis=0)[:, PEAK]
    cells = [_beside(best[:, column]) for column in (SECONDS, PROCESSOR)]
    return f"| {task} | {' | '.join(cells)} | {' / '.join(f'{gb:.2f}' for gb in peak)} |"


def _beside(seconds: Float[np.ndarray, " runtime"]) -> str:
    """Write the first's seconds, and each other's with how many times as fast it is."""
    others = [f"{s:.3f} ({seconds[0] / s:.1f} x)" for s in seconds[1:]]
    return " / ".join([f"{seconds[0]:.3f}", *others])


def main() -> None:
    """Print the table, or be one of the two."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--runs", type=int, default=7)
    arguments.add_argument("--task", nargs=2, metavar=("TASK", "RUNTIME"))
    arguments.add_argument("--convert", action="store_true")
    chosen = arguments.parse_args()
    if chosen.task is not None:
        task, runtime = chosen.task
        serve(task, next(known for known in RUNTIMES if known == runtime))
        return
    if chosen.convert:
        for make in TASKS.values():
            make(RUNTIMES[-1])
        return
    spin_briefly()  # what the command line does; the processes inherit it
    load = f", {os.getloadavg()[0]:.1f} processes waiting or running" if os.name == "posix" else ""
    print(f"{os.cpu_count()} cores{load}; {' / '.join(RUNTIMES)}, best of {chosen.runs} by turns\n")
    # What is done once on a machine is no part of a start, and its memory none of a report's.
    subprocess.run([sys.executable, "-m", "tests.benchmarks.runtimes", "--convert"], check=True)
    print("| what | seconds | processor seconds | peak memory, GB |\n|---|---|---|---|", flush=True)
    for task in TASKS:
        print(compare(task, chosen.runs), flush=True)


if __name__ == "__main__":
    main()
