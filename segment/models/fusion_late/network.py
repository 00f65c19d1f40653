"""The network: a U-Net a sequence, each of which decides. Knows nothing of scans or training."""

from collections.abc import Sequence

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from segment.models.presence import shares
from segment.models.trunk import Trunk, bottom_grid


def build(
    window: Sequence[int], structures: int, *, roles: Sequence[str], filters: Sequence[int]
) -> nn.Module:
    """Build a network whose sequences are judged apart and averaged.

    Source: decision-level fusion (Zhou, Ruan and Canu 2019); the average is a linear opinion pool
    of tempered probabilities (Ranjan and Gneiting 2010, "Combining probability forecasts").
    """
    bottom_grid(window, len(filters))
    return Late(structures, len(roles), filters)


class Late(nn.Module):
    """U-Nets side by side; ``weights`` and ``sharpness`` say how their decisions are averaged.

    A sequence's log-probabilities are multiplied by the exponential of its ``sharpness`` and made
    to sum to one again; its share is the softmax of ``weights`` over the sequences that are there.
    """

    def __init__(self, structures: int, roles: int, filters: Sequence[int]) -> None:
        super().__init__()
        self.judges = nn.ModuleList(
            [Trunk(structures, filters, nn.Identity()) for _ in range(roles)]
        )
        self.weights = nn.Parameter(torch.zeros(roles))
        self.sharpness = nn.Parameter(torch.zeros(roles))

    def forward(self, window: Float32[Tensor, "b role i j k"]) -> Tensor:
        """Return the logarithm of the averaged probabilities of each voxel."""
        return self.averaged(self.decisions(window), window)

    def decisions(
        self, window: Float32[Tensor, "b role i j k"]
    ) -> Float32[Tensor, "b role structure i j k"]:
        """Return each sequence's own logits."""
        apart = [judge(window[:, n : n + 1]) for n, judge in enumerate(self.judges)]
        return torch.stack(apart, dim=1).float()

    def averaged(
        self,
        decisions: Float32[Tensor, "b role structure i j k"],
        window: Float32[Tensor, "b role i j k"],
    ) -> Float32[Tensor, "b structure i j k"]:
        """Average decisions by their weights."""
        sharpness = self.sharpness.exp()[None, :, None, None, None, None]
        decided = torch.log_softmax(decisions * sharpness, dim=2)
        weights = self.weights[None, :, None, None, None]
        given = shares(weights.expand(len(window), -1, 1, 1, 1), window)
        return torch.logsumexp(decided + given.clamp_min(TINY).log()[:, :, None], dim=1)


TINY = 1e-12  # the share of a sequence that is missing, whose logarithm is taken
