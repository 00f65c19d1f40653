"""The tables of docs/uncertainty.md, from what tests.benchmarks.uncertainty measured.

    python -m tests.benchmarks.uncertainty_table [--write]

Conformal methods are calibrated on the out-of-fold crops of cases.csv at the scan's slice
thickness. The first table judges these crops themselves, each by the other folds.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from segment import models
from segment.calibration import spread
from segment.crossfit import Case, best_floor, read_judged
from segment.effort import EFFORT
from segment.groups import Fared, GroupRow, by_group
from segment.intervals import POOLED, SIZE
from segment.models.training.plan import subject_of
from segment.pools import pool_of
from segment.predicted_dice import DiceCurve, curves_to_toml, fit_dice
from segment.quantiles import quantile, reach
from tests.benchmarks.calibration_error import told as calibration_error
from tests.benchmarks.documents import put_between
from tests.benchmarks.risk import named
from tests.benchmarks.risk import told as gate
from tests.benchmarks.scoring import aurc, crps_gaussian, crps_samples
from tests.benchmarks.shifts import NONE, SHIFTS, STRENGTHS, Shift
from tests.benchmarks.uncertainty import MEASURED, SOFTMAX, WHOLE, Row, read_rows
from tests.benchmarks.weighted import told as weighted

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "uncertainty.md"
BEGIN = "<!-- printed by tests.benchmarks.uncertainty_table -->"
END = "<!-- end of what was printed -->"
CURVES = MEASURED.with_name("dice.toml")
NOMINAL = 0.9
Z = 1.645  # standard deviations of a normal distribution that hold 90 %
NETWORKS = (SOFTMAX, "temperature", "dropout", "augmentation")
SD = f"{EFFORT} SD x {Z}"
SPLIT, NORMALISED, SIGNED = "split conformal", "normalised", "normalised, signed (shipped)"
MONDRIAN = "Mondrian by size, signed"
CONFORMAL = (SPLIT, NORMALISED, SIGNED, MONDRIAN)
METHODS = (*NETWORKS, SD, *CONFORMAL)
TERCILES = ("smallest third", "middle third", "largest third")


@dataclass(frozen=True)
class Said:
    """What a method says of one volume; ``doubt`` ranks cases, None where it says the same of all.

    ``risk`` is 1 - Dice of what it drew, None where nobody kept it.
    """

    subject: int
    true_ml: float
    value_ml: float
    lower_ml: float
    upper_ml: float
    crps_ml: float
    doubt: float | None
    ece: float | None = None
    risk: float | None = None

    @property
    def is_covered(self) -> bool:
        """Whether the interval holds the expert's count."""
        return self.lower_ml <= self.true_ml <= self.upper_ml

    @property
    def width(self) -> float:
        """Width of the interval, as a share of the count."""
        return (self.upper_ml - self.lower_ml) / self.value_ml


def of_levels(row: Row) -> Said:
    """Take the volumes above 95 % and above 5 % probability for the bounds."""
    lower, upper = min(row.samples_ml), max(row.samples_ml)
    return _said(row, lower, upper, crps_samples(row.samples_ml, row.true_ml))


def of_members(row: Row) -> Said:
    """Take the members' counts for draws of a normal distribution around the count."""
    deviation = float(np.std(row.samples_ml, ddof=1))
    crps = crps_gaussian(row.value_ml, deviation, row.true_ml)
    apart = Z * deviation
    return _said(row, row.value_ml - apart, row.value_ml + apart, crps)


def _said(row: Row, lower: float, upper: float, crps: float) -> Said:
    doubt = (upper - lower) / row.value_ml
    risk = 1 - row.dice
    about = (row.subject, row.true_ml, row.value_ml)
    return Said(*about, lower, upper, crps, doubt, row.ece, risk)


