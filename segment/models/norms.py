"""Norms that meet scanners other than the training's. Knows nothing of any one network."""

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

# With the training's statistics alone (0) heads of other scanners came out at a third of their
# volume; with the window's alone (1) they are right, and the surfaces a little less exact.
WINDOW_SHARE = 0.8


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

    def forward(self, features: Float[Tensor, "b c i j k"]) -> Float32[Tensor, "b c i j k"]:
        """Normalise each window of a batch by itself, in single precision."""
        features = features.float()  # under autocast they come in half of it
        # two means: on processors torch.var_mean takes four times as long
        own = features.mean(dim=(2, 3, 4), keepdim=True)
        own_var = (features - own).square().mean(dim=(2, 3, 4))
        mean = torch.lerp(self.running_mean, own[..., 0, 0, 0], WINDOW_SHARE)
        var = torch.lerp(self.running_var, own_var, WINDOW_SHARE)
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        return torch.addcmul(shift[..., None, None, None], features, scale[..., None, None, None])


def mix(network: nn.Module) -> None:
    """Put a mixed norm in the place of every batch norm."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm3d):
                setattr(module, name, MixedNorm(child))
