"""What a network's coarsest layer sees of a window, as a few numbers. Knows no scan and no case."""

from collections.abc import Callable
from typing import cast

from jaxtyping import Float32
from torch import Tensor, nn

Layer = Callable[[Tensor], Tensor]


class Bottleneck(nn.Module):
    """The encoder of a U-Net of MONAI's; a feature is a channel's mean over the coarsest layer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.begins = cast(Layer, network.input_block)
        self.coarsens = cast(nn.ModuleList, network.downsamples)
        self.ends = cast(Layer, network.bottleneck)

    def forward(self, windows: Float32[Tensor, "b 1 i j k"]) -> Float32[Tensor, "b f"]:
        """Return the features of each window."""
        found = self.begins(windows)
        for layer in self.coarsens:
            found = layer(found)
        return self.ends(found).mean(dim=(2, 3, 4))
