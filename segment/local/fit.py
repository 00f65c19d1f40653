"""Signed intervals from what was counted in a user's scans, and how they fare on these.

One side of each subject is scored: two alike sides would pass for two cases. Knows nothing of files
or of networks.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from segment.adapt.prepare import Progress, Step, Warned
from segment.calibration import ISOTROPIC_MM, Calibrated, Level, spread
from segment.crossfit import Case, asymmetry_scores, best_floor, one_a_subject, score, scored
from segment.errors import Refusal, ScanError
from segment.intervals import POOLED, Grouping
from segment.local.counted import Counted
from segment.local.traced import Traced, thickest_mm
from segment.organs import Organ
from segment.pools import pool_of
from segment.quantiles import cases_needed, reach


@dataclass(frozen=True)
class Fared:
    """How many of ``n`` expert's volumes intervals held, and their mean width over the count."""

    held: int
    n: int
    width: float

    def __str__(self) -> str:
        """Say it in a few words."""
        return f"{self.held} of {self.n} held, mean width {self.width:.3f} of the count"


@dataclass(frozen=True)
class LocalFigures:
    """One structure: the new intervals on subjects left out of their fit, and those before.

    ``left_out`` is None where one subject fewer cannot support the coverage, ``before`` where there
    was no interval of this coverage for such slices.
    """

    structure: str
    left_out: Fared | None
    before: Fared | None

    def __str__(self) -> str:
        """Say both in one line."""
        now = "too few subjects to leave one out" if self.left_out is None else self.left_out
        then = "no interval" if self.before is None else self.before
        return f"{self.structure}: each subject left out, {now}; before, {then}"


def cases_from(
    scans: Sequence[Traced], counts: Sequence[Sequence[Counted]]
) -> Generator[Step, None, tuple[Case, ...]]:
    """Put counts beside the expert's; return the cases, warning of each that is left out.

    What a report would withhold is left out, whatever the expert drew: intervals then hold among
    those that are reported. Left is odd and right is even, as in the training data.
    """
    order = {subject: n for n, subject in enumerate(dict.fromkeys(t.scan.subject for t in scans))}
    taken: set[tuple[int, str]] = set()
    cases: list[Case] = []
    for one, mine in zip(scans, counts, strict=True):
        for counted in mine:
            told = f"{one.scan.name}: {counted.side} {counted.structure}"
            number = 2 * order[one.scan.subject] + 1 + (counted.side == "right")
            if counted.side in one.untraced:
                continue
            if counted.withheld:
                yield Warned(f"{told} would be withheld ({counted.withheld}); left out")
                continue
            if (number, counted.structure) in taken:
                yield Warned(f"{told}: its subject has another scan of this side; left out")
                continue
            taken.add((number, counted.structure))
            cases.append(
                Case(
                    case=number,
                    fold=0,
                    thickness_mm=max(1, round(max(one.spacing_mm))),
                    structure=counted.structure,
                    true_ml=one.expert_ml[counted.side, counted.structure],
                    value_ml=counted.value_ml,
                    member_ml=counted.member_ml,
                    agreement=counted.agreement,
                )
            )
    return tuple(cases)


def check_enough(subjects: int, coverage: float, of: str) -> None:
    """Refuse fewer subjects than an interval of this coverage needs; raises ScanError."""
    needed = cases_needed(coverage, is_two_sided=True)
    if subjects < needed:
        msg = f"{of}: expected {needed} subjects for intervals of {coverage:.4g}, found {subjects};"
        more = f"label {needed - subjects} more, or ask for a lower --coverage"
        raise ScanError(Refusal.BAD_OPTION, f"{msg} {more}")


