"""Weigh the calibration cases by how likely their pictures are among a user's scans.

No scan needs labels, and no score changes. Knows nothing of files or of networks.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from segment.calibration import ISOTROPIC_MM, Calibrated, Level
from segment.crossfit import Case, score
from segment.errors import Refusal, ScanError
from segment.familiarity import FamiliarLevel
from segment.intervals import WEIGHTED
from segment.local.ratio import fit_ratio
from segment.pools import LEAST
from segment.weighting import Ratio, worth


def weighted(
    before: Calibrated,
    familiar: FamiliarLevel,
    judged: Sequence[Case],
    own: Float32[np.ndarray, "scan feature"],
    spacing_mm: Sequence[float],
) -> Calibrated:
    """Return a calibration whose scores are weighted for scans that look like ``own``.

    ``judged`` are the cases that ``before`` was fitted on, and ``spacing_mm`` the coarsest voxels
    of the scans. An asymmetry gets no interval, since its cases are pairs of pictures. Raises
    ScanError where the weighted cases are worth too few.
    """
    level = before.level(spacing_mm)
    assert level is not None
    ratio = fit_ratio(familiar.features, own)
    weights = weights_of(level, before, familiar, judged, ratio)
    n = int(min(map(worth, weights.values())))
    if n < LEAST:
        msg = f"expected scans that leave the calibration worth {LEAST} cases, found them so unlike"
        msg += f" it that {n} are left; label some and calibrate on these, with --labels"
        raise ScanError(Refusal.BAD_OPTION, msg)
    nothing: dict[str, tuple[float, ...]] = dict.fromkeys(level.asymmetry, ())
    one = Level(level.spacing_mm, level.volume, nothing, level.size_ml, weights)
    is_coarse_twice = sorted(spacing_mm)[1] > ISOTROPIC_MM
    return replace(
        before,
        id=f"{before.id}-weighted-for-{len(own)}-pictures",
        source=f"{before.source}; weighted for {len(own)} pictures of a user's scans",
        levels=(one, one) if is_coarse_twice else (one,),
        intervals=WEIGHTED,
        ratio=ratio,
    )


def weights_of(
    level: Level,
    calibrated: Calibrated,
    familiar: FamiliarLevel,
    judged: Sequence[Case],
    ratio: Ratio,
) -> dict[str, tuple[float, ...]]:
    """Return the weight of each score of a level, in the order of its scores."""
    of_case = dict(zip(familiar.cases.tolist(), ratio(familiar.features).tolist(), strict=True))
    found = {}
    for name, floor in calibrated.floor.items():
        mine = [
            case
            for case in judged
            if (case.structure, case.thickness_mm) == (name, round(level.spacing_mm))
        ]
        mine.sort(key=lambda case: (score(case, floor), case.value_ml))
        found[name] = tuple(of_case[case.case] for case in mine)
        if len(found[name]) != len(level.volume[name]):
            msg = f"{name}: expected the cases of {len(level.volume[name])} scores, found"
            raise ValueError(f"{msg} {len(found[name])}; give the weights' own cases.csv")
    return found
