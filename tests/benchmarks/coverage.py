"""Coverage and width of the intervals, out of fold by subject, from the shipped cases.

    python -m tests.benchmarks.coverage

Nested: the floor and the quantile that judge a fold come from the other folds alone. Both sides of
a subject are in one fold; the acceptance band counts cases, which is the narrower reading.
"""

import argparse
from importlib.resources import files
from pathlib import Path

import numpy as np

from segment.calibration import THICKNESSES, spread, volume_interval
from segment.crossfit import Case, best_floor, read_judged, score
from segment.evaluate import CoverageRow, Judged, coverage_table
from segment.models.training.plan import subject_of
from segment.pools import Pool

NOMINAL = 0.9


def judged(cases: list[Case], coverage: float = NOMINAL) -> list[Judged]:
    """Give each case the interval that the other folds' cases would have given it."""
    found = []
    for fold in sorted({case.fold for case in cases}):
        others = [case for case in cases if case.fold != fold]
        floor = best_floor(others)
        scores = tuple(score(case, floor) for case in others)
        for case in cases:
            if case.fold == fold and case.value_ml > 0:
                u = spread(case.member_ml, floor)
                interval = volume_interval(case.value_ml, u, Pool(scores), coverage)
                group = str(subject_of(case.case))
                found.append(
                    Judged(case.structure, group, case.true_ml, case.value_ml, interval, u)
                )
    return found


def rows(cases: tuple[Case, ...], thickness_mm: int) -> list[CoverageRow]:
    """Tabulate one slice thickness."""
    rng = np.random.default_rng(0)
    table: list[CoverageRow] = []
    for structure in dict.fromkeys(case.structure for case in cases):
        mine = [c for c in cases if (c.structure, c.thickness_mm) == (structure, thickness_mm)]
        left_out = len(mine) - len(mine) // max(1, len({c.fold for c in mine}))
        table += coverage_table(judged(mine), left_out, rng, NOMINAL)
    return table


def main() -> None:
    """Print one table a slice thickness."""
    arguments = argparse.ArgumentParser(description=__doc__)
    shipped = Path(str(files("segment.models.unet").joinpath("cases.csv")))
    arguments.add_argument("--cases", type=Path, default=shipped)
    cases = read_judged(arguments.parse_args().cases)
    for thickness in THICKNESSES:
        print(f"\nSlices of {thickness} mm, 90 % intervals, out of fold by subject\n")
        print("| structure | cases | n | coverage | accepted | inside | relative width |")
        print("|---|---|---|---|---|---|---|")
        for row in rows(cases, thickness):
            print(
                f"| {row.structure} | {row.stratum} | {row.coverage.n} | {row.coverage.mean:.3f} |"
                f" {row.band.lower:.3f} to {row.band.upper:.3f} |"
                f" {'yes' if row.is_inside_band else 'no'} | {row.relative_width.mean:.3f} |"
            )


if __name__ == "__main__":
    main()