@dataclass(frozen=True, eq=False)
class Conformal:
    """Scores of calibration cases, and the interval that a method makes of them."""

    method: str
    cases: Sequence[Case]
    floor: float

    def u(self, members: Sequence[float]) -> float:
        """Return what scores are divided by: the spread, or one."""
        return 1.0 if self.method == SPLIT else spread(members, self.floor)

    def scores(self, value_ml: float) -> list[float]:
        """Return the signed scores that judge such a count."""
        scores = [case.log_ratio / self.u(case.member_ml) for case in self.cases]
        sizes = [case.value_ml for case in self.cases]
        grouping = SIZE if self.method == MONDRIAN else POOLED
        return list(pool_of(grouping, scores, sizes, value_ml, NOMINAL).scores)

    def reach(self, scores: Sequence[float]) -> tuple[float, float]:
        """Return how far the interval goes below and above, in u."""
        if self.method in (SIGNED, MONDRIAN):
            return reach(scores, NOMINAL)
        apart = quantile([abs(score) for score in scores], NOMINAL)
        return -apart, apart

    def __call__(
        self, subject: int, true_ml: float, value_ml: float, members: Sequence[float]
    ) -> Said:
        """Say an interval; the scores, each taken back to a volume, are the distribution."""
        u, scores = self.u(members), self.scores(value_ml)
        below, above = self.reach(scores)
        both = scores if self.method in (SIGNED, MONDRIAN) else [*scores, *(-s for s in scores)]
        crps = crps_samples(value_ml * np.exp(np.array(both) * u), true_ml)
        bounds = (value_ml * np.exp(below * u), value_ml * np.exp(above * u))
        doubt = None if self.method == SPLIT else u
        return Said(subject, true_ml, value_ml, float(bounds[0]), float(bounds[1]), crps, doubt)


def out_of_fold(cases: Sequence[Case], method: str) -> list[Said]:
    """Judge each case by the other folds' cases."""
    found = []
    for fold in sorted({case.fold for case in cases}):
        others = [case for case in cases if case.fold != fold]
        floor = best_floor(others)
        for case in (case for case in cases if case.fold == fold):
            about = (subject_of(case.case), case.true_ml, case.value_ml)
            if method == SD:
                deviation = float(np.std(case.member_ml, ddof=1))
                crps = crps_gaussian(case.value_ml, deviation, case.true_ml)
                apart = Z * deviation
                bounds = (case.value_ml - apart, case.value_ml + apart)
                found.append(Said(*about, *bounds, crps, 2 * apart / case.value_ml))
            else:
                found.append(Conformal(method, others, floor)(*about, case.member_ml))
    return found


def said_of(rows: Sequence[Row], cases: Sequence[Case], method: str) -> list[Said]:
    """Let a method say an interval of each validation crop; ``cases`` calibrate it."""
    if method in NETWORKS:
        mine = [row for row in rows if row.method == method]
        say: Callable[[Row], Said] = of_members if method in NETWORKS[2:] else of_levels
        return [say(row) for row in mine]
    mine = [row for row in rows if row.method == EFFORT]
    if method == SD:
        return [of_members(row) for row in mine]
    floor = models.calibrated("unet").floor[WHOLE]
    said = []
    for row in mine:
        level = [c for c in cases if c.thickness_mm == thickness_of(row)]
        one = Conformal(method, level, floor)(
            row.subject, row.true_ml, row.value_ml, row.samples_ml
        )
        said.append(_with(one, row))
    return said


def _with(said: Said, row: Row) -> Said:
    """Add what is the ensemble's, whichever interval it gets."""
    return Said(**{**vars(said), "ece": row.ece, "risk": 1 - row.dice})


def thickness_of(row: Row) -> int:
    """Return the slice thickness of a crop under a shift, in mm."""
    return Shift(row.shift, row.strength).thickness_mm


def thirds(said: Sequence[Said]) -> list[list[Said]]:
    """Split by the expert's count."""
    ordered = sorted(said, key=lambda one: one.true_ml)
    return [[ordered[n] for n in part] for part in np.array_split(np.arange(len(said)), 3)]


def hardest(said: Sequence[Said]) -> list[Said]:
    """Return the fifth that the method doubts most; none where it doubts all alike."""
    if any(one.doubt is None for one in said):
        return []
    ordered = sorted(said, key=lambda one: one.doubt or 0.0)
    return ordered[len(said) - len(said) // 5 :]


def share(said: Sequence[Said]) -> str:
    """Write a coverage."""
    return f"{np.mean([one.is_covered for one in said]):.2f}" if said else "–"


def mean_of(values: Sequence[float | None]) -> str:
    """Write a mean, or that there is none."""
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.3f}" if known else "–"


