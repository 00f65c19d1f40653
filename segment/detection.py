"""How well predicted lesions agree with an expert's, lesion by lesion. Knows nothing of networks.

Nothing here is trained or tuned. A predicted object is right, and a true lesion found, by one of
two rules:

- ``AnyOverlap``: they share a voxel. A large object may find several lesions, and several objects
  that touch one lesion are all right.
- ``AtLeastIou``: they are paired one to one, at an intersection over union of at least a threshold.

Recall so counts lesions and precision counts objects; under any overlap a lesion found twice is one
found lesion and two right objects. Objects that were left out for their size are in neither.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.optimize import linear_sum_assignment

from segment.objects import Lesions, shared_voxels

# The rates at which LUNA16 averages sensitivity (Setio et al. 2017, Medical Image Analysis 42).
LUNA16_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
LEAST_SCANS = 8  # with fewer, an eighth of a false positive a scan is none at all
LEAST_THRESHOLDS = len(LUNA16_RATES)  # with fewer, some of the seven rates share an operating point


@dataclass(frozen=True)
class Matches:
    """Which true lesions of a scan are found and which predicted objects are right, in order."""

    found: tuple[bool, ...]
    right: tuple[bool, ...]


@dataclass(frozen=True)
class AnyOverlap:
    """One shared voxel is enough."""

    def match(
        self,
        shared: Int64[np.ndarray, "true predicted"],
        true_voxels: Int64[np.ndarray, " true"],
        predicted_voxels: Int64[np.ndarray, " predicted"],
    ) -> Matches:
        """Match whatever touches."""
        touching = shared > 0
        return _matches(np.any(touching, axis=1), np.any(touching, axis=0))


@dataclass(frozen=True)
class AtLeastIou:
    """Pairs, one to one, of at least an intersection over union.

    As many pairs as there can be, and among those the ones of the largest summed intersection over
    union (Kuhn 1955, the Hungarian method). Above 0.5 no two pairs compete.
    """

    threshold: float

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            msg = f"an intersection over union is above 0 and at most 1, not {self.threshold:g}"
            raise ValueError(msg)

    def match(
        self,
        shared: Int64[np.ndarray, "true predicted"],
        true_voxels: Int64[np.ndarray, " true"],
        predicted_voxels: Int64[np.ndarray, " predicted"],
    ) -> Matches:
        """Match the pairs that overlap enough."""
        iou = shared / (true_voxels[:, None] + predicted_voxels - shared)
        enough = iou >= self.threshold
        gain = np.where(enough, iou + min(shared.shape), 0.0)
        rows, columns = linear_sum_assignment(gain, maximize=True)
        paired = enough[rows, columns]
        found, right = (np.zeros(n, dtype=bool) for n in shared.shape)
        found[rows[paired]] = right[columns[paired]] = True
        return _matches(found, right)


Matching = AnyOverlap | AtLeastIou


def _matches(found: Bool[np.ndarray, " true"], right: Bool[np.ndarray, " predicted"]) -> Matches:
    """Return two arrays as Python's."""
    return Matches(tuple(found.tolist()), tuple(right.tolist()))


@dataclass(frozen=True, eq=False)
class Scan:
    """The true and the predicted lesions of one scan, on one grid; either may be none."""

    true: Lesions
    predicted: Lesions

    def matches(self, matching: Matching) -> Matches:
        """Match all objects; raises ScanError when they are on two grids."""
        return _Table.of(self).matches(matching, -np.inf)


@dataclass(frozen=True)
class Rates:
    """Counts over scans, and what follows from them; a rate over nothing is None."""

    scans: int
    lesions: int
    found: int
    predicted: int
    right: int

    @property
    def recall(self) -> float | None:
        """The share of the true lesions that are found (sensitivity)."""
        return self.found / self.lesions if self.lesions else None

    @property
    def precision(self) -> float | None:
        """The share of the predicted objects that are right."""
        return self.right / self.predicted if self.predicted else None

    @property
    def false_positives_per_scan(self) -> float:
        """How many objects a scan are not right, scans without a lesion included."""
        return (self.predicted - self.right) / self.scans


