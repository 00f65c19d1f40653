"""What a training leaves behind to look at: a row a step, and figures made of all rows.

Knows nothing of models.
"""

import csv
import json
import resource
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from segment.resume import cut_log

KILOBYTE = 1024  # Linux counts the largest resident size in them


@dataclass(frozen=True)
class Row:
    """One step: its loss, and what it took to get there, over all processes."""

    step: int
    loss: float
    samples: int
    tokens: int
    targets: int
    seconds: float


@runtime_checkable
class Board(Protocol):
    """The part of TensorBoard's writer that is used here."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Draw one point."""


def append(log: Path, row: Row) -> None:
    """Add a row to a log."""
    is_new = not log.exists()
    with log.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow([field.name for field in fields(Row)])
        numbers = asdict(row) | {"loss": f"{row.loss:.6f}", "seconds": f"{row.seconds:.3f}"}
        writer.writerow(numbers.values())


def cut(log: Path, steps: int) -> None:
    """Drop the steps after the last checkpoint from a log: they are taken again."""
    cut_log(log, steps + 1)  # the first line is the header


def read(log: Path) -> tuple[Row, ...]:
    """Read a log."""
    if not log.exists():
        return ()
    with log.open(newline="", encoding="utf-8") as file:
        found = csv.DictReader(file)
        return tuple(
            Row(
                int(row["step"]),
                float(row["loss"]),
                int(row["samples"]),
                int(row["tokens"]),
                int(row["targets"]),
                float(row["seconds"]),
            )
            for row in found
        )


def samples_per_s(rows: Sequence[Row]) -> float:
    """Return how many samples all processes together took in a second."""
    return sum(row.samples for row in rows) / sum(row.seconds for row in rows)


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Say how fast a stage was and how its loss went down."""
    seconds = sum(row.seconds for row in rows)
    return {
        "steps": len(rows),
        "seconds": round(seconds, 1),
        "samples_per_s": round(samples_per_s(rows), 3),
        "tokens_per_s": round(sum(row.tokens for row in rows) / seconds, 1),
        "loss": [row.loss for row in rows],
    }


def write_figures(
    path: Path, logs: Mapping[str, Path], processes: int, plan: Mapping[str, Any]
) -> None:
    """Write the figures of every stage that took a step, and what they were taken with."""
    rows = {stage: read(log) for stage, log in logs.items()}
    made = {
        "stages": {stage: figures(found) for stage, found in rows.items() if found},
        "peak_memory_bytes": peak_memory_bytes(),
        "processes": processes,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "torch": torch.__version__,
        "plan": dict(plan),
    }
    path.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


def peak_memory_bytes() -> int:
    """Return the most memory that this process had: the GPU's where there is one."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE


def board(folder: Path) -> Board | None:
    """Open a TensorBoard log; None where the package is not installed."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    writer: Board = SummaryWriter(str(folder))
    return writer
