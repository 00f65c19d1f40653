"""Which sequences of a window are there, and the share each has. Knows nothing of networks."""

from jaxtyping import Bool, Float, Float32
from torch import Tensor

ABSENT = -1e4  # a score that leaves no share; finite, for windows in which nothing is there


def present(window: Float32[Tensor, "b role i j k"]) -> Bool[Tensor, "b role"]:
    """Tell which sequences of each window are not 0 everywhere."""
    return window.abs().amax(dim=(2, 3, 4)) > 0


def shares(
    scores: Float[Tensor, "b role _ _ _"], window: Float32[Tensor, "b role _ _ _"]
) -> Float[Tensor, "b role _ _ _"]:
    """Share one among the sequences that are there, by the softmax of their scores.

    In a window in which nothing is there, all have as much.
    """
    is_there = present(window)[:, :, None, None, None].to(scores.dtype)
    return (scores * is_there + ABSENT * (1 - is_there)).softmax(dim=1)
