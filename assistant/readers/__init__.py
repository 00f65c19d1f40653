"""What only the picture can say, one folder a reader; none is imported before it is asked for.

A finding is named by its fact and its value: ``kind.mr_t1``, ``part.head``, ``plane.axial``,
``quality.motion``. Knows nothing of networks, of reports or of what a finding leads to.
"""

import math
import tomllib
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from typing import Protocol, cast, runtime_checkable

from segment.volume import Volume

UNCALIBRATED = "uncalibrated"


@dataclass(frozen=True)
class Score:
    """The probability of one finding, and which calibration says that it is one.

    ``calibration`` names the calibration, or is the word ``uncalibrated``.
    """

    id: str
    finding: str
    probability: float
    calibration: str
    reader: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.probability) or not 0 <= self.probability <= 1:
            msg = f"score {self.id}: a probability lies between 0 and 1, not {self.probability}"
            raise ValueError(msg)
        if not self.calibration:
            msg = f"score {self.id}: name its calibration, or mark it {UNCALIBRATED!r}"
            raise ValueError(msg)
        if not all((self.id, self.reader, *self.finding.split("."))) or "." not in self.finding:
            msg = (
                f"score {self.id!r}: expected an id, a reader and a finding such as kind.mr_t1,"
                f" found {self.reader!r} and {self.finding!r}"
            )
            raise ValueError(msg)

    @property
    def is_calibrated(self) -> bool:
        """Whether the probability was compared with what held-out pictures showed."""
        return self.calibration != UNCALIBRATED


@runtime_checkable
class Reader(Protocol):
    """Anything that reads findings from the pictures of a volume."""

    def __call__(self, volume: Volume) -> tuple[Score, ...]:
        """Score every finding that this reader knows."""


def available() -> tuple[str, ...]:
    """Name the readers that have a folder here."""
    here = files(__package__)
    return tuple(sorted(d.name for d in here.iterdir() if d.joinpath("reader.toml").is_file()))


def load(name: str, **options: object) -> Reader:
    """Import one reader and build it; raises ValueError for an unknown one."""
    if name not in available():
        msg = f"unknown reader {name!r}; there are {', '.join(available())}"
        raise ValueError(msg)
    text = files(__package__).joinpath(name, "reader.toml").read_text(encoding="utf-8")
    module, _, attribute = tomllib.loads(text)["factory"].partition(":")
    return cast(Reader, getattr(import_module(module), attribute)(**options))
