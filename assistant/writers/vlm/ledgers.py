"""Ledgers to train on: of measured cases that the networks never saw, and invented ones.

Knows what a pipeline can find and nothing of words. Subjects are held out by their number.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import numpy as np

from assistant import exams
from assistant.ledger import Ledger
from assistant.writers.phrasings import Part
from assistant.writers.vlm.faults import with_faults
from assistant.writers.vlm.priors import with_prior
from segment import models, organs
from segment.calibration import Calibrated, Level, asymmetry_interval, volume_interval
from segment.change import TREND
from segment.measurement import Calibration, Interval, Measurement, Reason, Reliability
from segment.pools import Pool
from segment.segmentation import Side

EXAM, SEGMENTER = "hippocampus", "unet"
WHOLE, ANTERIOR, POSTERIOR = "hippocampus", "hippocampus anterior", "hippocampus posterior"
STRUCTURES = (WHOLE, ANTERIOR, POSTERIOR)
HELD_OUT_EVERY = 5  # subjects whose number is divisible by it
METHOD = "voxel count"
THICKNESSES_MM = (1, 2, 3, 5)
COMPARED = 1 / 3  # of the ledgers, with an earlier examination
# Invented ledgers: the typical volumes in mL, their spread, and how often something is wrong.
TYPICAL_ML = {ANTERIOR: 1.7, POSTERIOR: 1.55}
SCALES = (0.62, 0.8, 1.0, 1.0, 1.25, 1.45)
EXACTLY = (1.0,) * 99  # scores that widen nothing
ONE_SIDE, NO_REFERENCE = 0.12, 0.06


@dataclass(frozen=True)
class Made:
    """A ledger, and the cases of the training set behind its left and right side, if any."""

    ledger: Ledger
    left_case: int | None = None
    right_case: int | None = None


@dataclass(frozen=True)
class Counted:
    """What out-of-fold networks counted of one structure of one case at one slice thickness."""

    value_ml: float
    member_ml: tuple[float, ...]
    agreement: float


@cache
def measured_cases() -> Mapping[tuple[int, int], Mapping[str, Counted]]:
    """Read the out-of-fold counts by case and slice thickness in mm."""
    text = files("segment.models").joinpath(SEGMENTER, "cases.csv").read_text(encoding="utf-8")
    found: dict[tuple[int, int], dict[str, Counted]] = {}
    for row in csv.DictReader(text.splitlines()):
        members = tuple(float(volume) for volume in row["member_ml"].split())
        key = int(row["case"]), int(row["thickness_mm"])
        counted = Counted(float(row["value_ml"]), members, float(row["agreement"]))
        found.setdefault(key, {})[row["structure"]] = counted
    return found


@cache
def subjects(part: Part) -> tuple[int, ...]:
    """List the subjects of a part; both hippocampi of a head belong to one subject."""
    known = {(case + 1) // 2 for case, _ in measured_cases()}
    return tuple(s for s in sorted(known) if (s % HELD_OUT_EVERY == 0) == (part == "held out"))


def make_ledger(rng: np.random.Generator, part: Part) -> Made:
    """Make a ledger: half of a part's measured cases, half invented; a third with a prior."""
    thickness = THICKNESSES_MM[rng.integers(len(THICKNESSES_MM))]
    if rng.random() < 0.5:
        made = measured_ledger(rng, part, thickness)
    else:
        made = Made(invented_ledger(rng))
    if rng.random() >= COMPARED:
        return made
    return replace(made, ledger=with_prior(rng, made.ledger, _exam(), SEGMENTER, float(thickness)))


def measured_ledger(rng: np.random.Generator, part: Part, thickness: int) -> Made:
    """Return the ledger of a subject; which case is which side is drawn, nobody recorded it."""
    numbers = subjects(part)
    subject = numbers[rng.integers(len(numbers))]
    cases = measured_cases()
    found = [c for c in (2 * subject - 1, 2 * subject) if (c, thickness) in cases]
    if rng.random() < 0.5:
        found.reverse()
    one: Side = "left" if rng.random() < 0.5 else "right"
    sides: tuple[Side, ...] = ("left", "right") if len(found) == 2 else (one,)
    by_side = dict(zip(sides, found, strict=True))
    ledger = _ledger_of(sides, tuple(found), thickness)
    return Made(ledger, by_side.get("left"), by_side.get("right"))


@cache
def _ledger_of(sides: tuple[Side, ...], found: tuple[int, ...], thickness: int) -> Ledger:
    """Return the ledger of one or two cases at a slice thickness in mm."""
    cases = measured_cases()
    records: list[Measurement] = []
    for side, case in zip(sides, found, strict=True):
        for structure, counted in cases[case, thickness].items():
            record_id = f"m{len(records) + 1}"
            records.append(_judged(record_id, structure, side, counted, thickness))
    if len(sides) == 2:
        u = math.hypot(*(_u(WHOLE, cases[case, thickness][WHOLE]) for case in found))
        records.append(_index(records, u, _level(thickness).asymmetry[WHOLE]))
    return Ledger(tuple(records))


def invented_ledger(rng: np.random.Generator) -> Ledger:
    """Return a ledger of a small, usual, large or uneven pair, or of one that went wrong."""
    sides: tuple[Side, ...] = ("left", "right")
    if rng.random() < ONE_SIDE:
        sides = (sides[rng.integers(2)],)
    scale = SCALES[rng.integers(len(SCALES))] * math.exp(rng.normal(0, 0.1))
    width = min(math.exp(rng.normal(-2.6, 0.6)), 0.23)
    records: list[Measurement] = []
    for side in sides:
        uneven = math.exp(rng.normal(0, (0.02, 0.12)[rng.integers(2)]))
        records += _side(rng, side, scale * uneven, width, len(records))
    records = with_faults(rng, records)
    if len(sides) == 2:
        records.append(_index(records, width * math.exp(rng.normal(0.2, 0.3)), EXACTLY))
    if rng.random() < NO_REFERENCE:
        records = [replace(record, reference=None) for record in records]
    return Ledger(tuple(records))


