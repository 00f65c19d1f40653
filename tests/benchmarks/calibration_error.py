"""How far each structure's probabilities lie from what the expert drew. Measures nothing."""

from collections.abc import Iterator, Sequence

import numpy as np

from tests.benchmarks.shifts import NONE
from tests.benchmarks.uncertainty import METHODS, Row


def told(rows: Sequence[Row]) -> Iterator[str]:
    """Write the mean expected calibration error of crops as they are, by method and structure."""
    plain = [row for row in rows if row.shift == NONE]
    names = list(dict.fromkeys(row.structure for row in plain))
    yield f"| ECE | n | subjects | {' | '.join(names)} |"
    yield "|---" * (len(names) + 3) + "|"
    for method in METHODS:
        mine = [row for row in plain if row.method == method]
        if not mine:
            continue
        of = {name: [row.ece for row in mine if row.structure == name] for name in names}
        errors = " | ".join(f"{np.mean(of[name]):.3f}" if of[name] else "–" for name in names)
        crops, subjects = ({getattr(row, key) for row in mine} for key in ("case", "subject"))
        yield f"| {method} | {len(crops)} | {len(subjects)} | {errors} |"