def fitted(
    cases: Sequence[Case],
    scans: Sequence[Traced],
    organ: Organ,
    before: Calibrated,
    coverage: float,
    intervals: Grouping = POOLED,
) -> Calibrated:
    """Fit floors and scores anew; gate and temperature stay what they were.

    ``intervals`` says which of the scores judge a count.

    Raises ScanError where a structure has too few subjects for the coverage.
    """
    floor: dict[str, float] = {}
    volume: dict[str, tuple[float, ...]] = {}
    size_ml: dict[str, tuple[float, ...]] = {}
    asymmetry: dict[str, tuple[float, ...]] = {}
    for structure in organ.structures:
        name = structure.name
        drawn = _drawn(cases, name)
        check_enough(len(drawn), coverage, name)
        floor[name] = best_floor(drawn, coverage)
        volume[name], size_ml[name] = scored(drawn, floor[name])
        pairs = tuple(sorted(asymmetry_scores(cases, structure, floor[name])))
        asymmetry[name] = pairs if len(pairs) >= cases_needed(coverage) else ()
    thickest = round(thickest_mm(scans), 3)
    # A scan that is coarse along two axes takes the second level: here both are of such scans.
    is_coarse_twice = any(sorted(scan.spacing_mm)[1] > ISOTROPIC_MM for scan in scans)
    level = Level(thickest, volume, asymmetry, size_ml)
    subjects = max(map(len, volume.values()))
    return Calibrated(
        id=f"local-{subjects}-subjects",
        source=f"{len(scans)} scans of {subjects} subjects that a user traced; gate of {before.id}",
        floor=floor,
        least_agreement=before.least_agreement,
        temperature=before.temperature,
        levels=(level, level) if is_coarse_twice else (level,),
        coverage=coverage,
        intervals=intervals,
    )


def figures(
    cases: Sequence[Case],
    organ: Organ,
    before: Calibrated,
    spacing_mm: Sequence[float],
    coverage: float,
    intervals: Grouping = POOLED,
) -> Generator[Step, None, tuple[LocalFigures, ...]]:
    """Hold each subject against intervals that were fitted without it, and against those before."""
    found = []
    level = before.level(spacing_mm)
    for structure in organ.structures:
        drawn, name = _drawn(cases, structure.name), structure.name
        left_out = None
        if len(drawn) > cases_needed(coverage, is_two_sided=True):
            left_out = yield from _left_out(drawn, name, coverage, intervals)
        scores = () if level is None else level.volume.get(name, ())
        then = None
        if len(scores) >= cases_needed(coverage, is_two_sided=True):
            bounds = reach(scores, coverage)
            then = _fared([_held(case, before.floor[name], bounds) for case in drawn])
        found.append(LocalFigures(name, left_out, then))
    return tuple(found)


def _left_out(
    drawn: Sequence[Case], structure: str, coverage: float, intervals: Grouping
) -> Generator[Step, None, Fared]:
    """Fit floor and scores without each subject in turn."""
    held = []
    for place, case in enumerate(drawn):
        others = [*drawn[:place], *drawn[place + 1 :]]
        floor = best_floor(others, coverage)
        pool = pool_of(intervals, *scored(others, floor), case.value_ml, coverage)
        bounds = pool.reach(coverage)
        held.append(_held(case, floor, bounds))
        yield Progress(f"leaving out, {structure}", place + 1, len(drawn))
    return _fared(held)


def _held(case: Case, floor: float, bounds: tuple[float, float]) -> tuple[bool, float]:
    """Say whether an interval holds the expert's volume, and how wide it is over the count."""
    below, above = bounds
    u = spread(case.member_ml, floor)
    is_held = below <= score(case, floor) <= above
    return is_held, float(np.exp(above * u) - np.exp(below * u))


def _fared(held: Sequence[tuple[bool, float]]) -> Fared:
    return Fared(sum(h for h, _ in held), len(held), float(np.mean([w for _, w in held])))


def _drawn(cases: Sequence[Case], structure: str) -> list[Case]:
    """Draw one side of each subject that has this structure."""
    return one_a_subject([case for case in cases if case.structure == structure])


def untraced(scans: Sequence[Traced]) -> Iterator[Step]:
    """Warn of sides that nobody traced."""
    for one in scans:
        for side in one.untraced:
            yield Warned(f"{one.scan.name}: the {side} side holds no label; left out")
