"""Weighted intervals on validation crops under shift, each subject by the others. Measures nothing.

What a user would have are the other subjects' crops under the same shift, without labels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from segment import models
from segment.calibration import spread, volume_interval
from segment.crossfit import Case
from segment.intervals import POOLED, WEIGHTED
from segment.local.ratio import fit_ratio
from segment.local.weigh import weights_of
from segment.models.training.plan import subject_of
from segment.weighting import worth
from tests.benchmarks.risk import key_of, named
from tests.benchmarks.shifts import SHIFTS, Shift
from tests.benchmarks.uncertainty import WHOLE, Row
from tests.benchmarks.unlike import Seen, read_seen

NOMINAL = 0.9


def told(rows: Sequence[Row], cases: Sequence[Case]) -> Iterator[str]:
    """Write by shift what weights leave of the cases, and how the intervals fare."""
    seen = read_seen()
    yield (
        "| shift | n | effective n, mean | lowest | withheld | coverage | width | coverage, all"
        " alike | width |"
    )
    yield "|---" * 9 + "|"
    for shift in SHIFTS:
        mine = [r for r in rows if (r.shift, r.strength) == (shift.name, shift.strength)]
        if mine:
            yield line(shift, mine, [one for one in seen if one.shift == shift], cases)


def line(shift: Shift, rows: Sequence[Row], seen: Sequence[Seen], cases: Sequence[Case]) -> str:
    """Write one shift."""
    shipped, familiar = models.calibrated("unet"), models.familiar("unet")
    level = shipped.level((1.0, 1.0, float(shift.thickness_mm)))
    assert level is not None
    near = next(one for one in familiar.levels if one.spacing_mm == level.spacing_mm)
    features = {one.key: one.features for one in seen}
    effective, fared, alike = [], [], []
    for row in rows:
        own = [one.features for one in seen if subject_of(one.case) != row.subject]
        ratio = fit_ratio(near.features, np.stack(own))
        weights = weights_of(level, shipped, near, cases, ratio)
        effective.append(worth(weights[WHOLE]))
        weighed = replace(level, weight=weights)
        for intervals, results in ((WEIGHTED, fared), (POOLED, alike)):
            asked = replace(shipped, intervals=intervals, ratio=ratio)
            pool = asked.pool(WHOLE, weighed, row.value_ml, NOMINAL, features[key_of(row)])
            if pool.supports(NOMINAL):
                u = spread(row.samples_ml, shipped.floor[WHOLE])
                bounds = volume_interval(row.value_ml, u, pool, NOMINAL)
                is_held = bounds.lower <= row.true_ml <= bounds.upper
                results.append((is_held, (bounds.upper - bounds.lower) / row.value_ml))
    cells = [named(shift), str(len(rows)), f"{np.mean(effective):.0f}", f"{min(effective):.0f}"]
    cells += [f"{len(rows) - len(fared)} of {len(rows)}"]
    for results in (fared, alike):
        held, widths = zip(*results, strict=True) if results else ((), ())
        cells += [f"{np.mean(held):.2f}", f"{np.mean(widths):.3f}"] if results else ["–", "–"]
    return f"| {' | '.join(cells)} |"
