"""Where torch computes on this machine, and a network that computes there.

Knows nothing of what a network is for.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from segment.runtime import Runtime


def device_here() -> torch.device:
    """Return the GPU that torch sees, or the processor where it sees none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """Name what ``device_here`` returns, as a table does."""
    return torch.cuda.get_device_name() if device_here().type == "cuda" else "processor"


def runtime_here() -> Runtime:
    """Return the runtime by which torch runs networks on ``device_here``."""
    return "cuda" if device_here().type == "cuda" else "torch"


@dataclass(frozen=True, eq=False)
class Placed:
    """A network on a device, to which windows are sent and from which logits come back.

    Its convolutions are in whole single precision, and not in TF32, torch's choice for a GPU,
    whose products keep 10 bits: so labels are the processor's but where two are as likely.
    """

    network: nn.Module
    device: torch.device

    def __call__(self, windows: Float32[Tensor, "b 1 i j k"]) -> Float32[Tensor, "b s i j k"]:
        """Return the logits of each voxel, in main memory."""
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            found: Tensor = self.network(windows.to(self.device)).cpu()
        return found


def placed(network: nn.Module, device: torch.device) -> Placed:
    """Move a network to a device, in the layout that its convolutions are quickest in."""
    network.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's stubs lack it
    return Placed(network, device)
