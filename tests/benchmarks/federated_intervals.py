"""Intervals that four uneven sites make together, beside each site's own and the pooled one's.

    python -m tests.benchmarks.federated_intervals

From the shipped out-of-fold cases, one side a subject. Sites that are alike have slices of 1 mm;
unlike ones have slices of 1, 2, 3 and 5 mm. Half of each site's subjects calibrate, the other
half judge, over random splits. The pooled scores would have to leave the sites; counts do.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from segment import quantiles
from segment.calibration import spread
from segment.crossfit import Case, read_judged, score
from segment.federated.sketch import joined, reach, sketch
from segment.models import calibrated
from segment.models.training.plan import subject_of
from segment.quantiles import cases_needed

SHARES = (0.1, 0.2, 0.3, 0.4)  # of the subjects, by site
KINDS = {"alike": (1, 1, 1, 1), "unlike": (1, 2, 3, 5)}  # mm of slices, by site
PART, COVERAGE, SPLITS = "hippocampus", 0.9, 200
WAYS = ("local", "federated", "pooled")


@dataclass(frozen=True)
class Held:
    """Whether an interval of one way held an unseen case's volume, and its relative width."""

    site: int
    way: str
    is_held: bool
    width: float


def shared(cases: Sequence[Case], thickness_mm: Sequence[int], seed: int) -> list[list[Case]]:
    """Share subjects out among sites, each with its slices."""
    subjects = sorted({subject_of(case.case) for case in cases})
    order = np.random.default_rng(seed).permutation(subjects)
    ends = np.round(np.cumsum(SHARES) * len(order)).astype(int)
    sites = []
    for number, (start, end) in enumerate(zip((0, *ends), ends, strict=False)):
        of_subject = {
            subject_of(case.case): case
            for case in cases
            if case.thickness_mm == thickness_mm[number] and case.structure == PART
        }
        sites.append([of_subject[subject] for subject in order[start:end]])
    return sites


def judged(sites: Sequence[Sequence[Case]], floor: float) -> Iterator[Held]:
    """Judge the second half of each site's cases by intervals from the first halves."""
    scores = [[score(case, floor) for case in site[::2]] for site in sites]
    pooled = quantiles.reach([s for site in scores for s in site], COVERAGE)
    federated = reach(joined([sketch(site) for site in scores]), COVERAGE)
    for number, site in enumerate(sites):
        ways = {"federated": federated, "pooled": pooled}
        if len(scores[number]) >= cases_needed(COVERAGE, is_two_sided=True):
            ways["local"] = quantiles.reach(scores[number], COVERAGE)
        for case in site[1::2]:
            u = spread(case.member_ml, floor)
            for way, (below, above) in ways.items():
                is_held = below <= score(case, floor) <= above
                yield Held(number, way, is_held, float(np.exp(above * u) - np.exp(below * u)))


def row(number: int, thickness_mm: int, held: Sequence[Held]) -> str:
    """Write one site's line."""
    cells = []
    for way in WAYS:
        mine = [one for one in held if (one.site, one.way) == (number, way)]
        if mine:
            coverage = np.mean([one.is_held for one in mine])
            cells.append(f"{coverage:.3f} / {np.mean([one.width for one in mine]):.3f}")
        else:
            cells.append("too few")
    return f"| {number + 1} | {SHARES[number]:.0%} | {thickness_mm} mm | {' | '.join(cells)} |"


def main() -> None:
    """Print a table for sites that are alike, and one for sites that are not."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--splits", type=int, default=SPLITS)
    splits = arguments.parse_args().splits
    cases = read_judged(Path(str(files("segment.models.unet").joinpath("cases.csv"))))
    floor = calibrated("unet").floor[PART]
    for kind, thickness_mm in KINDS.items():
        held = [
            one
            for seed in range(splits)
            for one in judged(shared(cases, thickness_mm, seed), floor)
        ]
        print(f"\nSites that are {kind}: coverage / relative width of {COVERAGE:.0%} intervals\n")
        print(f"| site | subjects | slices | {' | '.join(WAYS)} |")
        print("|---|---|---|---|---|---|")
        for number, mm in enumerate(thickness_mm):
            print(row(number, mm, held))


if __name__ == "__main__":
    main()