def line(method: str, said: Sequence[Said]) -> str:
    """Write one method's row."""
    risks = [one.risk for one in said]
    doubts = [one.doubt for one in said]
    has_both = None not in risks and None not in doubts
    cells = [
        method,
        str(len(said)),
        share(said),
        *(share(part) for part in thirds(said)),
        share(hardest(said)),
        mean_of([one.width for one in said]),
        mean_of([one.crps_ml for one in said]),
        mean_of([one.ece for one in said]),
        f"{aurc(doubts, risks):.4f}" if has_both else "–",
    ]
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| method | n | coverage | smallest third | middle | largest | hardest fifth | width |"
    " CRPS, mL | ECE | AURC |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def one_table(rows: Sequence[Row], cases: Sequence[Case]) -> Iterator[str]:
    """Write the methods on out-of-fold crops, then on validation crops."""
    native = [case for case in cases if case.thickness_mm == 1]
    subjects = len({subject_of(case.case) for case in native})
    yield f"**{len(native)} out-of-fold crops of {subjects} subjects**, two members a fold\n"
    yield HEAD
    for method in (SD, *CONFORMAL):
        yield line(method, out_of_fold(native, method))
    plain = [row for row in rows if row.shift == NONE]
    subjects = len({row.subject for row in plain})
    crops = len({row.case for row in plain})
    yield f"\n**{crops} validation crops of {subjects} subjects**, which no network has seen\n"
    yield HEAD
    for method in METHODS:
        yield line(method, said_of(plain, cases, method))


def under_shift(rows: Sequence[Row], cases: Sequence[Case]) -> Iterator[str]:
    """Write each method's coverage under each shift, and what the product makes of it."""
    yield f"| shift | n | {' | '.join(METHODS)} | withheld | coverage of what is reported |"
    yield "|---" * (len(METHODS) + 4) + "|"
    for shift in SHIFTS:
        mine = [row for row in rows if (row.shift, row.strength) == (shift.name, shift.strength)]
        if not mine:
            continue
        told = [row for row in mine if row.method == EFFORT]
        shown = [row for row in told if not row.reason]
        cells = [share(said_of(mine, cases, method)) for method in METHODS]
        covered = [row.lower_ml <= row.true_ml <= row.upper_ml for row in shown]
        reported = f"{np.mean(covered):.2f} of {len(shown)}" if shown else "–"
        cells += [f"{len(told) - len(shown)} of {len(told)}", reported]
        yield f"| {named(shift)} | {len(told)} | {' | '.join(cells)} |"


def failures(rows: Sequence[Row]) -> Iterator[str]:
    """Write how well each doubt ranks crops by 1 - Dice."""
    floor = models.calibrated("unet").floor[WHOLE]
    doubts: dict[str, Callable[[Row], float]] = {
        "spread of the members' volumes (u)": lambda row: spread(row.samples_ml, floor),
        "pairwise Dice of the members": lambda row: -row.agreement,
        "mean entropy": lambda row: row.entropy,
    }
    kinds = {
        "as they are": [r for r in rows if r.shift == NONE],
        "with all shifts": list(rows),
    }
    heads = [f"{kind}, n = {len(mine)}" for kind, mine in kinds.items()]
    yield f"| doubt | {' | '.join(heads)} |\n|---|---|---|"
    for name, doubt in doubts.items():
        values = [
            aurc([doubt(row) for row in mine], [1 - row.dice for row in mine])
            for mine in kinds.values()
        ]
        yield f"| {name} | {' | '.join(f'{value:.4f}' for value in values)} |"


def robustness(rows: Sequence[Row]) -> Iterator[str]:
    """Write volume error, Dice and coverage by shift, and by thirds of the expert's count."""
    true = {row.case: row.true_ml for row in rows}
    edges = np.quantile(list(true.values()), (1 / 3, 2 / 3))
    groups = [fared(row, named(Shift(row.shift, row.strength))) for row in rows]
    for row in rows:
        third = TERCILES[int(np.searchsorted(edges, row.true_ml))]
        groups.append(fared(row, f"{third}, {degree(row)}"))
    yield "| group | crops | subjects | volume error | Dice | coverage | |"
    yield "|---|---|---|---|---|---|---|"
    for row in by_group(groups, np.random.default_rng(0)):
        yield group_line(row)


