"""Random ledgers as the real pipeline builds them: six volumes and their asymmetry index."""

import random
from dataclasses import replace
from itertools import product

import numpy as np

from assistant.ledger import Ledger
from segment.change import Visit, compare
from segment.geometry import Geometry
from segment.lesion_change import compare_lesions
from segment.lesion_records import Seen, lesion_records
from segment.measurement import (
    Calibration,
    Interval,
    Measurement,
    Reason,
    Reference,
    Reliability,
)
from segment.objects import lesions_in_mask
from segment.repeatability import Repeatability, RepeatLevel, Within

SOURCE = "Medical Segmentation Decathlon Task04, expert tracings of the training subjects"
SCOPE = "protocol_no_ages"
RANGES = {
    "hippocampus": (2.570, 3.955),
    "hippocampus anterior": (1.222, 2.232),
    "hippocampus posterior": (1.231, 1.942),
}
CALIBRATION = Calibration("hippocampus-oof", 208)
REPEATABILITY = Repeatability(
    "repeats", "tests", (RepeatLevel(1.0, dict.fromkeys(RANGES, Within(0.011, 0.95, 17, 224))),)
)
NOW, BEFORE = "2024-06-01", "2023-05-01"
EXPRESSION = "200 * (m1 - m4) / (m1 + m4)"


def volume(record_id, structure, side, value, low, high):
    """Return a reportable volume with its reference range."""
    return Measurement(
        id=record_id,
        structure=structure,
        code="5366008",
        side=side,
        quantity="volume",
        unit="mL",
        value=value,
        interval=Interval(low, high, 0.9),
        reliability=Reliability.REPORTABLE,
        reason=None,
        method="voxel count",
        calibration=CALIBRATION,
        mask_sha256="a" * 64,
        voxels=round(value * 1000),
        voxel_volume_mm3=1.0,
        reference=Reference(*RANGES[structure], 0.9, 181, SOURCE, SCOPE),
    )


def asymmetry(left, right, half_width):
    """Return the asymmetry index of two volumes."""
    value = 200 * (left.value - right.value) / (left.value + right.value)
    return Measurement(
        id="m7",
        structure="hippocampus",
        code="5366008",
        side="none",
        quantity="asymmetry index",
        unit="%",
        value=value,
        interval=Interval(value - half_width, value + 1.1 * half_width, 0.9),
        reliability=Reliability.REPORTABLE,
        reason=None,
        method="expression",
        denominator="mean of left and right",
        calibration=CALIBRATION,
        expression=EXPRESSION,
        reference=Reference(-13.71, 13.71, 0.9, 62, SOURCE, SCOPE),
    )


def withheld(record, reason, reliability=Reliability.NOT_RELIABLE):
    """Return a record that may not be reported."""
    changes = {"reliability": reliability, "reason": reason}
    if reliability is Reliability.NOT_ASSESSED:
        changes |= {"value": None, "interval": None, "voxels": None, "mask_sha256": None}
    return replace(record, **changes)


def plain_ledger():
    """Return one ledger with nothing special in it."""
    values = {"m1": 3.214, "m2": 1.731, "m3": 1.483, "m4": 3.102, "m5": 1.652, "m6": 1.450}
    return Ledger(_records(values, 0.09, 5.2))


def wide_ledger():
    """Return one with wide intervals, a small left side and a withheld posterior part."""
    values = {"m1": 2.114, "m2": 1.031, "m3": 1.083, "m4": 3.202, "m5": 1.752, "m6": 1.450}
    records = list(_records(values, 0.13, 14.0))
    records[5] = withheld(records[5], Reason.TRUNCATED)
    return Ledger(tuple(records))


def refused_ledger():
    """Return one of a scan in which no hippocampus could be located."""
    never = Reliability.NOT_ASSESSED
    records = [
        withheld(record, Reason.REGISTRATION_UNTRUSTED, never) for record in plain_ledger().records
    ]
    records[6] = withheld(plain_ledger()["m7"], Reason.DEPENDS_ON_UNRELIABLE, never)
    return Ledger(tuple(records))


def scaled(record, scale, date):
    """Return a volume as it was at another date, so many times as large."""
    interval = record.interval
    if interval is not None:
        interval = Interval(interval.lower * scale, interval.upper * scale, interval.coverage)
    value = None if record.value is None else record.value * scale
    return replace(record, value=value, interval=interval, date=date)