@dataclass(frozen=True)
class FrocPoint:
    """What the objects with a score of at least ``threshold`` reach."""

    threshold: float
    sensitivity: float
    false_positives_per_scan: float


@dataclass(frozen=True)
class Froc:
    """Sensitivity against false positives a scan, one point a distinct score, the highest first."""

    scans: int
    lesions: int
    points: tuple[FrocPoint, ...]

    def sensitivity_at(self, false_positives_per_scan: float) -> float:
        """Return the best sensitivity reached with no more false positives a scan; 0 if none is.

        It is that of a threshold, and not read off a line between two of them.
        """
        reached = (
            point.sensitivity
            for point in self.points
            if point.false_positives_per_scan <= false_positives_per_scan
        )
        return max(reached, default=0.0)

    @property
    def average_sensitivity(self) -> float | None:
        """The mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives a scan.

        The score of LUNA16 (Setio et al. 2017), which interpolates between thresholds where this
        does not. None with fewer than 8 scans or 7 thresholds, which cannot tell these rates apart.
        """
        if self.scans < LEAST_SCANS or len(self.points) < LEAST_THRESHOLDS:
            return None
        return float(np.mean([self.sensitivity_at(rate) for rate in LUNA16_RATES]))


def rates(scans: Sequence[Scan], matching: Matching) -> Rates:
    """Count over scans; raises ValueError without a scan."""
    _check_scans(scans)
    return _count(scan.matches(matching) for scan in scans)


def froc(scans: Sequence[Scan], matching: Matching) -> Froc:
    """Trace what remains found and what false as a threshold on the objects' scores falls.

    The objects stay as they were segmented; at each threshold those that remain are matched anew.
    Raises ValueError without a scan, without a true lesion, or for objects without scores.
    """
    _check_scans(scans)
    lesions = sum(len(scan.true.found) for scan in scans)
    if not lesions:
        msg = "a FROC curve needs true lesions, and the scans hold none; give scans that do"
        raise ValueError(msg)
    tables = [_Table.of(scan) for scan in scans]
    if any(np.isnan(table.scores).any() for table in tables):
        msg = "a FROC curve needs scores, and some objects have none; find them in probabilities"
        raise ValueError(msg)
    thresholds = np.unique(np.concatenate([table.scores for table in tables]))[::-1]
    points = []
    for threshold in thresholds.tolist():
        counted = _count(table.matches(matching, threshold) for table in tables)
        sensitivity = counted.found / lesions
        points.append(FrocPoint(threshold, sensitivity, counted.false_positives_per_scan))
    return Froc(len(scans), lesions, tuple(points))


@dataclass(frozen=True, eq=False)
class _Table:
    """What matching takes of a scan; an object without a score has none that is a number."""

    shared: Int64[np.ndarray, "true predicted"]
    true_voxels: Int64[np.ndarray, " true"]
    predicted_voxels: Int64[np.ndarray, " predicted"]
    scores: Float64[np.ndarray, " predicted"]

    @classmethod
    def of(cls, scan: Scan) -> "_Table":
        predicted = scan.predicted.found
        scores = [np.nan if lesion.score is None else lesion.score for lesion in predicted]
        return cls(
            shared_voxels(scan.true, scan.predicted),
            np.array([lesion.voxels for lesion in scan.true.found], dtype=np.int64),
            np.array([lesion.voxels for lesion in predicted], dtype=np.int64),
            np.array(scores, dtype=np.float64),
        )

    def matches(self, matching: Matching, threshold: float) -> Matches:
        """Match the objects whose score is not below a threshold."""
        kept = ~(self.scores < threshold)
        return matching.match(self.shared[:, kept], self.true_voxels, self.predicted_voxels[kept])


def _check_scans(scans: Sequence[Scan]) -> None:
    """Refuse rates per scan over no scan."""
    if not scans:
        msg = "rates per scan need at least one scan, and there is none"
        raise ValueError(msg)


def _count(matches: Iterable[Matches]) -> Rates:
    """Add up scans."""
    each = list(matches)
    return Rates(
        scans=len(each),
        lesions=sum(len(m.found) for m in each),
        found=sum(sum(m.found) for m in each),
        predicted=sum(len(m.right) for m in each),
        right=sum(sum(m.right) for m in each),
    )