def degree(row: Row) -> str:
    """Say how strong a shift is among those of its kind."""
    if row.shift == NONE:
        return "no shift"
    return ("weak shifts", "strong shifts")[STRENGTHS[row.shift].index(row.strength)]


def fared(row: Row, group: str) -> Fared:
    """Judge one crop by the interval that was said, whether it was withheld or not."""
    error = (row.value_ml - row.true_ml) / row.true_ml
    has_interval = np.isfinite(row.lower_ml)
    is_covered = row.lower_ml <= row.true_ml <= row.upper_ml if has_interval else None
    return Fared(row.structure, group, str(row.subject), error, row.dice, is_covered)


def group_line(row: GroupRow) -> str:
    """Write one group."""
    cells = [row.group, str(row.n), str(row.subjects)]
    for estimate in (row.volume_error, row.dice, row.coverage):
        told = "–"
        if estimate is not None:
            told = f"{estimate.mean:.3f} ({estimate.lower:.3f} to {estimate.upper:.3f})"
        cells.append(told)
    cells.append("too few to say" if row.is_too_small else "")
    return f"| {' | '.join(cells)} |"


def curves(rows: Sequence[Row]) -> dict[str, DiceCurve]:
    """Fit what the ensemble's agreement went with, of each structure, under all shifts."""
    found = {}
    for name in dict.fromkeys(row.structure for row in rows):
        mine = [r for r in rows if (r.structure, r.method) == (name, EFFORT) and r.value_ml > 0]
        agreed, dice = [row.agreement for row in mine], [row.dice for row in mine]
        found[name] = fit_dice(agreed, dice, [row.subject for row in mine])
    return found


def predicted(rows: Sequence[Row]) -> Iterator[str]:
    """Write how far predicted Dice lie off, beside always saying the other subjects' mean."""
    yield "| structure | n | subjects | mean error, subject left out | of always saying the mean |"
    yield "|---|---|---|---|---|"
    for name, curve in curves(rows).items():
        mine = [r for r in rows if (r.structure, r.method) == (name, EFFORT) and r.value_ml > 0]
        apart = []
        for row in mine:
            others = [other.dice for other in mine if other.subject != row.subject]
            apart.append(abs(row.dice - float(np.mean(others))))
        told = f"{curve.error:.3f} | {np.mean(apart):.3f}"
        yield f"| {name} | {curve.cases} | {curve.subjects} | {told} |"


def printed(rows: Sequence[Row]) -> str:
    """Write all tables."""
    whole = [row for row in rows if row.structure == WHOLE]
    path = Path(str(files("segment.models.unet").joinpath("cases.csv")))
    judged = read_judged(path)
    cases = [case for case in judged if case.structure == WHOLE]
    own = [row for row in whole if row.method == EFFORT]
    parts = (
        ("Methods", one_table(whole, cases)),
        ("Expected calibration error of each structure", calibration_error(rows)),
        ("Coverage under shift", under_shift(whole, cases)),
        ("Weighted for shift", weighted(own, judged)),
        ("The gate by distance", gate(own)),
        ("Finding failures: area under the risk-coverage curve", failures(own)),
        ("Predicted Dice", predicted(rows)),
        ("Robustness and size", robustness(own)),
    )
    return "\n\n".join(f"### {title}\n\n" + "\n".join(lines) for title, lines in parts)


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=Path, default=MEASURED)
    arguments.add_argument(
        "--write", action="store_true", help="put them into the document, and the curves of Dice"
    )
    chosen = arguments.parse_args()
    rows = read_rows(chosen.rows)
    told = printed(rows)
    print(told)
    if chosen.write:
        CURVES.write_text(curves_to_toml(curves(rows)), encoding="utf-8")
        put_between(DOCUMENT, BEGIN, END, f"\n{told}\n")


if __name__ == "__main__":
    main()
