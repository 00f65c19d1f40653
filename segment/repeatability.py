"""How far a measurement of an unchanged structure differs from itself. Knows nothing of images.

The repeatability coefficient is 1.96 sqrt(2) = 2.77 times the within-subject standard deviation
(Bland and Altman 1996), here of the logarithm of a volume, so that it is a ratio.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segment.calibration import coarse_enough
from segment.measurement import Calibration

COEFFICIENT = 1.96 * math.sqrt(2)
COVERAGE = 0.95  # of the repeatability coefficient
KEYS = {"id", "source", "levels"}


@dataclass(frozen=True)
class Within:
    """The within-subject variation of one structure.

    ``sd_log`` is the standard deviation of ln(volume) over repeats; ``correlation`` that of the
    errors of two volumes of one subject against an expert, as far as the width of the interval of
    a change needs it; ``subjects`` and ``repeats`` say from how many both come.
    """

    sd_log: float
    correlation: float
    subjects: int
    repeats: int

    def __post_init__(self) -> None:
        if not self.sd_log > 0 or not -1 <= self.correlation <= 1:
            msg = f"expected an SD above 0 and a correlation of -1 to 1, found {self}"
            raise ValueError(msg)

    @property
    def coefficient_log(self) -> float:
        """The repeatability coefficient of ln(later / earlier)."""
        return COEFFICIENT * self.sd_log

    @property
    def cv(self) -> float:
        """The within-subject coefficient of variation (the root mean square, of logarithms)."""
        return math.sqrt(math.expm1(self.sd_log**2))


@dataclass(frozen=True)
class RepeatLevel:
    """The variation at one slice thickness, by structure."""

    spacing_mm: float
    structures: Mapping[str, Within]


@dataclass(frozen=True)
class Repeatability:
    """What a run of ``voxcite repeatability`` found, and from what."""

    id: str
    source: str
    levels: tuple[RepeatLevel, ...]

    @classmethod
    def from_toml(cls, text: str) -> "Repeatability":
        """Read what ``to_toml`` wrote; raises ValueError for an unknown or a missing key."""
        table = tomllib.loads(text)
        if unknown := sorted(table.keys() ^ KEYS):
            msg = f"repeatability: the keys {unknown} are missing or unknown"
            raise ValueError(msg)
        levels = tuple(
            RepeatLevel(
                float(level["spacing_mm"]),
                {name: Within(**entry) for name, entry in level["structures"].items()},
            )
            for level in table["levels"]
        )
        return cls(table["id"], table["source"], levels)

    def to_toml(self) -> str:
        """Write everything, with five decimals."""
        lines = [f'id = "{self.id}"', f'source = "{self.source}"']
        for level in self.levels:
            lines += ["", "[[levels]]", f"spacing_mm = {level.spacing_mm}"]
            for name, within in level.structures.items():
                lines += ["", f'[levels.structures."{name}"]']
                lines += [f"sd_log = {within.sd_log:.5f}"]
                lines += [f"correlation = {within.correlation:.5f}"]
                lines += [f"subjects = {within.subjects}", f"repeats = {within.repeats}"]
        return "\n".join(lines) + "\n"

    def level(self, spacing_mm: Sequence[float]) -> RepeatLevel | None:
        """Return the level of a scan, chosen as that of its prediction intervals is."""
        usable = coarse_enough(self.levels, spacing_mm)
        return usable[0] if usable else None

    @classmethod
    def unknown(cls) -> "Repeatability":
        """Return what is known of a segmenter whose repeats nobody measured."""
        return cls("unknown", "unknown", ())

    def origin(self, level: RepeatLevel, within: Within) -> Calibration:
        """Name what the interval of a change rests on."""
        return Calibration(f"{self.id}@{level.spacing_mm:g}mm", within.subjects)
