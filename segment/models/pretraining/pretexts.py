"""What there is to learn without labels: to fill in what is hidden, or to know a place again.

Windows and what is hidden of them are drawn on the processor, and are the same wherever the network
computes. Knows nothing of scans or of how often it is asked.
"""

from typing import Protocol

import torch
from jaxtyping import Bool, Float32
from monai.losses.contrastive import ContrastiveLoss
from torch import Tensor, nn

from segment.models.network import build_network
from segment.models.pretraining.pictures import Windows
from segment.models.pretraining.plan import PretrainingPlan


class Pretext(Protocol):
    """A task; ``network`` is what is kept of it."""

    network: nn.Module

    def loss(self, windows: Windows, step: int) -> Tensor:
        """Return the loss of one step."""

    def learning(self) -> nn.ModuleList:
        """Return everything that learns."""


class Masked:
    """Cubes of a window are hidden, and the network says what was in them (Xie et al. 2022).

    The loss is the mean absolute difference over the hidden voxels alone.
    """

    def __init__(self, plan: PretrainingPlan) -> None:
        self.plan = plan
        self.network = build_network(plan.network, plan.patch, 1, plan.sizes, "batch")

    def learning(self) -> nn.ModuleList:
        """Return the network."""
        return nn.ModuleList([self.network])

    def loss(self, windows: Windows, step: int) -> Tensor:
        """Return the loss of one step; what is hidden depends on seed and step alone."""
        plan = self.plan
        device = device_of(self.network)
        (drawn,) = windows.views(step, plan.batch, 1)
        generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
        mask = hidden_cubes(drawn.shape, plan.hidden_voxels, plan.hidden_share, generator)
        shown, mask = drawn.to(device), mask.to(device)
        with torch.autocast(device.type, torch.bfloat16):
            filled = self.network(shown.masked_fill(mask, 0.0))
        return masked_loss(filled.float(), shown, mask)


class Contrastive:
    """Two views of one place are to be alike, and unlike those of others (Chen et al. 2020)."""

    def __init__(self, plan: PretrainingPlan) -> None:
        self.plan = plan
        self.network = build_network(plan.network, plan.patch, plan.features, plan.sizes, "batch")
        self.projection = nn.Sequential(
            nn.Linear(plan.features, plan.features),
            nn.ReLU(),
            nn.Linear(plan.features, plan.projected),
        )
        self.contrast = ContrastiveLoss(plan.temperature)

    def learning(self) -> nn.ModuleList:
        """Return the network and what it is compared through."""
        return nn.ModuleList([self.network, self.projection])

    def loss(self, windows: Windows, step: int) -> Tensor:
        """Return the loss of one step."""
        device = device_of(self.network)
        views = torch.cat(windows.views(step, self.plan.batch, 2)).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            features = self.network(views)
        one, other = self.projection(features.float().mean(dim=(2, 3, 4))).chunk(2)
        loss: Tensor = self.contrast(one, other)
        return loss


PRETEXTS: dict[str, type[Masked] | type[Contrastive]] = {
    "masked": Masked,
    "contrastive": Contrastive,
}


def device_of(network: nn.Module) -> torch.device:
    """Return where a network computes."""
    return next(network.parameters()).device


def hidden_cubes(
    shape: torch.Size, edge: int, share: float, generator: torch.Generator
) -> Bool[Tensor, "batch 1 i j k"]:
    """Mark the voxels of so many whole cubes, drawn for each window by itself."""
    batch, _, *window = shape
    grid = [n // edge for n in window]
    cubes = grid[0] * grid[1] * grid[2]
    order = torch.rand(batch, cubes, generator=generator).argsort(dim=1)
    mask = (order < round(share * cubes)).reshape(batch, 1, *grid)
    for axis in (2, 3, 4):
        mask = mask.repeat_interleave(edge, dim=axis)
    return mask


def masked_loss(
    filled: Float32[Tensor, "batch 1 i j k"],
    shown: Float32[Tensor, "batch 1 i j k"],
    mask: Bool[Tensor, "batch 1 i j k"],
) -> Tensor:
    """Return the mean absolute difference over the hidden voxels alone."""
    return (filled - shown).abs()[mask].mean()
