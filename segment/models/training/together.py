"""What makes the parts of a batch in several processes count as one batch.

Statistics of norms and the loss are those of the whole batch, so that a step is the same however
many processes share it. Gradients through both are sums over the processes, and the mean that
``Crew.hold`` takes of them is that of one process. Knows nothing of networks or of plans.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather, all_reduce

SPACE = (0, 2, 3, 4)  # all axes but the channels


class SharedNorm(nn.BatchNorm3d):
    """A batch norm over the parts of a batch in all processes, which have as many windows each.

    It is torch's own in all but where the statistics are taken from, with the same parameters and
    buffers under the same names; ``SyncBatchNorm`` does this on GPUs alone. In evaluation it is a
    batch norm, which needs no other process.
    """

    def __init__(self, alone: nn.BatchNorm3d, processes: int) -> None:
        super().__init__(alone.num_features, alone.eps, alone.momentum)
        self.load_state_dict(alone.state_dict())
        self.processes = processes

    def forward(self, input: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b c i j k"]:  # noqa: A002  torch's name
        """Normalise by mean and variance of the whole batch, in full precision, unless held."""
        if not self.training:
            held: Tensor = super().forward(input)
            return held
        features = input.float()
        count = features[:, 0].numel() * self.processes
        mean = all_reduce(features.sum(SPACE)) / count
        apart = features - mean[:, None, None, None]
        var = all_reduce(apart.square().sum(SPACE)) / count
        self._follow(mean.detach(), var.detach() * count / (count - 1))
        scale = self.weight * torch.rsqrt(var + self.eps)
        normed = apart * scale[:, None, None, None] + self.bias[:, None, None, None]
        found: Tensor = normed.to(input.dtype)
        return found

    @torch.no_grad()
    def _follow(self, mean: Tensor, var: Tensor) -> None:
        """Move the running statistics; without a momentum they are plain means over batches."""
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked += 1
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var, share)


def share_norms(network: nn.Module, processes: int) -> None:
    """Put a shared norm in the place of every batch norm."""
    shared: dict[nn.Module, SharedNorm] = {}
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm3d):
                found = shared.setdefault(child, SharedNorm(child, processes))
                setattr(module, name, found)


def whole_batch(
    part: Float[Tensor, "part channel i j k"], processes: int
) -> Float[Tensor, "batch channel i j k"]:
    """Gather the parts of all processes, of one size, into a batch; gradients find their way."""
    return torch.cat(all_gather(part.contiguous())) if processes > 1 else part