@cache
def plain_records() -> tuple[Measurement, ...]:
    """Return a record of each name there is: both sides and their index, nothing wrong."""
    rng = np.random.default_rng(0)
    left = _side(rng, "left", 1.0, 0.05, 0)
    right = _side(rng, "right", 1.0, 0.05, len(left))
    return (*left, *right, _index([*left, *right], 0.05, EXACTLY))


@cache
def compared_records() -> tuple[Measurement, ...]:
    """Return what a comparison adds to the plain records: a record of each name and quantity."""
    rng = np.random.default_rng(0)
    while True:
        compared = with_prior(rng, Ledger(plain_records()), _exam(), SEGMENTER, 1.0)
        found = tuple(record for record in compared.records if record.is_of_comparison)
        if any(record.quantity == TREND for record in found):
            return found


def _side(
    rng: np.random.Generator, side: Side, scale: float, width: float, before: int
) -> list[Measurement]:
    """Invent the three volumes of one side; the whole is the sum of its parts."""
    values = {name: ml * scale * math.exp(rng.normal(0, 0.1)) for name, ml in TYPICAL_ML.items()}
    values = {WHOLE: sum(values.values()), **values}
    records = []
    for number, (name, value) in enumerate(values.items(), start=before + 1):
        factor = math.exp(width * math.exp(rng.normal(0, 0.25)))
        interval = Interval(value / factor, value * factor, _exam().coverage)
        reason = Reason.INTERVAL_TOO_WIDE if _is_too_wide(interval, value) else None
        records.append(_volume(f"m{number}", name, side, value, interval, reason))
    return records


def _judged(
    record_id: str, structure: str, side: Side, counted: Counted, thickness: int
) -> Measurement:
    """Return the record of a counted structure with its calibrated interval."""
    value, scores = counted.value_ml, _level(thickness).volume[structure]
    interval = volume_interval(value, _u(structure, counted), Pool(scores), _exam().coverage)
    reason = None
    if counted.agreement < _calibrated().least_agreement[structure]:
        reason = Reason.MEMBERS_DISAGREE
    elif not _organ().structure(structure).is_plausible(value):
        reason = Reason.IMPLAUSIBLE_VOLUME
    elif _is_too_wide(interval, value):
        reason = Reason.INTERVAL_TOO_WIDE
    return _volume(record_id, structure, side, value, interval, reason)


def _volume(
    record_id: str,
    structure: str,
    side: Side,
    value: float,
    interval: Interval,
    reason: Reason | None,
) -> Measurement:
    """Return the record of one volume."""
    organ = _organ()
    return Measurement(
        id=record_id,
        structure=structure,
        code=organ.code,
        side=side,
        quantity="volume",
        unit="mL",
        value=value,
        interval=interval,
        reliability=Reliability.REPORTABLE if reason is None else Reliability.NOT_RELIABLE,
        reason=reason,
        method=METHOD,
        calibration=Calibration("training", len(measured_cases())),
        reference=organ.structure(structure).volume_reference,
    )


def _index(records: Sequence[Measurement], u: float, scores: Sequence[float]) -> Measurement:
    """Return the asymmetry index of the whole structures of both sides."""
    left, right = (r for r in records if r.structure == WHOLE)
    states = {left.reliability, right.reliability}
    worst = (Reliability.NOT_ASSESSED, Reliability.NOT_RELIABLE, Reliability.REPORTABLE)
    state = next(state for state in worst if state in states)
    value = interval = None
    if state is not Reliability.NOT_ASSESSED and left.value and right.value:
        value = 200 * (left.value - right.value) / (left.value + right.value)
        if state is Reliability.REPORTABLE:
            coverage = _exam().coverage
            interval = asymmetry_interval(left.value, right.value, u, scores, coverage)
    return Measurement(
        id=f"m{len(records) + 1}",
        structure=WHOLE,
        code=left.code,
        side="none",
        quantity="asymmetry index",
        unit="%",
        value=value,
        interval=interval,
        reliability=state if value is not None else Reliability.NOT_ASSESSED,
        reason=None if interval is not None else Reason.DEPENDS_ON_UNRELIABLE,
        method="expression",
        denominator="mean of left and right",
        expression=f"200 * ({left.id} - {right.id}) / ({left.id} + {right.id})",
        reference=_organ().structure(WHOLE).asymmetry_reference,
    )


def _u(structure: str, counted: Counted) -> float:
    """Return the relative spread expected of what was counted."""
    return _calibrated().spread(structure, counted.member_ml)


def _is_too_wide(interval: Interval, value: float) -> bool:
    """Tell whether an interval is wider than the exam reports."""
    return interval.upper - interval.lower > _exam().widest_relative_interval * value


@cache
def _exam() -> exams.Exam:
    return exams.load(EXAM)


@cache
def _organ() -> organs.Organ:
    return organs.load(_exam().organs[0])


@cache
def _calibrated() -> Calibrated:
    return models.calibrated(SEGMENTER)


@cache
def _level(thickness: int) -> Level:
    """Return the calibration at a slice thickness in mm."""
    return next(level for level in _calibrated().levels if level.spacing_mm == thickness)
