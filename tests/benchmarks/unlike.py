"""What the shipped networks see of validation crops, as they are and under every shift.

    python -m tests.benchmarks.unlike [--seconds S]

writes the features of each crop beside this file; it may be stopped, and goes on. How far they lie
from the calibration cases is printed by `tests.benchmarks.uncertainty_table`.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from safetensors.numpy import load_file, save_file

from segment import models
from segment.infer import crop_box
from segment.models.training.plan import case_name
from segment.reading import read_nifti
from segment.resume import replacing
from tests.benchmarks.shifts import SHIFTS, Shift
from tests.shared_data import shared_data

SEEN = Path(__file__).with_name("unlike.safetensors")


@dataclass(frozen=True, eq=False)
class Seen:
    """One crop under one shift, and its features."""

    case: int
    shift: Shift
    features: Float32[np.ndarray, " feature"]

    @property
    def key(self) -> tuple[int, str, float]:
        """Name the crop as rows of the other measuring do."""
        return self.case, self.shift.name, float(self.shift.strength)


def read_seen(path: Path = SEEN) -> list[Seen]:
    """Read all that was seen so far."""
    if not path.is_file():
        return []
    table = load_file(path)
    rows = zip(table["case"].tolist(), table["shift"].tolist(), table["features"], strict=True)
    return [Seen(case, SHIFTS[place], row.astype(np.float32)) for case, place, row in rows]


def write_seen(seen: list[Seen], path: Path = SEEN) -> None:
    """Write features in half precision."""
    tensors = {
        "case": np.array([one.case for one in seen], np.int32),
        "shift": np.array([SHIFTS.index(one.shift) for one in seen], np.int32),
        "features": np.stack([one.features for one in seen]).astype(np.float16),
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary)


def look(cases: list[int], done: set[tuple[int, str, float]]) -> Iterator[Seen]:
    """Look at every crop that was not looked at, under every shift."""
    ensemble = models.load("unet", runtime="auto")
    for shift in SHIFTS:
        for case in cases:
            if (case, shift.name, float(shift.strength)) in done:
                continue
            scan = read_nifti(shared_data("hippocampus") / "images" / case_name(case))
            rng = np.random.default_rng([case, SHIFTS.index(shift)])
            _, box = crop_box(shift(scan, case % 3, rng), "left")
            yield Seen(case, shift, ensemble.features([box])[0])


def main() -> None:
    """Go on looking."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=math.inf)
    arguments.add_argument("--output", type=Path, default=SEEN)
    chosen = arguments.parse_args()
    split = json.loads((shared_data("hippocampus") / "split.json").read_text())
    seen = read_seen(chosen.output)
    end = time.monotonic() + chosen.seconds
    for one in look(split["val"], {one.key for one in seen}):
        seen.append(one)
        print(f"crop {one.case}, {one.shift.name} {one.shift.strength:g}", flush=True)
        if time.monotonic() > end:
            break
    write_seen(seen, chosen.output)


if __name__ == "__main__":
    main()
