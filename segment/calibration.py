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
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from segment.measurement import Calibration, Interval

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

    Those of volumes are signed, those of asymmetries, which have no bias, are not.
    """

    spacing_mm: float
    volume: Mapping[str, tuple[float, ...]]
    asymmetry: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Calibrated:
    """What a calibration run found; ``floor`` is the u of a case on which all members agree.

    ``least_agreement`` is the pairwise Dice of members below which a case is unlike the calibration
    cases at their thickest slices, the worst pictures on which intervals were shown to hold.
    ``coverage`` is the level that the cases were gathered for; None leaves it to the exam.
    """

    id: str
    source: str
    floor: Mapping[str, float]
    least_agreement: Mapping[str, float]
    temperature: tuple[float, ...]
    levels: tuple[Level, ...]
    coverage: float | None = None

    @classmethod
    def from_json(cls, text: str) -> "Calibrated":
        """Read what ``to_json`` wrote."""
        table = json.loads(text)
        levels = tuple(
            Level(
                float(level["spacing_mm"]),
                {name: tuple(scores) for name, scores in level["volume"].items()},
                {name: tuple(scores) for name, scores in level["asymmetry"].items()},
            )
            for level in table["levels"]
        )
        return cls(
            id=table["id"],
            source=table["source"],
            floor=table["floor"],
            least_agreement=table["least_agreement"],
            temperature=tuple(table["temperature"]),
            levels=levels,
            coverage=table.get("coverage"),
        )

    def to_json(self) -> str:
        """Write everything, scores to five digits."""
        table: dict[str, Any] = asdict(self)
        for level in table["levels"]:
            for group in ("volume", "asymmetry"):
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


def quantile(scores: Sequence[float], coverage: float) -> float:
    """Return the conformal quantile; raises ValueError where n cannot support the coverage."""
    return float(sorted(scores)[conformal_rank(len(scores), coverage) - 1])


def conformal_rank(n: int, coverage: float) -> int:
    """Return ceil((n + 1) coverage); raises ValueError where n cannot support the coverage."""
    rank = _ceil((n + 1) * coverage)
    if rank > n:
        needed = cases_needed(coverage)
        msg = f"coverage {coverage:g} needs {needed} calibration cases, there are {n}"
        raise ValueError(msg)
    return rank


def cases_needed(coverage: float, *, is_two_sided: bool = False) -> int:
    """Return how many cases an interval of this coverage needs.

    ``is_two_sided`` says that each side is fitted by itself, as that of a volume.
    """
    share = (1 + coverage) / 2 if is_two_sided else coverage
    return _ceil(share / (1 - share))


def _ceil(number: float) -> int:
    """Round up what is not whole; 20 * 0.55 is 11 though floats make it 11.000000000000002."""
    return math.ceil(round(number, 9))


def reach(scores: Sequence[float], coverage: float) -> tuple[float, float]:
    """Return how far below (at most 0) and above (at least 0) its value an interval goes, in u.

    Raises ValueError where n cannot support the coverage of either side.
    """
    one_sided = (1 + coverage) / 2
    below = -quantile([-score for score in scores], one_sided)
    return min(below, 0.0), max(quantile(scores, one_sided), 0.0)


def volume_interval(value: float, u: float, scores: Sequence[float], coverage: float) -> Interval:
    """Return the interval of a volume, in the volume's unit; it always holds the value."""
    below, above = reach(scores, coverage)
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


def calibration_of(calibrated: Calibrated, level: Level, scores: Sequence[float]) -> Calibration:
    """Name what an interval rests on."""
    return Calibration(f"{calibrated.id}@{level.spacing_mm:g}mm", len(scores))
