"""Where a vision tower begins, so that few pictures teach it. Knows nothing of what it will learn.

A fresh vision transformer spends its first thousand steps on finding out that neighbours belong
together. Three starts give that away: patches are read as their cosine transform, places are told
apart by sines, and each block mixes patches as trained ones do (Trockman and Kolter 2023, "Mimetic
initialization of self-attention layers").
"""

import math

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from assistant.readers.siglip.tower import CHANNELS, Shape

PLACE_GAIN = 0.3
LONGEST_WAVE = 100.0  # patches
ATTENTION_GAIN, VALUE_GAIN = 0.7, 0.4  # Trockman and Kolter 2023, section 4


@torch.no_grad()
def begin(tower: nn.Module, shape: Shape, generator: torch.Generator) -> None:
    """Set the first weights of a vision tower of ``shape``, in place."""
    patches = tower.get_parameter("trunk.patch_embed.proj.weight")
    waves = cosines(shape.width, shape.patch)
    patches.zero_()
    patches[: len(waves)] = waves[:, None] / CHANNELS
    places = sines(shape.image // shape.patch, shape.width)
    tower.get_parameter("trunk.pos_embed").copy_(PLACE_GAIN * places[None])
    for n in range(shape.layers):
        attention = tower.get_submodule(f"trunk.blocks.{n}.attn")
        _mimic(attention, shape, generator)


def cosines(count: int, patch: int) -> Float32[Tensor, "wave patch patch"]:
    """Return the slowest waves of a patch's cosine transform, at most ``count``; orthonormal."""
    place = np.arange(patch)
    basis = np.cos(np.pi * (place[None] + 0.5) * place[:, None] / patch) * math.sqrt(2 / patch)
    basis[0] /= math.sqrt(2)
    slowest = sorted(
        ((i, j) for i in range(patch) for j in range(patch)),
        key=lambda wave: (wave[0] ** 2 + wave[1] ** 2, wave),
    )
    waves = [np.outer(basis[i], basis[j]) for i, j in slowest[:count]]
    return torch.tensor(np.stack(waves), dtype=torch.float32)


def sines(side: int, width: int) -> Float32[Tensor, "place width"]:
    """Return the sines and cosines of a square of patches' rows and columns; width by four."""
    waves = LONGEST_WAVE ** (-np.arange(width // 4) / (width // 4))
    rows, columns = np.divmod(np.arange(side**2), side)
    angles = [axis[:, None] * waves for axis in (rows, columns)]
    parts = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    return torch.tensor(np.concatenate(parts, axis=1), dtype=torch.float32)


def _mimic(attention: nn.Module, shape: Shape, generator: torch.Generator) -> None:
    """Let queries meet like keys, and values be what is taken away from a patch."""
    width, head = shape.width, shape.width // shape.heads
    query, key, value = attention.get_parameter("qkv.weight").chunk(3)
    wanted = VALUE_GAIN * (_noise(width, generator) - torch.eye(width))
    left, gains, right = torch.linalg.svd(wanted)
    attention.get_parameter("proj.weight").copy_(left * gains.sqrt())
    value.copy_(gains.sqrt()[:, None] * right)
    for first in range(0, width, head):
        wanted = ATTENTION_GAIN * (_noise(width, generator) + torch.eye(width))
        left, gains, right = torch.linalg.svd(wanted)
        root = gains[:head].sqrt()
        query[first : first + head] = (left[:, :head] * root).T
        key[first : first + head] = root[:, None] * right[:head]


def _noise(width: int, generator: torch.Generator) -> Float32[Tensor, "width width"]:
    return torch.randn(width, width, generator=generator) / math.sqrt(width)
