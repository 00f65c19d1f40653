"""The network: a residual 3-D U-Net, MONAI's. Knows nothing of scans, files or training."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from segment.models.unet.hiding import hidden

ALIASES = "skip_layers."  # DynUNet registers every module a second time under this prefix
COUNTER = "num_batches_tracked"  # of a batch norm: says nothing of the network
# With the training's statistics alone (0) heads of other scanners came out at a third of their
# volume; with the window's alone (1) they are right, and the surfaces a little less exact.
WINDOW_SHARE = 0.8
Norm = Literal["batch", "mixed"]


class MixedNorm(nn.Module):
    """A trained batch norm that meets other scanners: most of its statistics are the window's own.

    Maps ``batch channel i j k`` to the same shape. Source: prediction-time normalisation mixed
    with the training's statistics (Schneider et al. 2020, "Improving robustness against common
    corruptions by covariate shift adaptation").
    """

    weight: nn.Parameter
    bias: nn.Parameter
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, trained: nn.BatchNorm3d) -> None:
        super().__init__()
        assert trained.running_mean is not None
        assert trained.running_var is not None
        self.eps = trained.eps
        self.weight, self.bias = trained.weight, trained.bias
        self.register_buffer("running_mean", trained.running_mean)
        self.register_buffer("running_var", trained.running_var)

    def forward(self, features: Float32[Tensor, "b c i j k"]) -> Float32[Tensor, "b c i j k"]:
        """Normalise each window of a batch by itself."""
        var, mean = torch.var_mean(features, dim=(2, 3, 4), correction=0)
        mean = torch.lerp(self.running_mean, mean, WINDOW_SHARE)
        var = torch.lerp(self.running_var, var, WINDOW_SHARE)
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        return torch.addcmul(shift[..., None, None, None], features, scale[..., None, None, None])


def build_network(filters: Sequence[int], structures: int, norm: Norm = "mixed") -> nn.Module:
    """Build one member of the ensemble.

    Maps ``batch 1 i j k`` normalised intensities to ``batch structure i j k`` logits; every edge
    of the grid must be a multiple of ``2 ** (len(filters) - 1)`` voxels; there are at least three
    levels. In training features are normalised over the batch, which learns faster; a trained
    network mixes those statistics with each window's own, since no scanner is the training's.
    Both have the same parameters and statistics.

    Source: the residual encoder of nnU-Net (Isensee et al. 2024) as built by MONAI's DynUNet.
    """
    with hidden("transformers"):
        from monai.networks.nets.dynunet import DynUNet

    levels = len(filters)
    network: nn.Module = DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=structures,
        kernel_size=[3] * levels,
        strides=[1] + [2] * (levels - 1),
        upsample_kernel_size=[2] * (levels - 1),
        filters=list(filters),
        norm_name="batch",
        res_block=True,
    )
    if norm == "mixed":
        _mix(network)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]  # torch's stubs lack it


def _mix(network: nn.Module) -> None:
    """Put a mixed norm in the place of every batch norm."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm3d):
                setattr(module, name, MixedNorm(child))


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's parameters and the statistics of its training, each once."""
    state = network.state_dict()
    return {
        name: tensor.contiguous()
        for name, tensor in state.items()
        if not name.startswith(ALIASES) and not name.endswith(COUNTER)
    }


def load_state(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what ``state_of`` returned; raises ValueError when it is another architecture's."""
    wanted = state_of(network)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in wanted.items()}:
        msg = "the weights are of another architecture: their names or shapes differ"
        raise ValueError(msg)
    network.load_state_dict(dict(state), strict=False)
