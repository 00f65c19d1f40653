"""The manifest of a run: one row a study, with every measurement that may be reported.

A study is what an analyst joins with ages and diagnoses, filters and plots, so that a measurement
is columns and not a row: value, bounds and the reason why it is withheld. The columns are named
with their unit. Knows nothing of how studies are drafted.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from assistant.batch import parquet
from assistant.batch.outcome import STAGES, Outcome
from segment.measurement import Measurement
from segment.resume import replacing

Outcomes = Callable[[], Iterable[Outcome]]
Cell = str | float | None
TEXTS = (
    *("id", "status", "code", "sentence", "exam", "language", "prior", "finished"),
    *("input_sha256", "report_sha256"),
)
UNITS = {"%": "percent"}


def write_manifest(folder: Path, outcomes: Outcomes, *, as_parquet: bool | None) -> None:
    """Write manifest.csv, and manifest.parquet if asked for or, with None, where pyarrow is there.

    ``outcomes`` is called twice, first for the columns: no more than a row is in memory.
    """
    columns = columns_of(outcomes())
    path = folder / "manifest.csv"
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(row_of, outcomes()))
    if parquet.is_installed() if as_parquet is None else as_parquet:
        parquet.write(folder / "manifest.parquet", columns, map(row_of, outcomes()))


def columns_of(outcomes: Iterable[Outcome]) -> Mapping[str, type]:
    """Name the columns with their types: the study's, its times, then every measurement met."""
    columns: dict[str, type] = dict.fromkeys(TEXTS, str)
    columns |= dict.fromkeys([*(f"{stage}_s" for stage in STAGES), "total_s"], float)
    for outcome in outcomes:
        for record in outcome.measurements:
            columns |= {name: str if name.endswith("_reason") else float for name in _cells(record)}
    return columns


def row_of(outcome: Outcome) -> Mapping[str, Cell]:
    """Write a study as a row; what it has not stays out of it."""
    row: dict[str, Cell] = {name: getattr(outcome, name) for name in TEXTS}
    row |= {f"{stage}_s": seconds for stage, seconds in outcome.seconds.items()}
    row["total_s"] = round(outcome.total_s, 4)
    for record in outcome.measurements:
        row |= _cells(record)
    return row


def _cells(record: Measurement) -> Mapping[str, Cell]:
    """Write a measurement; one that may not be reported shows its reason in place of numbers."""
    name = column_of(record)
    interval = record.interval if record.reason is None else None
    return {
        name: None if interval is None else record.value,
        f"{name}_lower": None if interval is None else interval.lower,
        f"{name}_upper": None if interval is None else interval.upper,
        f"{name}_coverage": None if interval is None else interval.coverage,
        f"{name}_reason": None if record.reason is None else str(record.reason),
    }


def column_of(record: Measurement) -> str:
    """Name a measurement's column: hippocampus_left_volume_ml."""
    side = "both" if record.side == "none" else record.side
    unit = UNITS.get(record.unit, record.unit)
    words = f"{record.structure} {side} {record.quantity} {unit}".lower()
    return re.sub(r"[^a-z0-9]+", "_", words)
