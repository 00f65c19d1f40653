"""Seconds and memory of the commands a user waits for, best of three.

python -m tests.benchmarks.speed
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from assistant import Assistant, Settings
from segment.geometry import Geometry
from segment.infer import segment_crop
from segment.volume import Volume

RUNS = 3
WRITERS = ("template", "vlm")  # those that write on this machine


def seconds_of(command: list[str]) -> tuple[float, float]:
    """Run a command; return its wall time and the peak memory of any child so far, in GB."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    took = time.perf_counter() - began
    return took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def main() -> None:
    """Print the table."""
    voxcite = str(Path(sys.executable).parent / "voxcite")
    print(f"{os.cpu_count()} cores\n\n| what | seconds, best of {RUNS} | peak memory, GB |")
    print("|---|---|---|")
    helps = [seconds_of([voxcite, "--help"]) for _ in range(RUNS)]
    print(f"| voxcite --help | {min(s for s, _ in helps):.2f} | {helps[-1][1]:.2f} |")
    for writer in WRITERS:
        with tempfile.TemporaryDirectory() as folder:
            command = [voxcite, "draft", "sample", "--writer", writer, "-o", folder]
            drafts = [seconds_of(command) for _ in range(RUNS)]
        took, peak = min(s for s, _ in drafts), drafts[-1][1]
        print(f"| voxcite draft sample --writer {writer}, a 1 mm head | {took:.1f} | {peak:.2f} |")
    segmenter = Assistant.from_settings(Settings(writer="template")).loading.result()
    rng = np.random.default_rng(0)
    array = rng.normal(100, 20, (36, 50, 36)).astype(np.float32)
    crop = Volume(array, Geometry((36, 50, 36), np.eye(4)), "crop")
    times = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        segment_crop(crop, "left", segmenter)
        times.append(time.perf_counter() - began)
    print(f"| segmenting one crop, warm | {min(times[1:]):.2f} | - |")


if __name__ == "__main__":
    main()
