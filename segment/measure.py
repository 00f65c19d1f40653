"""From segmentations to measurements: counts, intervals, and what may not be reported.

Knows nothing of networks, sentences or reports.
"""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool

from segment.calibration import (
    Calibrated,
    Level,
    asymmetry_interval,
    calibration_of,
    volume_interval,
)
from segment.fragments import MOST_APART, share_apart
from segment.geometry import MM3_PER_ML
from segment.infer import Found, Missing, Side
from segment.measurement import Interval, Measurement, Reason, Reference, Reliability
from segment.organs import Organ, Structure
from segment.pools import Pool
from segment.quantiles import cases_needed
from segment.segmentation import Segmentation, sha256_of

VOLUME, ASYMMETRY = "volume", "asymmetry index"
BOTH = "mean of left and right"
FARTHEST_MM = 15.0  # of a mask's middle from where the registration expects it
COUNTED = "voxel count on the scan's own grid"
SIDES_COMPARED = "200 (left - right) / (left + right) of the reported volumes"


@dataclass(frozen=True)
class Wanted:
    """What an exam wants measured, and how wide an interval may be."""

    structures: tuple[str, ...]
    asymmetry: tuple[str, ...]
    coverage: float
    widest_relative_interval: float


def measure(
    sides: Sequence[Side],
    organ: Organ,
    wanted: Wanted,
    calibrated: Calibrated,
    spacing_mm: Sequence[float],
    date: str | None = None,
    unlike: Container[str] = (),
) -> tuple[Measurement, ...]:
    """Measure every wanted structure of every side, then the asymmetries; ids run m1, m2, ...

    ``unlike`` are the sides whose pictures lie too far from those of the calibration: nothing is
    known of how far such volumes are off.
    """
    level = calibrated.level(spacing_mm)
    found: list[Measurement] = []
    for side in sides:
        for name in wanted.structures:
            record_id = f"m{len(found) + 1}"
            structure = organ.structure(name)
            if isinstance(side, Missing):
                found.append(_absent(record_id, side, organ, structure, date))
            else:
                counted = _Counted.of(record_id, side, organ, structure)
                judged = None if side.side in unlike else level
                found.append(counted.measurement(wanted, calibrated, judged, date))
    for name in wanted.asymmetry:
        left, right = _of(found, name, "left"), _of(found, name, "right")
        if left is not None and right is not None:
            u = math.hypot(
                _spread(sides, organ.structure(name), "left", calibrated),
                _spread(sides, organ.structure(name), "right", calibrated),
            )
            pair = _Pair(
                f"m{len(found) + 1}", left, right, organ.structure(name).asymmetry_reference
            )
            found.append(pair.measurement(u, wanted.coverage, calibrated, level))
    return tuple(found)


def count_mm3(mask: Bool[np.ndarray, "i j k"], voxel_volume_mm3: float) -> float:
    """Return a mask's volume: its voxels times the volume of one, unbiased on any grid."""
    return float(int(mask.sum()) * voxel_volume_mm3)


def member_volumes_ml(segmentation: Segmentation, structure: Structure) -> tuple[float, ...]:
    """Return the volume each member alone would count."""
    wanted = [segmentation.structures.index(label) for label in structure.labels]
    masks = np.isin(segmentation.member_labels, wanted)
    voxel = segmentation.geometry.voxel_volume_mm3 / MM3_PER_ML
    return tuple(float(mask.sum()) * voxel for mask in masks)


def agreement(segmentation: Segmentation, structure: Structure) -> float:
    """Return the mean Dice between pairs of members; 1 if there is one member."""
    wanted = [segmentation.structures.index(label) for label in structure.labels]
    masks = np.isin(segmentation.member_labels, wanted)
    pairs = [
        2 * float((a & b).sum()) / max(1, int(a.sum() + b.sum())) for a, b in combinations(masks, 2)
    ]
    return float(np.mean(pairs)) if pairs else 1.0


