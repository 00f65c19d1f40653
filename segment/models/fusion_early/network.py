"""The network: a U-Net that is given all sequences at once. Knows nothing of scans or training."""

from collections.abc import Sequence

from torch import nn

from segment.models.trunk import Trunk, bottom_grid


def build(
    window: Sequence[int], structures: int, *, roles: Sequence[str], filters: Sequence[int]
) -> nn.Module:
    """Build a network of a channel a role; the channel of a sequence that is missing is 0.

    Source: input-level fusion (Zhou, Ruan and Canu 2019, "A review: deep learning for medical
    image segmentation using multi-modality fusion").
    """
    bottom_grid(window, len(filters))
    return Trunk(structures, filters, nn.Identity(), channels=len(roles))