def visit(records, scale, date, *, spacing_mm=(1.0, 1.0, 1.0), facts=None, reason=None):
    """Return an earlier visit at which all volumes were so many times as large."""
    volumes = [scaled(record, scale, date) for record in records if record.quantity == "volume"]
    return Visit(tuple(volumes), spacing_mm, facts or {}, date, reason)


def followed(ledger, *visits):
    """Return a ledger of today and its comparison with earlier visits."""
    records = tuple(replace(record, date=NOW) for record in ledger.records)
    current = Visit(records, (1.0, 1.0, 1.0), {}, NOW)
    return Ledger((*records, *compare(current, visits, ("hippocampus",), REPEATABILITY)))


def followup_ledger(scale, date=BEFORE, **options):
    """Return the plain ledger after a visit at which all volumes were so many times as large."""
    ledger = plain_ledger()
    return followed(ledger, visit(ledger.records, scale, date, **options))


def random_followup_ledger(generator: random.Random):
    """Return a random ledger after one or two earlier visits of random volumes and dates."""
    ledger = random_ledger(generator)
    first, second = (generator.choice([None, "2020-02-29", "2021-11-30"]), BEFORE)
    reason = generator.choice([None] * 5 + [Reason.NOT_ALIGNED])
    latest = visit(ledger.records, generator.uniform(0.9, 1.1), second, reason=reason)
    if generator.random() < 0.5:
        return followed(ledger, latest)
    return followed(ledger, visit(ledger.records, generator.uniform(0.9, 1.1), first), latest)


def random_lesion_ledger(generator: random.Random):
    """Return one of lesions of two dates: in rows, some of them of another size or gone."""
    before, after = np.zeros((2, 60, 60, 24), bool)
    for place in product(range(4, 56, 13), range(4, 56, 13)):
        for marked in (before, after):
            if edge := generator.choice([0, 2, 4, 4, 6]):
                i, j = place
                marked[i : i + edge, j : j + edge, 4 : 4 + edge] = True
    grid = Geometry(before.shape, np.eye(4))
    old, new = (lesions_in_mask(marked, grid) for marked in (before, after))
    visits = [Visit((), (1.0, 1.0, 1.0), {}, day) for day in (BEFORE, NOW)]
    blank = replace(
        withheld(plain_ledger()["m7"], Reason.NOT_ALIGNED, Reliability.NOT_ASSESSED),
        **{"structure": "brain", "code": "12738006", "unit": "", "method": "", "date": NOW},
        **dict.fromkeys(("denominator", "calibration", "expression", "reference")),
    )
    seen = Seen(new, visits[1]), [Seen(old, visits[0])]
    return Ledger(lesion_records(blank, *seen, compare_lesions(old, new)))


def random_ledger(generator: random.Random):
    """Return one with random values, widths and withheld records."""
    values = {}
    for whole, front, back in (("m1", "m2", "m3"), ("m4", "m5", "m6")):
        values[front] = generator.uniform(0.7, 2.8)
        values[back] = generator.uniform(0.7, 2.4)
        values[whole] = values[front] + values[back]
    width = generator.uniform(0.02, 0.25)
    records = list(_records(values, width, generator.uniform(0.3, 30.0)))
    for index in range(6):
        if generator.random() < 0.12:
            records[index] = withheld(records[index], generator.choice(list(Reason)[:10]))
    if generator.random() < 0.08:
        for index in generator.choice([(0, 1, 2), (3, 4, 5)]):
            records[index] = withheld(
                records[index], Reason.OUTSIDE_FIELD, Reliability.NOT_ASSESSED
            )
    if any(records[index].reason for index in (0, 3)):
        is_gone = records[0].value is None or records[3].value is None
        state = Reliability.NOT_ASSESSED if is_gone else Reliability.NOT_RELIABLE
        records[6] = withheld(records[6], Reason.DEPENDS_ON_UNRELIABLE, state)
    return Ledger(tuple(records))


def _records(values, width, half_width):
    """Return the seven records of six values, all with the same relative half width."""
    names = tuple(RANGES)
    records = [
        volume(
            record_id,
            names[index % 3],
            "left" if index < 3 else "right",
            value,
            value / (1 + width),
            value * (1 + width),
        )
        for index, (record_id, value) in enumerate(sorted(values.items()))
    ]
    return (*records, asymmetry(records[0], records[3], half_width))
