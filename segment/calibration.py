"""Intervals that hold the expert's value in a stated share of cases: normalised conformal.

The score of a calibration case is ``ln(true / predicted) / u`` with
``u = sqrt(CV_of_the_members ** 2 + floor ** 2)``; the interval of a new case is ``V exp(a u)`` to
``V exp(b u)``, where half of what may be missed lies below a and half above b. Networks that draw
too much or too little so move the interval, never the count (Papadopoulos et al. 2002; signed
scores: Linusson et al. 2014). Knows nothing of images.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, TypeVar, get_args, runtime_checkable

import numpy as np
from jaxtyping import Float32

from segment.intervals import POOLED, SIZE, WEIGHTED, Grouping
from segment.measurement import Calibration, Interval
from segment.pools import Pool, pool_of
from segment.quantiles import Side, cases_needed, most_coverage, quantile
from segment.weighting import Ratio, worth

THICKNESSES = (1, 2, 3, 5)  # mm of the slices at which cases are judged
ISOTROPIC_MM = 1.5  # a second axis with longer voxels than this counts as one level coarser


@runtime_checkable
class Spaced(Protocol):
    """What was found at one slice thickness."""

    @property
    def spacing_mm(self) -> float:
        """The slice thickness."""


S = TypeVar("S", bound=Spaced)


@dataclass(frozen=True)
class Level:
    """Sorted scores of the calibration cases at one slice thickness, by structure.

    Those of volumes are signed, those of asymmetries, which have no bias, are not. ``size_ml`` is
    what the case of each score of a volume counted, in the order of the scores; a structure of
    which nobody kept it is absent. ``weight`` is how much likelier its picture is among a user's
    scans, in the same order.
    """

    spacing_mm: float
    volume: Mapping[str, tuple[float, ...]]
    asymmetry: Mapping[str, tuple[float, ...]]
    size_ml: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    weight: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Calibrated:
    """What a calibration run found; ``floor`` is the u of a case on which all members agree.

    ``least_agreement`` is the pairwise Dice of members below which a case is unlike the calibration
    cases at their thickest slices, the worst pictures on which intervals were shown to hold.
    ``coverage`` is the level that the cases were gathered for; None leaves it to the exam.
    ``intervals`` says which of the scores judge a count, and ``ratio`` weighs a new scan among
    weighted ones.
    """

    id: str
    source: str
    floor: Mapping[str, float]
    least_agreement: Mapping[str, float]
    temperature: tuple[float, ...]
    levels: tuple[Level, ...]
    coverage: float | None = None
    intervals: Grouping = POOLED
    ratio: Ratio | None = None

    @classmethod
    def from_json(cls, text: str) -> "Calibrated":
        """Read what ``to_json`` wrote; raises ValueError for intervals that nobody knows."""
        table = json.loads(text)
        intervals = table.get("intervals", POOLED)
        if intervals not in get_args(Grouping):
            known = ", ".join(get_args(Grouping))
            msg = f"calibration {table['id']}: expected intervals {known}, found {intervals!r}"
            raise ValueError(f"{msg}; calibrate again")
        levels = tuple(
            Level(
                float(level["spacing_mm"]),
                {name: tuple(scores) for name, scores in level["volume"].items()},
                {name: tuple(scores) for name, scores in level["asymmetry"].items()},
                {name: tuple(sizes) for name, sizes in level.get("size_ml", {}).items()},
                {name: tuple(weights) for name, weights in level.get("weight", {}).items()},
            )
            for level in table["levels"]
        )
        ratio = table.get("ratio")
        return cls(
            id=table["id"],
            source=table["source"],
            floor=table["floor"],
            least_agreement=table["least_agreement"],
            temperature=tuple(table["temperature"]),
            levels=levels,
            coverage=table.get("coverage"),
            intervals=intervals,
            ratio=None if ratio is None else Ratio(tuple(ratio["slopes"]), ratio["offset"]),
        )

    def to_json(self) -> str:
        """Write everything, scores and counts to five digits."""
        table: dict[str, Any] = asdict(self)
        for level in table["levels"]:
            for group in ("volume", "asymmetry", "size_ml", "weight"):
                level[group] = {k: [round(s, 5) for s in v] for k, v in level[group].items()}
        return json.dumps(table, indent=1) + "\n"

    def without_scores(self) -> "Calibrated":
        """Return what is left where something else is measured than was calibrated: no interval.

        The least agreement stays: members that differ by more are not to be believed either.
        """
        levels = tuple(
            Level(
                level.spacing_mm,
                dict.fromkeys(level.volume, ()),
                dict.fromkeys(level.asymmetry, ()),
            )
            for level in self.levels
        )
        return replace(self, id="none", levels=levels)

    def level(self, spacing_mm: Sequence[float]) -> Level | None:
        """Return the finest level that is no finer than a scan's voxels; None if none is.

        Calibration scans are thick along one axis; where a second axis is long too, the next
        coarser level stands for both.
        """
        usable = coarse_enough(self.levels, spacing_mm)
        return usable[0] if usable else None

    def pool(
        self,
        structure: str,
        level: Level,
        value_ml: float,
        coverage: float,
        features: Float32[np.ndarray, " feature"] | None = None,
    ) -> Pool:
        """Return the scores that judge a count of a structure, at one slice thickness.

        ``features`` are those of its picture, which weighted scores need: without them the scan
        outweighs every case.
        """
        if self.intervals == WEIGHTED and self.ratio is not None and level.volume[structure]:
            own = math.inf if features is None else float(self.ratio(features))
            return Pool(level.volume[structure], "weighted", level.weight[structure], own)
        sizes = level.size_ml.get(structure, ())
        return pool_of(self.intervals, level.volume[structure], sizes, value_ml, coverage)

    @property
    def n(self) -> int:
        """How many cases judge volumes at the finest level, or what weighted ones are worth."""
        level = self.levels[0]
        if self.intervals == WEIGHTED and level.weight:
            return max(int(worth(weights)) for weights in level.weight.values())
        return max(map(len, level.volume.values()))

    def expect_grouped(self) -> None:
        """Raise ValueError where the cases cannot be grouped as ``intervals`` says."""
        for level in self.levels:
            for structure, scores in level.volume.items():
                if self.intervals == SIZE and len(level.size_ml.get(structure, ())) != len(scores):
                    msg = f"calibration {self.id}: expected what each case counted, for intervals"
                    msg += f" {SIZE}, found it not kept; calibrate again, or choose {POOLED}"
                    raise ValueError(msg)
                if self.intervals == WEIGHTED and (self.ratio is None or not level.weight):
                    msg = f"calibration {self.id}: expected cases that were weighted for scans of"
                    msg += f" yours, found none; run voxcite calibrate --like, or choose {POOLED}"
                    raise ValueError(msg)

    def expect_support(self, coverage: float, *, is_two_sided: bool = True) -> None:
        """Raise ValueError where volumes have scores, and too few of them for a coverage."""
        if not 0 < coverage < 1:
            msg = f"coverage is a share between 0 and 1, not {coverage:g}"
            raise ValueError(msg)
        counts = {len(scores) for level in self.levels for scores in level.volume.values()} - {0}
        needed = cases_needed(coverage, is_two_sided=is_two_sided)
        if counts and (n := min(counts)) < needed:
            most = most_coverage(n, is_two_sided=is_two_sided)
            msg = f"coverage {coverage:g}: expected {needed} calibration cases, found {n};"
            raise ValueError(f"{msg} ask for at most {most:g}")

    def spread(self, structure: str, member_volumes: Sequence[float]) -> float:
        """Return u, the relative spread expected of a case from how much its members differ."""
        return spread(member_volumes, self.floor[structure])


NO_CALIBRATION = Calibrated("none", "", {}, {}, (), ())  # of what nobody has calibrated


def coarse_enough(levels: Sequence[S], spacing_mm: Sequence[float]) -> list[S]:
    """List the levels that may stand for a scan's voxels, the finest first."""
    ordered = sorted(spacing_mm, reverse=True)
    usable = [level for level in levels if level.spacing_mm >= ordered[0] - 0.1]
    usable.sort(key=lambda level: level.spacing_mm)
    is_coarse_twice = len(ordered) > 1 and ordered[1] > ISOTROPIC_MM
    return usable[1:] if is_coarse_twice else usable


