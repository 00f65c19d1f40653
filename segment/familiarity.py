"""How far a picture lies from the calibration cases, by what a network's coarsest layer sees of it.

Mahalanobis distance of pooled features (Lee et al. 2018; of segmentation networks Gonzalez et al.
2022), the covariance shrunk (Ledoit and Wolf 2004). Knows nothing of networks or of reports.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64
from safetensors.numpy import load_file, save_file

from segment.calibration import coarse_enough
from segment.resume import replacing

FOLDS = 5  # by subject, of the distances that thresholds are taken from
CAUTION_FROM = 0.95  # share of the calibration cases that lie nearer
FEATURES, SUBJECTS, CASES, SPACING = "features", "subjects", "cases", "spacing_mm"

Features = Float32[np.ndarray, "case feature"]


class Standing(StrEnum):
    """What a picture's distance lets a report do with its volumes."""

    REPORT = "report"
    CAUTION = "report with caution"
    WITHHOLD = "withhold"


@dataclass(frozen=True, eq=False)
class Cloud:
    """Where features of the calibration cases lie: middle, scale and the inverse covariance."""

    middle: Float64[np.ndarray, " feature"]
    scale: Float64[np.ndarray, " feature"]
    precision: Float64[np.ndarray, "feature feature"]

    @classmethod
    def of(cls, features: Features) -> "Cloud":
        """Fit features of several cases."""
        exact = features.astype(np.float64)
        middle, scale = exact.mean(axis=0), exact.std(axis=0) + 1e-9
        covariance = shrunk((exact - middle) / scale)
        return cls(middle, scale, np.linalg.inv(covariance))

    def distance(
        self, features: Float32[np.ndarray, "*case feature"]
    ) -> Float64[np.ndarray, "*case"]:
        """Return the Mahalanobis distance over the root of how many features there are."""
        apart = (np.asarray(features, float) - self.middle) / self.scale
        squared = np.einsum("...i,ij,...j->...", apart, self.precision, apart)
        return np.asarray(np.sqrt(squared / len(self.middle)))


def shrunk(features: Float64[np.ndarray, "case feature"]) -> Float64[np.ndarray, "feature feature"]:
    """Return the covariance, drawn towards a multiple of one as far as its own error asks.

    Source: Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance
    matrices", equations 9 to 14.
    """
    n, p = features.shape
    centred = features - features.mean(axis=0)
    sample = centred.T @ centred / n
    target = np.trace(sample) / p * np.eye(p)
    distance = float(((sample - target) ** 2).sum())
    error = float(((centred**2).sum(axis=1) ** 2).sum() / n - (sample**2).sum()) / n
    share = min(error, distance) / distance if distance > 0 else 1.0
    return np.asarray(share * target + (1 - share) * sample)


@dataclass(frozen=True, eq=False)
class FamiliarLevel:
    """The calibration cases' features at one slice thickness, which they are, and of whom."""

    spacing_mm: float
    features: Features
    subjects: Int64[np.ndarray, " case"]
    cases: Int64[np.ndarray, " case"]

    @cached_property
    def cloud(self) -> Cloud:
        """Where all cases lie."""
        return Cloud.of(self.features)

    @cached_property
    def distances(self) -> Float64[np.ndarray, " case"]:
        """How far each case lies from those of other subjects, nearest first."""
        found = np.zeros(len(self.features))
        drawn = np.array([np.random.default_rng([0, s]).integers(FOLDS) for s in self.subjects])
        for fold in np.unique(drawn):
            mine = drawn == fold
            found[mine] = Cloud.of(self.features[~mine]).distance(self.features[mine])
        return np.sort(found)

    @property
    def caution_from(self) -> float:
        """The distance that a share of ``CAUTION_FROM`` of new cases like these stays below."""
        n = len(self.distances)
        return float(self.distances[min(int(np.ceil((n + 1) * CAUTION_FROM)), n) - 1])

    def standing(self, distance: float) -> Standing:
        """Say what may be reported at a distance: farther than every case is withheld."""
        if not distance <= self.distances[-1]:
            return Standing.WITHHOLD
        return Standing.CAUTION if distance > self.caution_from else Standing.REPORT


@dataclass(frozen=True)
class Likeness:
    """How far one side's picture lies from ``n`` calibration cases, and what follows."""

    side: str
    distance: float
    caution_from: float
    withheld_from: float
    n: int
    standing: Standing

    def to_dict(self) -> dict[str, str | int | float]:
        """Return the fields as JSON takes them."""
        rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return {**rounded, "standing": str(self.standing)}


@dataclass(frozen=True, eq=False)
class Familiar:
    """What the calibration cases look like, at each slice thickness; with no level nobody knows."""

    levels: tuple[FamiliarLevel, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "Familiar":
        """Read what ``write`` wrote."""
        table = load_file(path)
        features = table[FEATURES].astype(np.float32)
        levels = []
        for spacing_mm in np.unique(table[SPACING]):
            mine = table[SPACING] == spacing_mm
            subjects = table[SUBJECTS][mine].astype(np.int64)
            cases = table[CASES][mine].astype(np.int64)
            levels.append(FamiliarLevel(float(spacing_mm), features[mine], subjects, cases))
        return cls(tuple(levels))

    def write(self, path: Path) -> None:
        """Write features in half precision."""
        tensors: dict[str, Any] = {
            FEATURES: np.concatenate([level.features for level in self.levels]).astype(np.float16),
            CASES: np.concatenate([level.cases for level in self.levels]).astype(np.int32),
            SUBJECTS: np.concatenate([level.subjects for level in self.levels]).astype(np.int32),
            SPACING: np.concatenate(
                [
                    np.full(len(level.subjects), level.spacing_mm, np.float32)
                    for level in self.levels
                ]
            ),
        }
        with replacing(path) as temporary:
            save_file(tensors, temporary)

    def of(
        self, features: Mapping[str, Float32[np.ndarray, " feature"]], spacing_mm: Sequence[float]
    ) -> tuple[Likeness, ...]:
        """Judge what was seen of each side; nothing of a scan coarser than every level."""
        usable = coarse_enough(self.levels, spacing_mm)
        if not usable:
            return ()
        return tuple(_likeness(side, seen, usable[0]) for side, seen in features.items())


def _likeness(
    side: str, features: Float32[np.ndarray, " feature"], level: FamiliarLevel
) -> Likeness:
    distance = float(level.cloud.distance(features))
    return Likeness(
        side=side,
        distance=distance,
        caution_from=level.caution_from,
        withheld_from=float(level.distances[-1]),
        n=len(level.distances),
        standing=level.standing(distance),
    )


def withheld(likeness: Sequence[Likeness]) -> frozenset[str]:
    """Name the sides whose pictures lie too far from the calibration cases."""
    return frozenset(one.side for one in likeness if one.standing is Standing.WITHHOLD)


def is_cautious(likeness: Sequence[Likeness]) -> bool:
    """Whether some side is to be reported with caution."""
    return any(one.standing is Standing.CAUTION for one in likeness)
