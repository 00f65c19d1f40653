"""The network: an encoder a sequence, and one decoder. Knows nothing of scans or training."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from segment.models.presence import shares
from segment.models.trunk import Residual, Up, bottom_grid


def build(
    window: Sequence[int], structures: int, *, roles: Sequence[str], filters: Sequence[int]
) -> nn.Module:
    """Build a network whose encoders' features are joined by attention at every scale.

    Source: layer-level fusion (Zhou, Ruan and Canu 2019); that a missing sequence takes no part is
    after HeMIS (Havaei et al. 2016), that a voxel weighs the others by attention after Chen et al.
    2019, "Robust multimodal brain tumor segmentation via feature disentanglement and gated fusion".
    """
    bottom_grid(window, len(filters))
    return Intermediate(structures, len(roles), filters)


class Encoder(nn.Module):
    """One sequence's features at every scale, the finest first."""

    def __init__(self, filters: Sequence[int]) -> None:
        super().__init__()
        self.first = Residual(1, filters[0])
        self.down = nn.ModuleList([Residual(fine, coarse, 2) for fine, coarse in pairwise(filters)])

    def forward(self, window: Float32[Tensor, "b 1 i j k"]) -> list[Tensor]:
        """Return features of one level after the other."""
        levels = [self.first(window)]
        for down in self.down:
            levels.append(down(levels[-1]))
        return levels


class Joined(nn.Module):
    """Features of all sequences at one scale, averaged by what each voxel gives each of them."""

    def __init__(self, roles: int, width: int) -> None:
        super().__init__()
        self.scores = nn.ModuleList([nn.Conv3d(width, 1, kernel_size=1) for _ in range(roles)])

    def forward(
        self, features: Sequence[Tensor], window: Float32[Tensor, "b role i j k"]
    ) -> Tensor:
        """Average ``batch width i j k`` features, those of missing sequences not among them."""
        scores = [score(one) for score, one in zip(self.scores, features, strict=True)]
        given = shares(torch.cat(scores, dim=1), window)
        joined: Tensor = (torch.stack(list(features), dim=1) * given[:, :, None]).sum(dim=1)
        return joined


class Intermediate(nn.Module):
    """Encoders side by side, and a decoder of what they found together."""

    def __init__(self, structures: int, roles: int, filters: Sequence[int]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList([Encoder(filters) for _ in range(roles)])
        self.joined = nn.ModuleList([Joined(roles, width) for width in filters])
        coarser = reversed(list(pairwise(filters)))
        self.up = nn.ModuleList([Up(coarse, fine) for fine, coarse in coarser])
        self.logits = nn.Conv3d(filters[0], structures, kernel_size=1)

    def forward(self, window: Float32[Tensor, "b role i j k"]) -> Tensor:
        """Return the logits of each voxel of a window."""
        found = [encoder(window[:, n : n + 1]) for n, encoder in enumerate(self.encoders)]
        levels = [
            joined(level, window)
            for joined, level in zip(self.joined, zip(*found, strict=True), strict=True)
        ]
        features = levels.pop()
        for up in self.up:
            features = up(features, levels.pop())
        logits: Tensor = self.logits(features)
        return logits
