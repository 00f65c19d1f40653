"""The shipped ensemble in another runtime beside torch: do they say the same, how fast is each?

    python -m tests.benchmarks.beside_torch [--runtime cuda] [--data DIR] [--cases 6]

The same validation crops go through both; torch computes on two threads of the processor, in single
precision. Compared are the probabilities of every member, the labels that follow from them, the
volumes of each, and those of the ensemble, which reports state; seconds are the best of some runs.
"""

import argparse
import json
import time
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from segment import models
from segment.models import Box
from segment.models.training.plan import case_name
from segment.reading import read_nifti
from segment.runtime import Runtime
from tests.shared_data import shared_data

RUNS = 3
OTHERS = tuple(runtime for runtime in get_args(Runtime) if runtime != "torch")


def boxes_of(data: Path, count: int) -> list[Box]:
    """Read the first validation crops."""
    cases = json.loads((data / "split.json").read_text(encoding="utf-8"))["val"][:count]
    arrays = [read_nifti(data / "images" / case_name(case)).array for case in cases]
    return [Box(array, np.ones(array.shape, bool)) for array in arrays]


def measured(runtime: Runtime, boxes: list[Box]) -> tuple[list[np.ndarray], float, str]:
    """Run the ensemble; return each box's ``member structure i j k``, seconds a box, what ran."""
    ensemble = models.load("unet", runtime=runtime)
    ensemble(boxes[:1])
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        found = ensemble(boxes)
        seconds.append(time.perf_counter() - began)
    return found, min(seconds) / len(boxes), ensemble.runtime


def told(ours: list[np.ndarray], theirs: list[np.ndarray]) -> str:
    """Say how far two answers lie apart."""
    furthest = max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))
    labels = [(a.argmax(axis=1), b.argmax(axis=1)) for a, b in zip(ours, theirs, strict=True)]
    differing = sum(int((a != b).sum()) for a, b in labels)
    of = sum(a.size for a, _ in labels)
    parts = [(a == n, b == n) for a, b in labels for n in (1, 2)]
    pooled = [(a.mean(axis=0), b.mean(axis=0)) for a, b in zip(ours, theirs, strict=True)]
    wholes = [(a.argmax(axis=0) > 0, b.argmax(axis=0) > 0) for a, b in pooled]
    return (
        f"probabilities differ by {furthest:.1e} at most, {differing} of {of:,} labels differ,"
        f" volumes by {100 * furthest_volume(parts):.3f} % at most, the ensemble's of the whole by"
        f" {100 * furthest_volume(wholes):.3f} %"
    )


def furthest_volume(masks: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the largest difference of two masks' volumes, as a share of the first."""
    return max(abs(int(b.sum()) / int(a.sum()) - 1) for a, b in masks)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", choices=OTHERS, default="cuda")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cases", type=int, default=6)
    asked = parser.parse_args()
    torch.set_num_threads(2)
    boxes = boxes_of(asked.data or shared_data("hippocampus"), asked.cases)
    in_torch, torch_s, torch_name = measured("torch", boxes)
    elsewhere, other_s, other_name = measured(asked.runtime, boxes)
    print(f"{len(boxes)} crops, {other_name} beside {torch_name} on two threads")
    print(told(in_torch, elsewhere))
    print(f"a crop: {other_s:.3f} s and {torch_s:.3f} s")


if __name__ == "__main__":
    main()
