"""A residual U-Net with room for a block at its bottom. Knows nothing of what that block is."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float32
from torch import Tensor, nn

SLOPE = 0.01  # of the leaky rectifiers


class Trunk(nn.Module):
    """Encoder, a block at the coarsest level, and a decoder that concatenates what it skipped.

    Maps ``batch channel i j k`` to ``batch structure i j k``; every edge is a multiple of
    ``2 ** (levels - 1)`` voxels. ``filters`` are given from the finest level on; ``bottom`` maps
    ``batch filters[-1] i j k`` to the same shape.
    """

    def __init__(
        self, structures: int, filters: Sequence[int], bottom: nn.Module, channels: int = 1
    ) -> None:
        super().__init__()
        coarser = list(pairwise(filters))
        self.first = Residual(channels, filters[0])
        self.down = nn.ModuleList([Residual(fine, coarse, 2) for fine, coarse in coarser])
        self.bottom = bottom
        self.up = nn.ModuleList([Up(coarse, fine) for fine, coarse in reversed(coarser)])
        self.logits = nn.Conv3d(filters[0], structures, kernel_size=1)

    def forward(self, window: Float32[Tensor, "b c i j k"]) -> Tensor:
        """Return the logits of each voxel of a window."""
        levels = [self.first(window)]
        for down in self.down:
            levels.append(down(levels[-1]))
        features = self.bottom(levels.pop())
        for up in self.up:
            features = up(features, levels.pop())
        logits: Tensor = self.logits(features)
        return logits


class Residual(nn.Module):
    """Two convolutions and a way around them; the first may halve the grid."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv3d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm3d(after),
            nn.LeakyReLU(SLOPE),
            nn.Conv3d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm3d(after),
        )
        self.around = nn.Sequential(
            nn.Conv3d(before, after, 1, stride, bias=False), nn.BatchNorm3d(after)
        )
        self.rectified = nn.LeakyReLU(SLOPE)

    def forward(self, features: Tensor) -> Tensor:
        """Add both ways and rectify."""
        found: Tensor = self.rectified(self.convolutions(features) + self.around(features))
        return found


class Up(nn.Module):
    """One level of the decoder: twice the grid, beside what the encoder saw there."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose3d(coarse, fine, kernel_size=2, stride=2, bias=False)
        self.join = Residual(2 * fine, fine)

    def forward(self, features: Tensor, skipped: Tensor) -> Tensor:
        """Enlarge the coarser features and join them with the skipped ones."""
        found: Tensor = self.join(torch.cat([self.enlarge(features), skipped], dim=1))
        return found


def bottom_grid(window: Sequence[int], levels: int) -> tuple[int, int, int]:
    """Return the grid of a window at the coarsest level; raises ValueError where it has none."""
    step = 2 ** (levels - 1)
    if any(edge % step for edge in window):
        msg = f"a network of {levels} levels takes windows of multiples of {step} voxels, not "
        raise ValueError(msg + " x ".join(map(str, window)))
    i, j, k = (edge // step for edge in window)
    return i, j, k
