"""The network: a U-Net with a state-space model at its bottom. Knows nothing of training."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu, softplus

from segment.models.mamba.scan import selective_scan
from segment.models.trunk import Trunk, bottom_grid

FASTEST_DECAY = 16.0
SHORTEST_STEP, LONGEST_STEP = 1e-3, 1e-1  # before training, on average
NEARBY = 4  # tokens that are mixed before the scan, the last of which is a token itself


def build(
    window: Sequence[int],
    structures: int,
    *,
    filters: Sequence[int],
    blocks: int,
    heads: int,
    states: int,
) -> nn.Module:
    """Build a network for windows of any size; without blocks it is the U-Net alone.

    Source: Mamba-2 (Dao and Gu 2024) at the bottom of a U-Net, as in U-Mamba (Ma et al. 2024);
    a picture has no beginning, so each block reads it forwards and backwards.
    """
    bottom_grid(window, len(filters))
    width = filters[-1]
    bottom = nn.Sequential(*[Block(width, heads, states) for _ in range(blocks)])
    return Trunk(structures, filters, bottom)


class Block(nn.Module):
    """A gated state-space model over all voxels of a grid, added to what came in."""

    def __init__(self, width: int, heads: int, states: int) -> None:
        super().__init__()
        inner = 2 * width
        self.before = nn.LayerNorm(width)
        self.spread = nn.Linear(width, 2 * inner, bias=False)
        self.forwards = Direction(inner, heads, states)
        self.backwards = Direction(inner, heads, states)
        self.after = nn.LayerNorm(inner)
        self.gather = nn.Linear(inner, width, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``batch channel i j k`` to the same shape."""
        tokens = self.before(features.flatten(2).transpose(1, 2))
        values, gate = self.spread(tokens).chunk(2, dim=-1)
        read = self.forwards(values) + self.backwards(values.flip(1)).flip(1)
        found: Tensor = self.gather(self.after(read) * silu(gate))
        return features + found.transpose(1, 2).reshape(features.shape)


class Direction(nn.Module):
    """A selective state-space model that reads a sequence once, from its beginning."""

    def __init__(self, width: int, heads: int, states: int) -> None:
        super().__init__()
        self.heads, self.states = heads, states
        self.nearby = nn.Parameter(torch.rand(NEARBY, width) / NEARBY**0.5)
        self.choose = nn.Linear(width, 2 * states + heads, bias=False)
        self.log_decay = nn.Parameter(torch.linspace(1.0, FASTEST_DECAY, heads).log())
        steps = torch.linspace(SHORTEST_STEP, LONGEST_STEP, heads)
        self.usual_step = nn.Parameter(steps.expm1().log())  # softplus gives the step back
        self.around = nn.Parameter(torch.ones(heads))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ``batch token channel`` to the same shape, in single precision."""
        tokens = silu(self._mixed(tokens.float()))
        sizes = [self.states, self.states, self.heads]
        taken, read, steps = self.choose(tokens).float().split(sizes, dim=-1)
        values = tokens.unflatten(-1, (self.heads, -1))
        steps = softplus(steps + self.usual_step)
        found = selective_scan(values, steps, -self.log_decay.exp(), taken, read)
        passed: Tensor = self.around[:, None] * values
        return (found + passed).flatten(2)

    def _mixed(self, tokens: Tensor) -> Tensor:
        """Mix each channel of a token with that of the tokens just before it.

        Written out: in bfloat16 the gradient of torch 2.13's depthwise convolution on a CPU holds
        memory that nobody wrote.
        """
        length = tokens.shape[1]
        before = pad(tokens, (0, 0, NEARBY - 1, 0))
        parts = [before[:, n : n + length] * weight for n, weight in enumerate(self.nearby)]
        return torch.stack(parts).sum(dim=0)
