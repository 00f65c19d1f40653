"""What can go wrong with the volumes of a scan, drawn at random. Knows no value and no words."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segment.measurement import Measurement, Reason, Reliability

NEVER = (Reason.REGISTRATION_UNTRUSTED, Reason.ORIENTATION_IMPLAUSIBLE, Reason.OUTSIDE_FIELD)
DOUBTED = (
    Reason.TRUNCATED,
    Reason.MEMBERS_DISAGREE,
    Reason.IMPLAUSIBLE_VOLUME,
    Reason.MISPLACED,
    Reason.EMPTY,
    Reason.INTERVAL_TOO_WIDE,
    Reason.OUTSIDE_CALIBRATION,
)
ALL_LOST, SIDE_LOST, PART_LOST = 0.05, 0.2, 0.06  # how often


def with_faults(
    rng: np.random.Generator, records: Sequence[Measurement], share: float = 1.0
) -> list[Measurement]:
    """Let a whole scan, a side or a part go wrong now and then, so many times as often."""
    if rng.random() < share * ALL_LOST:
        reason = NEVER[rng.integers(2)]
        return [_absent(record, reason) for record in records]
    found = []
    lost: dict[str, Reason] = {}
    for side in ("left", "right"):
        if rng.random() < share * SIDE_LOST:
            reasons = (*DOUBTED, Reason.OUTSIDE_FIELD)
            lost[side] = reasons[rng.integers(len(reasons))]
    for record in records:
        doubt = lost.get(record.side)
        if doubt is None and rng.random() < share * PART_LOST:
            doubt = DOUBTED[rng.integers(len(DOUBTED))]
        found.append(_doubted(record, doubt) if doubt else record)
    return found


def _doubted(record: Measurement, reason: Reason) -> Measurement:
    """Return a record that is withheld for a reason."""
    if reason in NEVER:
        return _absent(record, reason)
    has_interval = reason not in (Reason.EMPTY, Reason.OUTSIDE_CALIBRATION)
    return replace(
        record,
        reliability=Reliability.NOT_RELIABLE,
        reason=reason,
        value=0.0 if reason is Reason.EMPTY else record.value,
        interval=record.interval if has_interval else None,
    )


def _absent(record: Measurement, reason: Reason) -> Measurement:
    """Return a record of what was not looked at."""
    state = Reliability.NOT_ASSESSED
    return replace(record, reliability=state, reason=reason, value=None, interval=None)
