"""Whether a model fits into memory before it is loaded. Knows nothing of what it does."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import torch

from assistant.writers.vlm.checkpoint import Stored
from assistant.writers.vlm.errors import SMALLER, Fault, ModelError

Precision = Literal["bfloat16", "float32", "4bit"]

BYTES = {"bfloat16": 2.0, "float32": 4.0}
FOUR_BIT_BYTES = 0.6  # four bits, and a scale for each block of 64
MATRIX = 2  # edges; only matrices are kept in four bits, and not the embedding's
WORKING = 1.15  # share on top for activations, the cache of keys and values, and copies
FIXED_BYTES = 300 * 2**20  # what the libraries themselves take

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def needed_bytes(weights: Iterable[tuple[str, Stored]], precision: Precision) -> int:
    """Estimate what loading and running a model takes, from what its files list."""
    total = sum(stored.elements * _width(name, stored, precision) for name, stored in weights)
    return round(total * WORKING) + FIXED_BYTES


def available_bytes(device: str) -> int | None:
    """Say how much memory is free; None where the platform does not tell."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    limits = [limit for limit in (_of_machine(), _of_container()) if limit is not None]
    return min(limits, default=None)


def check_room(name: str, needed: int, available: int | None) -> None:
    """Refuse a model for which there is no memory; raises ModelError."""
    if available is not None and needed > available:
        msg = (
            f"{name}: expected {needed / 1e9:.1f} GB of free memory, found"
            f" {available / 1e9:.1f} GB; {SMALLER}"
        )
        raise ModelError(Fault.NO_MEMORY, msg)


def _width(name: str, stored: Stored, precision: Precision) -> float:
    """Return how many bytes one number of a weight takes."""
    if precision != "4bit":
        return BYTES[precision]
    is_packed = len(stored.shape) == MATRIX and "language_model" in name and "embed" not in name
    return FOUR_BIT_BYTES if is_packed else BYTES["bfloat16"]


def _of_machine() -> int | None:
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith("MemAvailable:")]
    return int(found[0][1]) * 1024 if found else None


def _of_container() -> int | None:
    """Read what a control group leaves; files it has cached can be given up."""
    try:
        limit = (CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((CGROUP / "memory.current").read_text(encoding="ascii"))
        stat = (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    if not limit.isdecimal():
        return None
    cached = sum(int(line.split()[1]) for line in stat if line.startswith("file "))
    return max(0, int(limit) - used + cached)
