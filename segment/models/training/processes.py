"""One process or several: which part of a step is whose, and how weights are held together.

Several are started by torchrun. Each holds a whole copy (accelerate's DDP), or a piece of every
layer (torch's fully_shard). Knows nothing of what is trained.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from segment.models.devices import device_here


@dataclass(frozen=True, eq=False)
class Crew:
    """The processes of one training, seen from one of them."""

    accelerator: Accelerator
    is_sharded: bool

    @classmethod
    def gather(cls, *, is_sharded: bool) -> "Crew":
        """Find the others; raises ValueError where weights shall be shared with nobody."""
        same = DistributedDataParallelKwargs(broadcast_buffers=False)
        crew = cls(Accelerator(cpu=device_here().type == "cpu", kwargs_handlers=[same]), is_sharded)
        if is_sharded and crew.count == 1:
            msg = (
                "fully_sharded: expected several processes, found one; start them with"
                " `torchrun --nproc-per-node N`, or set it to false"
            )
            raise ValueError(msg)
        return crew

    @property
    def index(self) -> int:
        """Which of the processes this one is."""
        found: int = self.accelerator.process_index
        return found

    @property
    def count(self) -> int:
        """How many processes there are."""
        found: int = self.accelerator.num_processes
        return found

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and shows the steps."""
        found: bool = self.accelerator.is_main_process
        return found

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        found: torch.device = self.accelerator.device
        return found

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.accelerator.wait_for_everyone()

    def hold(self, module: nn.Module, layers: Iterable[nn.Module]) -> nn.Module:
        """Hold a module together: return what is to be called in its place."""
        module.to(self.device)
        if not self.is_sharded:
            held: nn.Module = self.accelerator.prepare_model(module)
            return held
        for layer in layers:
            fully_shard(layer)
        fully_shard(module)
        return module

    @contextmanager
    def accumulating(self, module: nn.Module, *, is_last: bool) -> Iterator[None]:
        """Exchange gradients only after the last batch of a step, where copies are whole."""
        if is_last or self.is_sharded:
            yield
            return
        with self.accelerator.no_sync(module):
            yield

    def sum(self, value: Float[Tensor, ""]) -> float:
        """Add a number up over all processes."""
        total = self.accelerator.reduce(value.clone(), reduction="sum")
        assert isinstance(total, Tensor)
        return float(total)


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor of which each process may hold a piece, in one piece, in main memory."""
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().cpu().clone()


def pieces(tensor: Tensor, like: Tensor) -> Tensor:
    """Cut a whole tensor as another one is cut, and put it where that one is."""
    moved = tensor.to(like.device)
    if isinstance(like, DTensor):
        return distribute_tensor(moved, like.device_mesh, like.placements)
    return moved


def state_of_optimiser(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Gather an optimiser's state with whole tensors; all processes take part."""
    found = optimiser.state_dict()
    moments = {
        number: {key: whole(value) for key, value in of_one.items()}
        for number, of_one in found["state"].items()
    }
    return {**found, "state": moments}


def put_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Give an optimiser a gathered state, whatever the number of processes that gathered it."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    moments = {
        number: {
            key: pieces(value, parameters[number]) if value.ndim else value
            for key, value in of_one.items()
        }
        for number, of_one in state["state"].items()
    }
    optimiser.load_state_dict({**state, "state": moments})
