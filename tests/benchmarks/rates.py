"""The rates of docs/scale.md, each with its source, as scale.toml says them. Counts with none."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segment.table import filled

KINDS = ("measured", "published", "assumed", "chosen")
FILE = Path(__file__).with_name("scale.toml")
End = Literal["value", "best", "worst"]


@dataclass(frozen=True)
class Rate:
    """A number, the ends within which it may lie, and on whose authority."""

    value: float
    best: float
    worst: float
    unit: str
    kind: str
    source: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            msg = f"kind: expected one of {KINDS}, found {self.kind!r}"
            raise ValueError(msg)
        if not min(self.best, self.worst) <= self.value <= max(self.best, self.worst):
            msg = f"expected {self.value} between {self.best} and {self.worst}; widen them"
            raise ValueError(msg)


def read_rates(path: Path = FILE) -> dict[str, Rate]:
    """Read the rates of a file, by name; raises ValueError for missing or unknown keys."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: filled(Rate, table, f"{path.name}, {name}") for name, table in tables.items()}


def numbers(
    rates: Mapping[str, Rate], end: End = "value", *, only: Iterable[str] | None = None
) -> dict[str, float]:
    """Take every rate at one end, or some of them there and the others at their value."""
    chosen = set(rates if only is None else only)
    return {
        name: float(getattr(rate, end) if name in chosen else rate.value)
        for name, rate in rates.items()
    }
