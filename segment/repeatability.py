"""How far a measurement of an unchanged structure differs from itself. Knows nothing of images.

The repeatability coefficient is 1.96 sqrt(2) = 2.77 times the within-subject standard deviation
(Bland and Altman 1996), here of the logarithm of a volume, so that it is a ratio.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from segment.calibration import coarse_enough
from segment.measurement import Calibration

COEFFICIENT = 1.96 * math.sqrt(2)
LARGEST_RATIO = 1.2  # of the voxel edges and of the settings of two scans that can be compared
SAME_MM = 0.1  # how far slices of one thickness may differ
COVERAGE = 0.95  # of the repeatability coefficient
PSEUDO, VISITS = "pseudo_retest", "repeat_visits"  # keys of [scopes] in every phrasebook
SIMULATED = "pseudo test-retest of scans that no network has seen"  # the source of the shipped
FACTS = ("id", "source", "scope", "weights_sha256", "calibration")
KEYS = {*FACTS, "levels"}


def are_alike(one: float, other: float) -> bool:
    """Tell whether two numbers of scans are the same but for rounding and small adjustments."""
    return max(one, other) <= LARGEST_RATIO * min(one, other)


@dataclass(frozen=True)
class Within:
    """The within-subject variation of one structure.

    ``sd_log`` is the standard deviation of ln(volume) over repeats; ``correlation`` that of the
    errors of two volumes of one subject against an expert, as far as the width of the interval of
    a change needs it; ``subjects`` and ``repeats`` say from how many the SD comes. Among real
    visits ``is_simulated`` marks an SD of simulated repeats, which was the larger one.
    """

    sd_log: float
    correlation: float
    subjects: int
    repeats: int
    is_simulated: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.sd_log < math.inf or not -1 <= self.correlation <= 1:
            msg = f"expected an SD above 0 and a correlation of -1 to 1, found {self}"
            raise ValueError(msg)
        if not 1 < self.subjects <= self.repeats:
            msg = f"expected two subjects or more and as many repeats, found {self}"
            raise ValueError(msg)

    def no_narrower_than(self, other: "Within") -> "Within":
        """Return the one with the larger SD, with the smaller correlation of both.

        ``other`` is of simulated repeats, which is marked where its SD stands.
        """
        wider = self if self.sd_log >= other.sd_log else replace(other, is_simulated=True)
        return replace(wider, correlation=min(self.correlation, other.correlation))

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
    """The variation at one slice thickness, by structure.

    ``edges_mm`` are those of the voxels, ascending, of real visits, which stand for scans with
    alike voxels and no others; simulated repeats have none and stand for thinner slices, too.
    """

    spacing_mm: float
    structures: Mapping[str, Within]
    edges_mm: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.edges_mm and abs(max(self.edges_mm) - self.spacing_mm) > SAME_MM:
            msg = f"expected slices of {self.spacing_mm} mm, found edges of {self.edges_mm}"
            raise ValueError(msg)

    def is_for(self, spacing_mm: Sequence[float]) -> bool:
        """Tell whether a scan's voxels are alike those of real visits."""
        pairs = zip(sorted(spacing_mm), self.edges_mm, strict=False)
        return all(are_alike(*pair) for pair in pairs)


@dataclass(frozen=True)
class Repeatability:
    """What a run of ``voxcite repeatability`` found, and from what.

    ``scope`` says what kind of repeats they were, ``weights_sha256`` and ``calibration`` which
    networks and whose intervals they were measured with; both are empty where nobody kept it.
    """

    id: str
    source: str
    levels: tuple[RepeatLevel, ...]
    scope: str = PSEUDO
    weights_sha256: str = ""
    calibration: str = ""

    def __post_init__(self) -> None:
        if self.scope not in (PSEUDO, VISITS):
            msg = f"repeatability: expected the scope {PSEUDO} or {VISITS}, found {self.scope!r}"
            raise ValueError(msg)

    @classmethod
    def from_toml(cls, text: str) -> "Repeatability":
        """Read what ``to_toml`` wrote; raises ValueError for an unknown or a missing key."""
        table = tomllib.loads(text)
        if unknown := sorted(table.keys() ^ KEYS):
            msg = f"repeatability: the keys {unknown} are missing or unknown"
            raise ValueError(msg)
        facts = {key: value for key, value in table.items() if key != "levels"}
        levels = tuple(
            RepeatLevel(
                float(level["spacing_mm"]),
                {name: Within(**entry) for name, entry in level["structures"].items()},
                tuple(map(float, level.get("edges_mm", ()))),
            )
            for level in table["levels"]
        )
        return cls(levels=levels, **facts)

    def to_toml(self) -> str:
        """Write everything, with five decimals."""
        lines = [f'{key} = "{getattr(self, key)}"' for key in FACTS]
        for level in self.levels:
            lines += ["", "[[levels]]", f"spacing_mm = {level.spacing_mm}"]
            if level.edges_mm:
                edges = ", ".join(f"{edge:.4f}" for edge in level.edges_mm)
                lines.append(f"edges_mm = [{edges}]")
            for name, within in level.structures.items():
                lines += ["", f'[levels.structures."{name}"]']
                lines += [f"sd_log = {within.sd_log:.5f}"]
                lines += [f"correlation = {within.correlation:.5f}"]
                lines += [f"subjects = {within.subjects}", f"repeats = {within.repeats}"]
                lines += ["is_simulated = true"] * within.is_simulated
        return "\n".join(lines) + "\n"

    def level(self, spacing_mm: Sequence[float]) -> RepeatLevel | None:
        """Return the level of a scan, chosen as that of its prediction intervals is."""
        if self.scope == VISITS:
            return next((level for level in self.levels if level.is_for(spacing_mm)), None)
        usable = coarse_enough(self.levels, spacing_mm)
        return usable[0] if usable else None

    def no_narrower_than(self, other: "Repeatability") -> "Repeatability":
        """Return this one with the larger variation and the smaller correlation of both.

        Beside each level stands the thickest of ``other`` whose slices are no thicker.
        """
        levels = []
        for level in self.levels:
            thinner = [one for one in other.levels if one.spacing_mm <= level.spacing_mm + SAME_MM]
            beside = max(thinner, key=lambda one: one.spacing_mm, default=None)
            known = {} if beside is None else beside.structures
            structures = {
                name: own if name not in known else own.no_narrower_than(known[name])
                for name, own in level.structures.items()
            }
            levels.append(replace(level, structures=structures))
        return replace(self, levels=tuple(levels))

    def described(self, within: Within) -> tuple[str, str]:
        """Return the source and the scope of one of its variations."""
        return (SIMULATED, PSEUDO) if within.is_simulated else (self.source, self.scope)

    @classmethod
    def unknown(cls) -> "Repeatability":
        """Return what is known of a segmenter whose repeats nobody measured."""
        return cls("unknown", "unknown", ())

    def origin(self, level: RepeatLevel, within: Within) -> Calibration:
        """Name what the interval of a change rests on."""
        return Calibration(f"{self.id}@{level.spacing_mm:g}mm", within.subjects)