@dataclass(frozen=True, eq=False)
class _Counted:
    """One structure of one side, counted."""

    record_id: str
    found: Found
    organ: Organ
    structure: Structure
    mask: Bool[np.ndarray, "i j k"]
    value_ml: float

    @classmethod
    def of(cls, record_id: str, found: Found, organ: Organ, structure: Structure) -> "_Counted":
        segmentation = found.segmentation
        mask = segmentation.mask(*structure.labels)
        value = count_mm3(mask, segmentation.geometry.voxel_volume_mm3) / MM3_PER_ML
        return cls(record_id, found, organ, structure, mask, value)

    def measurement(
        self, wanted: Wanted, calibrated: Calibrated, level: Level | None, date: str | None
    ) -> Measurement:
        """Return the record with its interval and with what speaks against it."""
        name, value = self.structure.name, self.value_ml
        pool = None
        if level is not None:
            seen = self.found.features
            pool = calibrated.pool(name, level, value, wanted.coverage, seen)
            if pool.weights and not pool.supports(wanted.coverage):
                level = pool = None
        interval = self._interval(wanted, calibrated, pool)
        reason = self._reason(wanted, calibrated, level, interval)
        segmentation = self.found.segmentation
        is_alone = reason is Reason.NO_INTERVAL
        return Measurement(
            id=self.record_id,
            structure=self.structure.name,
            code=self.organ.code,
            side=self.found.side,
            quantity=VOLUME,
            unit="mL",
            value=self.value_ml,
            interval=interval,
            reliability=_reliability(reason),
            reason=reason,
            method=f"{COUNTED}, {segmentation.model}",
            date=date,
            calibration=calibration_of(calibrated, level, pool)
            if level and pool and pool.scores
            else None,
            mask_sha256=sha256_of(self.mask),
            voxels=int(self.mask.sum()),
            voxel_volume_mm3=segmentation.geometry.voxel_volume_mm3,
            reference=None if is_alone else self.structure.volume_reference,
        )

    def _interval(
        self, wanted: Wanted, calibrated: Calibrated, pool: Pool | None
    ) -> Interval | None:
        if pool is None or self.value_ml == 0 or not pool.scores:
            return None
        u = calibrated.spread(
            self.structure.name, member_volumes_ml(self.found.segmentation, self.structure)
        )
        return volume_interval(self.value_ml, u, pool, wanted.coverage)

    def _reason(
        self,
        wanted: Wanted,
        calibrated: Calibrated,
        level: Level | None,
        interval: Interval | None,
    ) -> Reason | None:
        """Return the first reason why the value may not be reported, or not with an interval."""
        name = self.structure.name
        disagree = agreement(self.found.segmentation, self.structure)
        checks = (
            (self.found.has_blank_slices, Reason.BLANK_SLICES),
            (self.value_ml == 0, Reason.EMPTY),
            (self.found.shift_mm > FARTHEST_MM, Reason.MISPLACED),
            (self.found.is_truncated, Reason.TRUNCATED),
            (disagree < calibrated.least_agreement[name], Reason.MEMBERS_DISAGREE),
            (not self.structure.is_plausible(self.value_ml), Reason.IMPLAUSIBLE_VOLUME),
            (
                self.structure.is_one_piece and share_apart(self.mask) > MOST_APART,
                Reason.FRAGMENTED,
            ),
            (level is None, Reason.OUTSIDE_CALIBRATION),
            (interval is None, Reason.NO_INTERVAL),
            (_is_wider(interval, self.value_ml, wanted), Reason.INTERVAL_TOO_WIDE),
        )
        return next((reason for holds, reason in checks if holds), None)


def _reliability(reason: Reason | None) -> Reliability:
    """Say whether a value may stand: with its interval, alone or not."""
    if reason is None:
        return Reliability.REPORTABLE
    is_alone = reason is Reason.NO_INTERVAL
    return Reliability.WITHOUT_INTERVAL if is_alone else Reliability.NOT_RELIABLE


