"""What every network's folder is asked for: a network by its name, and its state in a file.

Knows nothing of scans, of training or of what any one network looks like.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor, nn

from segment.models import describe
from segment.models.norms import mix

ALIASES = "skip_layers."  # DynUNet registers every module a second time under this prefix
COUNTER = "num_batches_tracked"  # of a batch norm: says nothing of the network
NOTHING: Mapping[str, Any] = {}
Norm = Literal["batch", "mixed"]


def build_network(
    name: str,
    window: Sequence[int],
    structures: int,
    changes: Mapping[str, Any] = NOTHING,
    norm: Norm = "mixed",
) -> nn.Module:
    """Build one member of an ensemble of the network that has the folder ``name``.

    A model on the user's shelves names that folder.

    Maps ``batch channel i j k`` normalised intensities of a window, one channel unless the folder
    names several roles, to ``batch structure i j k`` logits.
    ``changes`` stand in the place of sizes in the folder's ``model.toml``. In training features
    are normalised over the batch, which learns faster; a trained network mixes those statistics
    with each window's own, since no scanner is the training's. Both have the same parameters and
    statistics. One of several sequences does not mix: these are scaled by the whole brain, and a
    window without a lesion must not look as if it had one.
    """
    facts = describe(name)
    sizes = facts["sizes"]
    module = import_module(f"segment.models.{facts.get('network', name)}.network")
    build: Callable[..., nn.Module] = module.build
    try:
        network = build(tuple(window), structures, **{**sizes, **changes})
    except TypeError as error:
        msg = f"sizes: expected those of {name}, such as {dict(sizes)}, found {dict(changes)}"
        raise ValueError(f"{msg}; change them") from error
    if norm == "mixed" and not sizes.get("roles"):
        mix(network)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]  # torch's stubs lack it


def parameters_of(network: nn.Module) -> int:
    """Count a network's parameters, each once."""
    return sum(parameter.numel() for parameter in network.parameters())


def layers_of(network: nn.Module) -> tuple[nn.Module, ...]:
    """List the layers of a network, those in lists one by one, each once."""
    opened = [
        layer
        for name, child in network.named_children()
        if f"{name}." != ALIASES
        for layer in (child if isinstance(child, nn.ModuleList) else (child,))
    ]
    return tuple(dict.fromkeys(opened))


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
