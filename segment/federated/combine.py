"""Ways to make one set of weights of several. Knows nothing of networks, files or Flower."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from segment.federated.updates import Numbers, Update, Weights

Stack = Float32[np.ndarray, "site ..."]


def combine(name: str, updates: Sequence[Update], trimmed_share: float) -> Weights:
    """Combine updates in one of the ``WAYS``; all must hold the same tensors in the same shapes.

    Raises ValueError for an unknown name and for no update at all.
    """
    if name not in WAYS:
        msg = f"combine: expected one of {', '.join(WAYS)}, found {name!r}; change it"
        raise ValueError(msg)
    if not updates:
        msg = "expected updates to combine, found none; start more sites"
        raise ValueError(msg)
    cases = [update.cases for update in updates]
    return {
        tensor: WAYS[name](np.stack([u.weights[tensor] for u in updates]), cases, trimmed_share)
        for tensor in updates[0].weights
    }


def _mean(stack: Stack, cases: Sequence[int], _: float) -> Numbers:
    """Weigh each site by its cases (federated averaging, McMahan et al. 2017)."""
    weights = np.asarray(cases, np.float64) / np.sum(cases)
    mean: Numbers = np.tensordot(weights, stack, axes=1).astype(np.float32)
    return mean


def _median(stack: Stack, _: Sequence[int], __: float) -> Numbers:
    """Take the median of each number, every site alike (Yin et al. 2018)."""
    median: Numbers = np.median(stack, axis=0).astype(np.float32)
    return median


def _trimmed_mean(stack: Stack, _: Sequence[int], share: float) -> Numbers:
    """Leave the largest and the smallest share of each number out (Yin et al. 2018).

    Of one site in six, a share of 0.2 leaves one out at each end; the rest count alike.
    """
    cut = int(np.floor(share * len(stack)))
    kept = np.sort(stack, axis=0)[cut : len(stack) - cut]
    mean: Numbers = kept.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


Way = Callable[[Stack, Sequence[int], float], Numbers]
WAYS: Mapping[str, Way] = {"mean": _mean, "median": _median, "trimmed mean": _trimmed_mean}