def _is_wider(interval: Interval | None, value: float, wanted: Wanted) -> bool:
    """Whether an interval is wider, relative to its value, than the exam reports."""
    if interval is None:
        return False
    return interval.upper - interval.lower > wanted.widest_relative_interval * value


def _absent(
    record_id: str, side: Missing, organ: Organ, structure: Structure, date: str | None
) -> Measurement:
    """Return the record of a structure that was not looked at."""
    return Measurement(
        id=record_id,
        structure=structure.name,
        code=organ.code,
        side=side.side,
        quantity=VOLUME,
        unit="mL",
        value=None,
        interval=None,
        reliability=Reliability.NOT_ASSESSED,
        reason=side.reason,
        method=COUNTED,
        date=date,
        reference=structure.volume_reference,
    )


def _of(records: Sequence[Measurement], structure: str, side: str) -> Measurement | None:
    """Return the volume of one structure of one side."""
    for record in records:
        if (record.structure, record.side, record.quantity) == (structure, side, VOLUME):
            return record
    return None


def _spread(
    sides: Sequence[Side], structure: Structure, wanted: str, calibrated: Calibrated
) -> float:
    """Return the expected spread of one structure of one side; 0 if it was not found."""
    for side in sides:
        if side.side == wanted and isinstance(side, Found):
            volumes = member_volumes_ml(side.segmentation, structure)
            return calibrated.spread(structure.name, volumes)
    return 0.0


@dataclass(frozen=True)
class _Pair:
    """The same structure on both sides."""

    record_id: str
    left: Measurement
    right: Measurement
    reference: Reference | None

    def measurement(
        self, u: float, coverage: float, calibrated: Calibrated, level: Level | None
    ) -> Measurement:
        """Return the asymmetry index: left minus right, in % of the mean of both."""
        left, right = self.left, self.right
        reliability = self._reliability()
        scores = () if level is None else level.asymmetry[left.structure]
        scores = scores if len(scores) >= cases_needed(coverage) else ()
        value = interval = calibration = None
        is_alone = Reliability.WITHOUT_INTERVAL in {left.reliability, right.reliability}
        if is_alone or (reliability is Reliability.REPORTABLE and not scores):
            reliability, reason = Reliability.NOT_ASSESSED, Reason.NO_INTERVAL
        else:
            reason = Reason.DEPENDS_ON_UNRELIABLE
        if reliability is not Reliability.NOT_ASSESSED and left.value and right.value:
            value = 200 * (left.value - right.value) / (left.value + right.value)
            if reliability is Reliability.REPORTABLE and level is not None:
                interval = asymmetry_interval(left.value, right.value, u, scores, coverage)
                calibration = calibration_of(calibrated, level, Pool(scores))
        return Measurement(
            id=self.record_id,
            structure=left.structure,
            code=left.code,
            side="none",
            quantity=ASYMMETRY,
            unit="%",
            value=value,
            interval=interval,
            reliability=reliability if value is not None else Reliability.NOT_ASSESSED,
            reason=None if interval is not None else reason,
            method=SIDES_COMPARED,
            denominator=BOTH,
            date=left.date,
            calibration=calibration,
            expression=f"200 * ({left.id} - {right.id}) / ({left.id} + {right.id})",
            reference=self.reference,
        )

    def _reliability(self) -> Reliability:
        """Return the worse of both sides' reliabilities; of values alone nothing is derived."""
        states = {self.left.reliability, self.right.reliability}
        if states & {Reliability.NOT_ASSESSED, Reliability.WITHOUT_INTERVAL}:
            return Reliability.NOT_ASSESSED
        is_withheld = Reliability.NOT_RELIABLE in states
        return Reliability.NOT_RELIABLE if is_withheld else Reliability.REPORTABLE
