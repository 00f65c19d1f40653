"""How wrong networks are on cases that sites held out: counts in bins, of each site or of all.

Knows nothing of images, of networks or of messages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from segment.calibration import THICKNESSES, Calibrated, Level
from segment.federated.sketch import Sketch, edges, joined, more_cases
from segment.organs import Organ, available, load

FLOOR = 0.1  # u of one network, which has no other to differ from: the grid reaches a factor of e
FARTHEST = 200.0  # u; an empty count is taken for 1 mm3, and so nothing lies beyond


@dataclass(frozen=True)
class Scores:
    """Sketches by slice thickness in mm, as text, and by structure."""

    levels: Mapping[str, Mapping[str, Sketch]]

    @classmethod
    def from_table(cls, table: object, organ: Organ) -> "Scores":
        """Read what ``table`` made, of this organ; raises ValueError for anything else."""
        names = {structure.name for structure in organ.structures}
        wanted = {str(thickness): names for thickness in THICKNESSES}
        if not _is_nested(table) or {k: set(v) for k, v in table.items()} != wanted:
            msg = f"expected counts of {', '.join(sorted(names))} at {len(wanted)} thicknesses"
            raise ValueError(f"{msg}, found others; install the same version")
        levels = {
            thickness: {name: _sketch_of(counts) for name, counts in level.items()}
            for thickness, level in table.items()
        }
        return cls(levels)

    def table(self) -> dict[str, dict[str, list[int]]]:
        """Write the counts, as JSON takes them."""
        return {
            thickness: {name: list(one.counts) for name, one in level.items()}
            for thickness, level in self.levels.items()
        }

    @property
    def n(self) -> int:
        """How many subjects were scored at every thickness, in every structure."""
        return min((one.n for level in self.levels.values() for one in level.values()), default=0)


def together(sites: Sequence[Scores]) -> Scores:
    """Add the counts of all sites up; there is one or more."""
    return Scores(
        {
            thickness: {name: joined([one.levels[thickness][name] for one in sites]) for name in of}
            for thickness, of in sites[0].levels.items()
        }
    )


def calibrated(scores: Scores, sites: int, source: str, coverage: float) -> Calibrated:
    """Return the intervals of one network; without any where all sites have too few subjects.

    Each score stands at the outer edge of its bin, so that an interval is that of the sketch.
    """
    few = any(more_cases(of, coverage) for level in scores.levels.values() for of in level.values())
    names = tuple(next(iter(scores.levels.values())))
    levels = []
    for thickness, level in scores.levels.items():
        volume = {name: () if few else outer(of) for name, of in level.items()}
        levels.append(Level(float(thickness), volume, dict.fromkeys(names, ())))
    return Calibrated(
        id=f"federated-{scores.n}-subjects-{sites}-sites",
        source=source,
        floor=dict.fromkeys(names, FLOOR),
        least_agreement=dict.fromkeys(names, 0.0),
        temperature=(),
        levels=tuple(levels),
        coverage=coverage,
    )


def outer(scores: Sketch) -> tuple[float, ...]:
    """Put each score at the edge of its bin that is further from 0, in order."""
    ends = edges()
    above = np.append(ends, FARTHEST)
    below = np.insert(ends, 0, -FARTHEST)
    placed = np.where(above > 0, above, below)  # a bin that ends at 0 holds scores below it
    return tuple(np.repeat(placed, scores.counts).tolist())


def organ_of(structures: Sequence[str]) -> Organ:
    """Find the organ that a plan's structures are all of; raises ValueError where there is none."""
    for name in available():
        organ = load(name)
        if {label for structure in organ.structures for label in structure.labels} == {*structures}:
            return organ
    msg = f"structures: expected those of an organ that is here, found {', '.join(structures)}"
    raise ValueError(f"{msg}; put the organ's folder on the shelves")


def _is_nested(table: object) -> TypeGuard[Mapping[str, Mapping[str, object]]]:
    return isinstance(table, Mapping) and all(isinstance(v, Mapping) for v in table.values())


def _sketch_of(counts: object) -> Sketch:
    if not isinstance(counts, list) or not all(type(count) is int for count in counts):
        msg = "expected counts as whole numbers, found something else; install the same version"
        raise ValueError(msg)
    return Sketch(tuple(counts))
