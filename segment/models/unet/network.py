"""The network: a residual 3-D U-Net, MONAI's. Knows nothing of scans, files or training."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

ALIASES = "skip_layers."  # DynUNet registers every module a second time under this prefix
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of the training's batches
Norm = Literal["batch", "window"]


def build_network(filters: Sequence[int], structures: int, norm: Norm = "window") -> nn.Module:
    """Build one member of the ensemble.

    Maps ``batch 1 i j k`` normalised intensities to ``batch structure i j k`` logits; every edge
    of the grid must be a multiple of ``2 ** (len(filters) - 1)`` voxels; there are at least three
    levels. In training features are normalised over the batch, which learns faster; a trained
    network normalises those of each window by themselves, since no scanner is the training's
    (prediction-time normalisation, Nado et al. 2020). Both have the same parameters.

    Source: the residual encoder of nnU-Net (Isensee et al. 2024) as built by MONAI's DynUNet.
    """
    with _hidden("transformers"):
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
        norm_name="batch" if norm == "batch" else ("instance", {"affine": True}),
        res_block=True,
    )
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]  # torch's stubs lack it


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Let a package that nobody imported yet look as if it were not installed.

    MONAI imports all of transformers, for seconds, where it can; this network needs none of it.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # the import system's sign for "absent"
    try:
        yield
    finally:
        del sys.modules[package]


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's parameters, each once; none of the statistics of its training."""
    state = network.state_dict()
    return {
        name: tensor.contiguous()
        for name, tensor in state.items()
        if not name.startswith(ALIASES) and not name.endswith(STATISTICS)
    }


def load_state(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what ``state_of`` returned; raises ValueError when it is another architecture's."""
    wanted = state_of(network)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in wanted.items()}:
        msg = "the weights are of another architecture: their names or shapes differ"
        raise ValueError(msg)
    network.load_state_dict(dict(state), strict=False)
