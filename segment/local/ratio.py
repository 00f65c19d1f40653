"""Tells a user's scans from the calibration cases by what a network sees. Knows no volume.

The ratio of both likelihoods, by a logistic regression on the principal components of the features
(Bickel et al. 2007).
"""

import numpy as np
from jaxtyping import Float32, Float64
from scipy.optimize import minimize
from scipy.special import expit

from segment.weighting import Ratio

COMPONENTS = 5  # with more, a few dozen scans are told apart by chance alone
RIDGE = 1.0  # on coefficients of components of unit variance


def fit_ratio(
    calibration: Float32[np.ndarray, "case feature"], own: Float32[np.ndarray, "scan feature"]
) -> Ratio:
    """Tell a user's scans from the calibration cases, whose odds are even however many each are."""
    both = np.concatenate([calibration, own]).astype(float)
    middle = both.mean(axis=0)
    _, spreads, axes = np.linalg.svd(both - middle, full_matrices=False)
    kept = min(COMPONENTS, len(spreads))
    unit = axes[:kept] / (spreads[:kept, None] / np.sqrt(len(both)) + 1e-12)
    seen = (both - middle) @ unit.T
    is_own = np.repeat([0.0, 1.0], [len(calibration), len(own)])
    share = np.where(is_own == 1, 0.5 / len(own), 0.5 / len(calibration))

    def loss(parameters: Float64[np.ndarray, " parameter"]) -> float:
        logit = seen @ parameters[:-1] + parameters[-1]
        surprise = np.logaddexp(0, logit) - is_own * logit
        ridge = RIDGE * float((parameters[:-1] ** 2).sum()) / (2 * len(own))
        return float((share * surprise).sum()) + ridge

    def slope(parameters: Float64[np.ndarray, " parameter"]) -> Float64[np.ndarray, " parameter"]:
        apart = share * (expit(seen @ parameters[:-1] + parameters[-1]) - is_own)
        ridge = RIDGE * parameters[:-1] / len(own)
        return np.append(seen.T @ apart + ridge, apart.sum())

    found = minimize(loss, np.zeros(kept + 1), jac=slope, method="L-BFGS-B").x
    slopes = found[:-1] @ unit
    return Ratio(tuple(slopes.tolist()), float(found[-1] - middle @ slopes))
