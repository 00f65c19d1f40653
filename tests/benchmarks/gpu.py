"""The shipped ensemble on a GPU beside the processor: do they say the same, and how fast is each?

    python -m tests.benchmarks.gpu [--data DIR] [--cases 6]

The same validation crops go through both, in single precision. Compared are the probabilities of
every member, the labels that follow from them and the volumes; seconds are the best of some runs.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from segment import models
from segment.models import Box
from segment.models.devices import device_name
from segment.models.training.plan import case_name
from segment.reading import read_nifti
from tests.shared_data import shared_data

RUNS = 3


def boxes_of(data: Path, count: int) -> list[Box]:
    """Read the first validation crops."""
    cases = json.loads((data / "split.json").read_text(encoding="utf-8"))["val"][:count]
    arrays = [read_nifti(data / "images" / case_name(case)).array for case in cases]
    return [Box(array, np.ones(array.shape, bool)) for array in arrays]


def measured(runtime: str, boxes: list[Box]) -> tuple[list[np.ndarray], float]:
    """Run the ensemble; return each box's ``member structure i j k`` and seconds a box."""
    ensemble = models.load("unet", runtime=runtime)
    ensemble(boxes[:1])
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        found = ensemble(boxes)
        seconds.append(time.perf_counter() - began)
    return found, min(seconds) / len(boxes)


def told(ours: list[np.ndarray], theirs: list[np.ndarray]) -> str:
    """Say how far two answers lie apart."""
    furthest = max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))
    labels = [(a.argmax(axis=1), b.argmax(axis=1)) for a, b in zip(ours, theirs, strict=True)]
    differing = sum(int((a != b).sum()) for a, b in labels)
    of = sum(a.size for a, _ in labels)
    volumes = [
        abs(int((b == n).sum()) / int((a == n).sum()) - 1) for a, b in labels for n in (1, 2)
    ]
    return (
        f"probabilities differ by {furthest:.1e} at most, {differing} of {of:,} labels differ,"
        f" volumes by {100 * max(volumes):.3f} % at most"
    )


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cases", type=int, default=6)
    asked = parser.parse_args()
    torch.set_num_threads(2)
    boxes = boxes_of(asked.data or shared_data("hippocampus"), asked.cases)
    on_processor, processor_s = measured("torch", boxes)
    on_gpu, gpu_s = measured("cuda", boxes)
    print(f"{len(boxes)} crops, {device_name()} beside two threads of its processor")
    print(told(on_processor, on_gpu))
    print(f"a crop: {gpu_s:.3f} s and {processor_s:.3f} s")


if __name__ == "__main__":
    main()