def spread(member_volumes: Sequence[float], floor: float) -> float:
    """Return ``sqrt(CV ** 2 + floor ** 2)`` of the members' volumes."""
    mean = float(np.mean(member_volumes))
    if mean <= 0:
        return floor
    cv = float(np.std(member_volumes, ddof=1)) / mean if len(member_volumes) > 1 else 0.0
    return math.hypot(cv, floor)


def volume_bound(value: float, u: float, pool: Pool, coverage: float, side: Side) -> float:
    """Return a volume's bound on one side alone, in the volume's unit.

    With ``below`` the expert's volume lies above it in this share of cases, with ``above`` below.
    """
    return value * math.exp(pool.bound(coverage, side) * u)


def volume_interval(value: float, u: float, pool: Pool, coverage: float) -> Interval:
    """Return the interval of a volume, in the volume's unit; it always holds the value."""
    below, above = pool.reach(coverage)
    return Interval(value * math.exp(below * u), value * math.exp(above * u), coverage)


def asymmetry_interval(
    left: float, right: float, u: float, scores: Sequence[float], coverage: float
) -> Interval:
    """Return the interval of ``200 (L - R) / (L + R)``, in percent.

    It is ``200 tanh(r / 2)`` of the log ratio r, whose scores are ``|r_true - r| / u`` over
    subjects with both sides traced.
    """
    ratio, apart = math.log(left / right), quantile(scores, coverage) * u
    bounds = (200 * math.tanh((ratio + sign * apart) / 2) for sign in (-1, 1))
    lower, upper = bounds
    return Interval(lower, upper, coverage)


def calibration_of(calibrated: Calibrated, level: Level, pool: Pool) -> Calibration:
    """Name what an interval rests on, and which of the cases where it is not all of them."""
    name = f"{calibrated.id}@{level.spacing_mm:g}mm"
    return Calibration(f"{name}, {pool.note}" if pool.note else name, pool.n)
