"""Whether slices without a picture are told from pictured ones, on real scans and under shift.

    python -m tests.benchmarks.blank [--only WORD]

Of each kind of scan it prints how many are found to have blank slices, and the least spread of a
slice in that of the median one; below ``segment.blank.LEAST_SPREAD`` a slice is blank. No network
is asked.
"""

import argparse
import json
from collections.abc import Iterator

import numpy as np

from segment import organs
from segment.blank import LEAST_SPREAD, least_spread
from segment.infer import head_boxes
from segment.models.training.plan import case_name, subject_of
from segment.reading import read_nifti
from segment.register import register
from segment.resample import block_around
from tests.benchmarks.heads import HEADS, volume_of
from tests.benchmarks.risk import named
from tests.benchmarks.shifts import NONE, SHIFTS
from tests.shared_data import shared_data


def crops() -> Iterator[tuple[str, list[float], int]]:
    """Yield each kind of crop, the spreads and how many subjects these are of."""
    data = shared_data("hippocampus")
    split = json.loads((data / "split.json").read_text())
    for shift in SHIFTS:
        cases = split["val"] if shift.name != NONE else [*split["train"], *split["val"]]
        spreads = []
        for case in cases:
            scan = read_nifti(data / "images" / case_name(case))
            rng = np.random.default_rng([case, SHIFTS.index(shift)])
            spreads.append(least_spread(shift(scan, case % 3, rng).array))
        told = "crops as they are" if shift.name == NONE else f"crops, {named(shift)}"
        yield told, spreads, len({subject_of(case) for case in cases})


def heads() -> Iterator[tuple[str, list[float], int]]:
    """Yield each head, the spreads where either side is looked at."""
    organ = organs.load("hippocampus")
    for name, source in HEADS.items():
        volume = volume_of(source)
        grids, _ = head_boxes(volume, organ, register(volume))
        spreads = []
        for grid in grids.values():
            start, block = block_around(grid, volume.geometry)
            cut = tuple(slice(s, s + n) for s, n in zip(start, block.shape, strict=True))
            spreads.append(least_spread(volume.array[cut]))
        yield name, spreads, 1


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", default="", help="kinds of scan whose name holds this word")
    word = arguments.parse_args().only
    print("| scans | boxes | subjects | with blank slices | least spread of a slice |")
    print("|---|---|---|---|---|")
    for kinds in (crops, heads):
        for name, spreads, subjects in kinds():
            if word in name:
                blank = sum(spread < LEAST_SPREAD for spread in spreads)
                about = f"| {name} | {len(spreads)} | {subjects} | {blank} |"
                print(f"{about} {min(spreads):.2f} |", flush=True)


if __name__ == "__main__":
    main()
