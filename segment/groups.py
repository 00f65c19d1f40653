"""How volumes, overlap and intervals fare in each group of cases. Knows not what groups mean."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from segment.evaluate import LEAST_SUBJECTS, Estimate, Json, bootstrap_interval


@dataclass(frozen=True)
class Fared:
    """One structure of one case beside the expert's.

    ``volume_error`` is (measured - expert) / expert and None over an empty tracing; ``is_covered``
    is None where there is no interval.
    """

    structure: str
    group: str
    subject: str
    volume_error: float | None
    dice: float
    is_covered: bool | None


@dataclass(frozen=True)
class GroupRow:
    """One group: means with 95 % bootstrap intervals over its subjects, None without any value."""

    structure: str
    group: str
    n: int
    subjects: int
    volume_error: Estimate | None
    dice: Estimate | None
    coverage: Estimate | None

    @property
    def is_too_small(self) -> bool:
        """Whether any of its means rests on too few subjects to say how the group fares."""
        told = (self.volume_error, self.dice, self.coverage)
        fewest = min((estimate.groups for estimate in told if estimate is not None), default=0)
        return fewest < LEAST_SUBJECTS

    def to_dict(self) -> Json:
        """Return one flat row as JSON takes it."""
        row: Json = {
            "structure": self.structure,
            "group": self.group,
            "n": self.n,
            "subjects": self.subjects,
            "is_too_small": self.is_too_small,
        }
        for name in ("volume_error", "dice", "coverage"):
            estimate: Estimate | None = getattr(self, name)
            for part in ("mean", "lower", "upper", "n"):
                row[f"{name}_{part}"] = None if estimate is None else getattr(estimate, part)
        return row


def by_group(cases: Sequence[Fared], rng: np.random.Generator) -> tuple[GroupRow, ...]:
    """Tabulate each group of each structure, in the order in which they come."""
    return tuple(_rows(cases, rng))


def _rows(cases: Sequence[Fared], rng: np.random.Generator) -> Iterator[GroupRow]:
    for structure, group in dict.fromkeys((case.structure, case.group) for case in cases):
        mine = [case for case in cases if (case.structure, case.group) == (structure, group)]
        errors = [math.nan if case.volume_error is None else case.volume_error for case in mine]
        covered = [math.nan if c.is_covered is None else float(c.is_covered) for c in mine]
        subjects = [case.subject for case in mine]
        yield GroupRow(
            structure=structure,
            group=group,
            n=len(mine),
            subjects=len(set(subjects)),
            volume_error=_estimate(errors, subjects, rng),
            dice=_estimate([case.dice for case in mine], subjects, rng),
            coverage=_estimate(covered, subjects, rng),
        )


def _estimate(
    values: Sequence[float], subjects: Sequence[str], rng: np.random.Generator
) -> Estimate | None:
    """Average the values that there are."""
    kept = [n for n, value in enumerate(values) if math.isfinite(value)]
    if not kept:
        return None
    mine = [subjects[n] for n in kept]
    return bootstrap_interval([values[n] for n in kept], rng, groups=mine)
