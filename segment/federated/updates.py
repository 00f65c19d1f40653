"""What sites send back, and which of it may be used. Knows nothing of networks, files or Flower."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Float64

Numbers: TypeAlias = Float32[np.ndarray, "..."]
Changes: TypeAlias = Float64[np.ndarray, "..."]
Weights: TypeAlias = Mapping[str, Numbers]


@dataclass(frozen=True, eq=False)
class Update:
    """The weights that a site learnt, and from how many cases, as it said when it joined."""

    site: str
    cases: int
    weights: Weights


@dataclass(frozen=True)
class LeftOut:
    """A site whose update is not used, and why."""

    site: str
    reason: str


def sift(
    updates: Sequence[Update], before: Weights
) -> tuple[tuple[Update, ...], tuple[LeftOut, ...]]:
    """Part the updates that can be used from those that cannot."""
    reasons = [why_unusable(update, before) for update in updates]
    judged = list(zip(updates, reasons, strict=True))
    kept = tuple(update for update, reason in judged if reason is None)
    return kept, tuple(LeftOut(update.site, reason) for update, reason in judged if reason)


def why_unusable(update: Update, before: Weights) -> str | None:
    """Say what is wrong with an update beside the weights that the site was given, if anything."""
    if wrong := sorted(update.weights.keys() ^ before.keys()):
        return f"expected the tensors that were sent, found others ({wrong[0][:40]!r}); update it"
    for name, tensor in update.weights.items():
        if tensor.shape != before[name].shape:
            wanted, found = before[name].shape, tensor.shape
            return f"{name}: expected the shape {wanted}, found {found}; update the project"
        if not np.isfinite(tensor).all():
            return f"{name}: expected finite numbers, found others; lower learning_rate"
    return None


def norm_of_change(weights: Weights, before: Weights) -> float:
    """Return the Euclidean norm of what was learnt, over all tensors."""
    squares = [np.sum(np.square(_change(weights[name], before[name]))) for name in before]
    return float(np.sqrt(np.sum(squares)))


def clip(
    updates: Sequence[Update], before: Weights, most: float
) -> tuple[tuple[Update, ...], tuple[float, ...]]:
    """Draw changes back that are larger than ``most`` times the median norm of all.

    Returns the updates and what was left of each change, 1 for those that were not touched. The
    median of fewer than three norms says nothing of who is the odd one: they are left alone.
    Source: norm bounding (Sun et al. 2019, "Can you really backdoor federated learning?").
    """
    if len(updates) < 3:
        return tuple(updates), (1.0,) * len(updates)
    norms = [norm_of_change(update.weights, before) for update in updates]
    limit = most * float(np.median(norms))
    shares = tuple(limit / norm if norm > limit else 1.0 for norm in norms)
    pairs = zip(updates, shares, strict=True)
    return tuple(_drawn_back(update, before, share) for update, share in pairs), shares


def _drawn_back(update: Update, before: Weights, share: float) -> Update:
    """Keep a share of a change."""
    if share == 1.0:
        return update
    kept = {
        name: (before[name] + share * _change(tensor, before[name])).astype(np.float32)
        for name, tensor in update.weights.items()
    }
    return replace(update, weights=kept)


def _change(tensor: Numbers, before: Numbers) -> Changes:
    """Return what was learnt, in a type that the largest numbers of a hostile site fit into."""
    change: Changes = np.subtract(tensor, before, dtype=np.float64)
    return change


def rounded(weights: Weights, sent: str) -> Weights:
    """Round numbers to those that can be sent as ``sent``; the largest become infinite."""
    with np.errstate(over="ignore"):
        return {name: w.astype(sent).astype(np.float32) for name, w in weights.items()}
