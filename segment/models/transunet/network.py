"""The network: a U-Net with a transformer at its bottom. Knows nothing of scans or training."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segment.models.trunk import Trunk, bottom_grid

SPREAD = 0.02  # of the positions before training


def build(
    window: Sequence[int],
    structures: int,
    *,
    filters: Sequence[int],
    blocks: int,
    heads: int,
    mlp: int,
) -> nn.Module:
    """Build a network for one size of window; without blocks it is the U-Net alone.

    Source: TransUNet (Chen et al. 2021), in three dimensions: every voxel of the coarsest level
    is a token.
    """
    grid = bottom_grid(window, len(filters))
    bottom = Transformer(grid, filters[-1], blocks, heads, mlp) if blocks else nn.Identity()
    return Trunk(structures, filters, bottom)


class Transformer(nn.Module):
    """Self-attention among all voxels of a coarse grid, which have learned positions."""

    def __init__(
        self, grid: tuple[int, int, int], width: int, blocks: int, heads: int, mlp: int
    ) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, math.prod(grid), width) * SPREAD)
        self.blocks = nn.ModuleList([Block(width, heads, mlp) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``batch channel i j k`` to the same shape."""
        tokens = features.flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed.transpose(1, 2).reshape(features.shape)


class Block(nn.Module):
    """Attention, then a perceptron a token, each added to what came in."""

    def __init__(self, width: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.asked = nn.Linear(width, 3 * width, bias=False)  # queries, keys and values
        self.answered = nn.Linear(width, width)
        self.before_perceptron = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(nn.Linear(width, mlp), nn.GELU(), nn.Linear(mlp, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ``batch token channel`` to the same shape."""
        tokens = tokens + self._attention(self.before_attention(tokens))
        found: Tensor = tokens + self.perceptron(self.before_perceptron(tokens))
        return found

    def _attention(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        asked = self.asked(tokens).reshape(batch, count, 3, self.heads, width // self.heads)
        queries, keys, values = asked.permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(queries, keys, values)
        found: Tensor = self.answered(seen.transpose(1, 2).reshape(batch, count, width))
        return found
