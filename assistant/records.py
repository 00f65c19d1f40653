"""Measurements, scores and judgements as plain JSON values, there and back. Knows no report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from importlib.resources import files
from typing import Any, Literal

from assistant.judgement import Condition, Judgement, Obstacle, Outcome
from assistant.score import Score
from segment.measurement import (
    Calibration,
    Interval,
    Measurement,
    Reason,
    Reference,
    Reliability,
)

SCHEMA_VERSION = 1


def schema(name: Literal["report", "measurements"]) -> dict[str, Any]:
    """Read a published JSON schema (draft 2020-12)."""
    path = files("assistant").joinpath("schemas", f"{name}.schema.json")
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table


def measurement_record(measurement: Measurement) -> dict[str, Any]:
    """Return a measurement as plain JSON values, every field by its own name."""
    return asdict(measurement)


def measurement_from_record(record: Mapping[str, Any]) -> Measurement:
    """Read a measurement back; raises ValueError where it is none."""
    expected = {field.name for field in fields(Measurement)}
    if unknown := sorted(record.keys() ^ expected):
        msg = f"record {record.get('id')}: the keys {unknown} are missing or unknown"
        raise ValueError(msg)
    interval, calibration = record["interval"], record["calibration"]
    reason, reference = record["reason"], record["reference"]
    parts = {
        "value": _float(record["value"]),
        "voxel_volume_mm3": _float(record["voxel_volume_mm3"]),
        "interval": None if interval is None else Interval(**_floats(interval)),
        "calibration": None if calibration is None else Calibration(**calibration),
        "reference": None if reference is None else Reference(**_floats(reference)),
        "reason": None if reason is None else Reason(reason),
        "reliability": Reliability(record["reliability"]),
    }
    return Measurement(**{**record, **parts})


def score_from_record(record: Mapping[str, Any]) -> Score:
    """Read a score back; JSON may write 0 and 1 as integers."""
    return Score(**{**record, "probability": float(record["probability"])})


def judgement_from_record(record: Mapping[str, Any]) -> Judgement:
    """Read a judgement back; JSON may write limits as integers and has no tuples."""
    conditions = (
        Condition(**{**c, "quantities": tuple(c["quantities"]), "limit": float(c["limit"])})
        for c in record["conditions"]
    )
    reason = record["reason"]
    parts = {
        "conditions": tuple(conditions),
        "cites": tuple(record["cites"]),
        "missing": tuple(record["missing"]),
        "outcome": Outcome(record["outcome"]),
        "reason": None if reason is None else Obstacle(reason),
    }
    return Judgement(**{**record, **parts})


def _floats(table: Mapping[str, Any]) -> dict[str, Any]:
    """Read bounds and shares as floats, which JSON may write as integers."""
    numbers = ("lower", "upper", "coverage")
    return {k: float(v) if k in numbers and v is not None else v for k, v in table.items()}


def _float(number: float | int | None) -> float | None:
    """Read a number as a float, which JSON may write as an integer."""
    return None if number is None else float(number)


def measurements_json(
    measurements: tuple[Measurement, ...],
    provenance: Mapping[str, Any],
    certainty: Sequence[Mapping[str, Any]] = (),
    bounds: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return what measurements.json holds.

    ``certainty`` is of each structure, if it is known, and ``bounds`` of each volume, if asked for.
    """
    table: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "measurements": [measurement_record(m) for m in measurements],
        "provenance": dict(provenance),
    }
    if certainty:
        table["certainty"] = [dict(one) for one in certainty]
    if bounds:
        table["bounds"] = [dict(one) for one in bounds]
    return table
