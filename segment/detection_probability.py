"""How probable it is that a predicted object is a lesion, given its score. Knows nothing of images.

No network is trained here: the probability is the isotonic regression of "is true" on the score
(Zadrozny and Elkan 2002), fitted to objects of scans for which an expert's lesions are known. It
holds for objects of that segmenter, found at that threshold and smallest size, in such scans.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from sklearn.isotonic import IsotonicRegression

LEAST_PAIRS = 30
FOLDS = 5
BINS = 10


@dataclass(frozen=True)
class DetectionProbability:
    """A rising curve of straight pieces from scores to probabilities, level beyond its ends.

    ``expected_calibration_error`` is that of objects whose scans had no part in the fit (see
    ``expected_calibration_error``); in its own objects an isotonic fit has almost none.
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    n: int
    scans: int
    expected_calibration_error: float

    def of(self, score: float) -> float:
        """Return the probability that an object of this score is true."""
        return float(np.interp(score, self.scores, self.probabilities))


def fit_probability(
    scores: Sequence[float], is_true: Sequence[bool], scans: Sequence[Hashable]
) -> DetectionProbability:
    """Fit to all objects; judge it on up to five folds of whole scans, each left out once.

    Scans go to the folds in turn, in the order in which they first come. Raises ValueError for
    unequal numbers, fewer than 30 objects or two scans, a score that is not finite, and objects
    that are all true or all false.
    """
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(is_true, dtype=bool)
    _check(x, y, scans)
    codes = {scan: code for code, scan in enumerate(dict.fromkeys(scans))}
    folds = np.array([codes[scan] % FOLDS for scan in scans])
    out_of_fold = np.zeros(len(x))
    for fold in range(min(FOLDS, len(codes))):
        left_out = folds == fold
        curve = _isotonic(x[~left_out], y[~left_out])
        out_of_fold[left_out] = np.interp(x[left_out], *curve)
    ends, levels = _isotonic(x, y)
    return DetectionProbability(
        scores=tuple(ends.tolist()),
        probabilities=tuple(levels.tolist()),
        n=len(x),
        scans=len(codes),
        expected_calibration_error=expected_calibration_error(out_of_fold, y),
    )


def expected_calibration_error(
    probabilities: Float64[np.ndarray, " n"], is_true: Bool[np.ndarray, " n"]
) -> float:
    """Average, over ten equal bins of probability, how far it is from the share that is true.

    Bins are weighted by their objects (Naeini et al. 2015); a probability on an edge is in the
    upper bin, and 1 in the last.
    """
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=probabilities - is_true, minlength=BINS)
    return float(np.abs(gaps).sum() / len(probabilities))


def _isotonic(
    x: Float64[np.ndarray, " n"], y: Bool[np.ndarray, " n"]
) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
    """Return the points between which the fitted curve is straight."""
    fitted = IsotonicRegression(y_min=0, y_max=1).fit(x, y.astype(np.float64))
    return np.asarray(fitted.X_thresholds_), np.asarray(fitted.y_thresholds_)


def _check(
    x: Float64[np.ndarray, " n"], y: Bool[np.ndarray, " m"], scans: Sequence[Hashable]
) -> None:
    """Refuse what no calibration can rest on."""
    if not len(x) == len(y) == len(scans):
        msg = (
            f"each score needs a truth and a scan, not {len(x)}, {len(y)} and {len(scans)} of them"
        )
        raise ValueError(msg)
    if len(x) < LEAST_PAIRS:
        msg = f"a detection probability needs {LEAST_PAIRS} objects, not {len(x)}; add scans"
        raise ValueError(msg)
    if len(set(scans)) < 2:
        msg = "a detection probability needs two scans, to be judged on one it was not fitted to"
        raise ValueError(msg)
    if not np.isfinite(x).all():
        msg = "some scores are not finite numbers; give each object the score of its segmentation"
        raise ValueError(msg)
    if y.all() or not y.any():
        msg = (
            f"all {len(y)} objects are {'true' if y.all() else 'false'}; add scans with both kinds"
        )
        raise ValueError(msg)
