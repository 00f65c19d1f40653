"""Made ledgers get one or two earlier examinations, compared as the product compares them.

What the earlier scans held is drawn; every change, interval and verdict comes from
``segment.change`` with the repeatability of the exam's networks. Knows no words.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import cache

import numpy as np

from assistant.exams import Exam
from assistant.ledger import Ledger
from assistant.writers.vlm.faults import with_faults
from segment import models
from segment.change import LEAST_DAYS, Visit, compare, half_width_log
from segment.measure import VOLUME
from segment.measurement import Interval, Measurement, Reason, Reliability
from segment.repeatability import Repeatability

TODAY = date(2024, 1, 1)
TODAY_REACH_DAYS = 700
LONGEST_DAYS = 2500
TWO, UNDATED, SOON = 0.35, 0.12, 0.1  # how often: two priors, no date, too short a time between
OTHER_VOXELS, OTHER_SCANNER, ASKEW = 0.06, 0.05, 0.05
FAULTS = 0.35  # of those of today's scan
STILL, SHRUNK = 0.25, 0.4  # the rest has grown
STILL_SD, PART_SD = 0.004, 0.01  # in logarithms: of a side, and of each structure besides
LEAST, MOST = 0.02, 0.22  # of a side's volume, lost or gained
WIDTH_LOG, WIDTH_SD = 0.07, 0.15  # half an interval where today has none, and how both differ
WIDEST_LOG = 0.22
SLICE_MM = 5.0
SCANNERS = ("A", "B")


def with_prior(
    rng: np.random.Generator, ledger: Ledger, exam: Exam, segmenter: str, thickness_mm: float
) -> Ledger:
    """Return a ledger after its comparison with one or two earlier examinations."""
    days = _days(rng)
    today = TODAY + timedelta(days=int(rng.integers(TODAY_REACH_DAYS)))
    now = _day(rng, today, 0, may_lack=len(days) == 1)
    records = tuple(replace(record, date=now) for record in ledger.records)
    volumes = [record for record in records if record.quantity == VOLUME]
    visits = [
        _visit(rng, volumes, _day(rng, today, ago, may_lack=len(days) == 1), thickness_mm)
        for ago in days
    ]
    current = Visit(records, _spacing(thickness_mm), {"manufacturer": SCANNERS[0]}, now)
    compared = compare(current, visits, exam.asymmetry, _repeatability(segmenter))
    return Ledger((*records, *compared))


def _days(rng: np.random.Generator) -> tuple[int, ...]:
    """Draw how many days ago the earlier examinations were, the first one first."""
    latest = int(rng.integers(10, LEAST_DAYS) if rng.random() < SOON else _long(rng))
    return (latest + _long(rng), latest) if rng.random() < TWO else (latest,)


def _long(rng: np.random.Generator) -> int:
    """Draw a time after which there is a yearly rate."""
    return int(rng.integers(LEAST_DAYS, LONGEST_DAYS))


def _day(rng: np.random.Generator, today: date, ago: int, *, may_lack: bool) -> str | None:
    """Write a date; of several priors the product refuses one without."""
    if may_lack and rng.random() < UNDATED:
        return None
    return (today - timedelta(days=ago)).isoformat()


def _visit(
    rng: np.random.Generator, volumes: Sequence[Measurement], day: str | None, thickness_mm: float
) -> Visit:
    """Invent an earlier examination of the same structures, and what sets it apart."""
    sides = {record.side: _ratio(rng) for record in volumes}
    drawn = [_earlier(rng, record, sides[record.side], day) for record in volumes]
    is_other_grid, is_other_scanner = rng.random() < OTHER_VOXELS, rng.random() < OTHER_SCANNER
    other_mm = SLICE_MM if thickness_mm < SLICE_MM else 1.0
    return Visit(
        tuple(with_faults(rng, drawn, FAULTS)),
        _spacing(other_mm if is_other_grid else thickness_mm),
        {"manufacturer": SCANNERS[is_other_scanner]},
        day,
        Reason.NOT_ALIGNED if rng.random() < ASKEW else None,
    )


def _ratio(rng: np.random.Generator) -> float:
    """Draw how many times as large a side was."""
    kind = rng.random()
    if kind < STILL:
        return math.exp(rng.normal(0, STILL_SD))
    changed = rng.uniform(LEAST, MOST)
    return 1 / (1 - changed) if kind < STILL + SHRUNK else 1 - changed


def _earlier(
    rng: np.random.Generator, record: Measurement, ratio: float, day: str | None
) -> Measurement:
    """Return a volume as it was measured before, reliably; whole and parts differ a little."""
    value = (record.value or _usual_ml(record)) * ratio * math.exp(rng.normal(0, PART_SD))
    width = half_width_log(record.interval) if record.interval else WIDTH_LOG
    factor = math.exp(min(width * math.exp(rng.normal(0, WIDTH_SD)), WIDEST_LOG))
    coverage = record.interval.coverage if record.interval else 0.9
    return replace(
        record,
        value=value,
        interval=Interval(value / factor, value * factor, coverage),
        reliability=Reliability.REPORTABLE,
        reason=None,
        date=day,
    )


def _usual_ml(record: Measurement) -> float:
    """Return a volume for what was not measured today: the middle of its reference range."""
    reference = record.reference
    return 2.0 if reference is None else (reference.lower + reference.upper) / 2


def _spacing(thickness_mm: float) -> tuple[float, float, float]:
    return (1.0, 1.0, float(thickness_mm))


@cache
def _repeatability(segmenter: str) -> Repeatability:
    return models.repeatability(segmenter)
