"""How much of each structure lies apart from its largest component: where the gate's limit is from.

    python -m tests.benchmarks.fragments [--seconds S]

The shipped ensemble on the calibration crops as they are and in the thickest slices, on the
validation crops, and on one of each subject under every strong shift. It goes on where it was
stopped, from the file beside this one, and prints the table of what is there.
"""

import argparse
import csv
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from segment import models, organs
from segment.calibration import THICKNESSES
from segment.fragments import MOST_APART, share_apart
from segment.infer import segment_crops
from segment.models.training.plan import case_name, subject_of
from segment.reading import read_nifti
from tests.benchmarks.risk import named
from tests.benchmarks.shifts import NONE, SHIFTS, Shift
from tests.shared_data import shared_data

SEEN = Path(__file__).with_name("fragments.csv")
PLAIN, THICK = SHIFTS[0], Shift("slices", THICKNESSES[-1])
CALIBRATION, VALIDATION = "calibration", "validation"
AT_ONCE = 8


@dataclass(frozen=True)
class Row:
    """One crop under one shift, and the share apart of each structure, the whole one first."""

    split: str
    case: int
    shift: str
    strength: float
    whole: float
    anterior: float
    posterior: float

    @property
    def kind(self) -> tuple[str, str, float]:
        """Which row of the table it belongs to."""
        return self.split, self.shift, self.strength

    @property
    def apart(self) -> tuple[float, float, float]:
        """The shares."""
        return self.whole, self.anterior, self.posterior


def read_rows(path: Path = SEEN) -> list[Row]:
    """Read what was segmented so far."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(split, int(case), shift, *map(float, numbers))  # type: ignore[arg-type]
            for split, case, shift, *numbers in list(csv.reader(file))[1:]
        ]


def wanted() -> list[tuple[str, int, Shift]]:
    """List all that is segmented."""
    split = json.loads((shared_data("hippocampus") / "split.json").read_text())
    first = sorted({subject_of(case): case for case in reversed(split["val"])}.values())
    strong = [shift for shift in SHIFTS if shift.name != NONE and not shift.is_weak]
    return [
        *((VALIDATION, case, PLAIN) for case in split["val"]),
        *((VALIDATION, case, shift) for shift in reversed(strong) for case in first),
        *((CALIBRATION, case, THICK) for case in split["train"]),
        *((CALIBRATION, case, PLAIN) for case in split["train"]),
    ]


def segmented(todo: Sequence[tuple[str, int, Shift]]) -> Iterator[list[Row]]:
    """Segment some crops at a time."""
    ensemble, organ = models.load("unet", runtime="auto"), organs.load("hippocampus")
    images = shared_data("hippocampus") / "images"
    for start in range(0, len(todo), AT_ONCE):
        some = todo[start : start + AT_ONCE]
        scans = []
        for _, case, shift in some:
            place = SHIFTS.index(shift) if shift in SHIFTS else len(SHIFTS)
            rng = np.random.default_rng([case, place])
            scans.append(shift(read_nifti(images / case_name(case)), case % 3, rng))
        found = [one.segmentation for one in segment_crops(scans, "left", ensemble)]
        yield [
            Row(
                split,
                case,
                shift.name,
                float(shift.strength),
                *(round(share_apart(one.mask(*s.labels)), 4) for s in organ.structures),
            )
            for (split, case, shift), one in zip(some, found, strict=True)
        ]


def told(rows: Sequence[Row]) -> Iterator[str]:
    """Write, by kind of crop, how many hold a structure in pieces and the largest shares apart."""
    yield (
        "| crops | n | subjects | in one piece | largest share apart: whole | anterior |"
        f" posterior | above {MOST_APART:g} |"
    )
    yield "|---" * 8 + "|"
    for split, name, strength in dict.fromkeys(row.kind for row in rows):
        mine = [row for row in rows if row.kind == (split, name, strength)]
        whole = sum(max(row.apart) == 0 for row in mine)
        largest = " | ".join(f"{share:.3f}" for share in np.max([r.apart for r in mine], axis=0))
        above = sum(max(row.apart) > MOST_APART for row in mine)
        about = f"{split}, {named(Shift(name, strength))} | {len(mine)}"
        subjects = len({subject_of(row.case) for row in mine})
        yield f"| {about} | {subjects} | {whole} | {largest} | {above} |"


def main() -> None:
    """Go on, and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=math.inf)
    chosen = arguments.parse_args()
    end = time.monotonic() + chosen.seconds
    done = {(row.split, row.case, row.shift, row.strength) for row in read_rows()}
    todo = [(s, c, f) for s, c, f in wanted() if (s, c, f.name, float(f.strength)) not in done]
    with SEEN.open("a", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        if not done:
            table.writerow([field.name for field in fields(Row)])
        for rows in segmented(todo) if todo and chosen.seconds > 0 else ():
            table.writerows(map(astuple, rows))
            file.flush()
            if time.monotonic() > end:
                break
    print("\n".join(told(read_rows())))


if __name__ == "__main__":
    main()
