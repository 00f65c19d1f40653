"""The overlap with an expert that a structure probably has, from how well its members agree.

Isotonic regression of Dice on the members' pairwise Dice (Barlow et al. 1972): nothing is assumed
but that better agreement is no worse sign. Knows nothing of scans.
"""

import tomllib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from segment.table import filled

DIGITS = 4


@dataclass(frozen=True)
class DiceCurve:
    """Steps of one structure, by rising agreement, joined by straight lines.

    ``error`` is the mean distance from the true Dice on subjects left out of the fit.
    """

    agreement: tuple[float, ...]
    dice: tuple[float, ...]
    error: float
    subjects: int
    cases: int

    def __post_init__(self) -> None:
        is_rising = np.all(np.diff(self.agreement) > 0) and np.all(np.diff(self.dice) >= 0)
        if not self.agreement or len(self.agreement) != len(self.dice) or not is_rising:
            msg = "expected agreements that rise and as many Dice that never fall, found others"
            raise ValueError(f"{msg}; fit them again")

    def __call__(self, agreement: float) -> float:
        """Return the Dice at an agreement; beyond either end that of the end."""
        return float(np.interp(agreement, self.agreement, self.dice))


def fit_dice(
    agreement: Sequence[float], dice: Sequence[float], subjects: Sequence[Hashable]
) -> DiceCurve:
    """Fit a curve to cases, and judge it on each subject by a curve of the others.

    Raises ValueError for cases of fewer than two subjects.
    """
    if len(set(subjects)) < 2:
        msg = f"expected cases of two subjects or more, found {len(set(subjects))}; add cases"
        raise ValueError(msg)
    said = out_of_fold(agreement, dice, subjects)
    error = float(np.abs(np.subtract(said, dice)).mean())
    steps = _steps(agreement, dice)
    return DiceCurve(*steps, round(error, DIGITS), len(set(subjects)), len(dice))


def out_of_fold(
    agreement: Sequence[float], dice: Sequence[float], subjects: Sequence[Hashable]
) -> list[float]:
    """Predict each case from the cases of the other subjects."""
    said = []
    for mine, subject in zip(agreement, subjects, strict=True):
        others = [n for n, other in enumerate(subjects) if other != subject]
        steps = _steps([agreement[n] for n in others], [dice[n] for n in others])
        said.append(float(np.interp(mine, *steps)))
    return said


def _steps(
    agreement: Sequence[float], dice: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the ends of each step of the regression, of which equal agreements are one."""
    places, which = np.unique(np.round(agreement, DIGITS), return_inverse=True)
    counts = np.bincount(which)
    means = np.bincount(which, weights=np.asarray(dice, dtype=np.float64)) / counts
    fitted = np.round(isotonic_regression(means, weights=counts).x, DIGITS)
    inner = (fitted[1:-1] == fitted[:-2]) & (fitted[1:-1] == fitted[2:])
    kept = np.concatenate([[True], ~inner, [True]]) if len(fitted) > 1 else np.array([True])
    return tuple(places[kept].tolist()), tuple(fitted[kept].tolist())


def curves_from_toml(text: str) -> Mapping[str, DiceCurve]:
    """Read what ``curves_to_toml`` wrote, by structure; raises ValueError for other keys."""
    return {name: filled(DiceCurve, table, name) for name, table in tomllib.loads(text).items()}


def curves_to_toml(curves: Mapping[str, DiceCurve]) -> str:
    """Write curves by their structures."""
    lines = []
    for name, curve in curves.items():
        lines.append(f'["{name}"]')
        lines += [
            f"{key} = {list(v) if isinstance(v, tuple) else v}" for key, v in vars(curve).items()
        ]
    return "\n".join(lines) + "\n"
