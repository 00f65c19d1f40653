"""Bounds of volumes on one side alone: at least so much, or at most. Knows nothing of reports.

An interval of 90 % misses a twentieth on either side, so each of its ends is such a bound of 95 %.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from segment.calibration import Calibrated, calibration_of, volume_bound
from segment.infer import Found, Side
from segment.measure import member_volumes_ml
from segment.measurement import Calibration, Measurement
from segment.organs import Organ


@dataclass(frozen=True)
class Bounds:
    """Two statements about one volume, each of which holds by itself in the share ``coverage``."""

    record: str
    at_least_ml: float
    at_most_ml: float
    coverage: float
    calibration: Calibration

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON takes them."""
        return asdict(self)


def bounds(
    records: Sequence[Measurement],
    sides: Sequence[Side],
    organ: Organ,
    calibrated: Calibrated,
    spacing_mm: Sequence[float],
    coverage: float,
) -> tuple[Bounds, ...]:
    """Bound each volume that may be reported, by the scores that its interval rests on.

    Raises ValueError where there are too few calibration cases for the coverage.
    """
    calibrated.expect_support(coverage, is_two_sided=False)
    level = calibrated.level(spacing_mm)
    found = {side.side: side for side in sides if isinstance(side, Found)}
    told = []
    for record in records:
        is_told = record.side in found and record.reason is None and record.calibration is not None
        if level is None or record.value is None or not is_told or record.expression is not None:
            continue
        name, value = record.structure, record.value
        members = member_volumes_ml(found[record.side].segmentation, organ.structure(name))
        u = calibrated.spread(name, members)
        pool = calibrated.pool(name, level, value, coverage, found[record.side].features)
        if not pool.supports(coverage, is_two_sided=False):
            continue
        below = volume_bound(value, u, pool, coverage, "below")
        above = volume_bound(value, u, pool, coverage, "above")
        cases = calibration_of(calibrated, level, pool)
        told.append(Bounds(record.id, below, above, coverage, cases))
    return tuple(told)
