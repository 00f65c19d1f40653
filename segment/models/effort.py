"""Other ways of saying how sure an ensemble's first network is. Knows nothing of scans.

Each makes members of one network, to be counted and compared as those of an ensemble are.
"""

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from segment.effort import Effort
from segment.models.ensemble import Ensemble
from segment.models.network import layers_of
from segment.models.running import Network

# Exponents of the intensities, 0 and 1 staying as they are; the training drew 0.6 to 1.7.
BENDS = (1.0, 0.8, 1.25, 0.9, 1.11)
THINNED = 5  # members of one network without some of its channels
DROPPED = 0.1  # of a layer's channels


@dataclass(frozen=True, eq=False)
class Bent:
    """A network that sees intensities raised to a power; members look from several places too.

    Source: test-time augmentation (Wang et al. 2019, "Aleatoric uncertainty estimation with
    test-time augmentation"). Turning left to right is left out: a mirrored hippocampus is one of
    the other side, which the networks have not seen.
    """

    network: Network
    exponent: float

    def __call__(self, windows: Float32[Tensor, "b 1 i j k"]) -> Float32[Tensor, "b s i j k"]:
        """Return the logits of each voxel."""
        return self.network(windows.sign() * windows.abs() ** self.exponent)


def spend(ensemble: Ensemble, effort: Effort) -> Ensemble:
    """Return what is asked instead of the ensemble; its own members for ``ensemble``.

    Raises ValueError where the networks' runtime cannot leave out channels.
    """
    if effort == "ensemble":
        return ensemble
    first, seeds = ensemble.networks[0], ensemble.seeds[:1]
    networks: tuple[Network, ...] = (first,)
    if effort == "augmentation":
        networks = tuple(Bent(first, exponent) for exponent in BENDS)
    if effort == "dropout":
        if not isinstance(first, nn.Module):
            msg = f"expected networks in torch for dropout, found {ensemble.runtime}"
            raise ValueError(f"{msg}; choose --runtime torch")
        seeds = tuple(range(THINNED))
        networks = tuple(thinned(first, seed) for seed in seeds)
    return replace(ensemble, name=f"{ensemble.name}, {effort}", networks=networks, seeds=seeds)


def thinned(network: nn.Module, seed: int, dropped: float = DROPPED) -> nn.Module:
    """Copy a network without a share of the channels of each layer but the last.

    Which ones follows from the seed; the others are scaled up by as much. The networks were not
    trained so. Source: Gal and Ghahramani 2016, "Dropout as a Bayesian approximation"; without
    such a training: Loquercio et al. 2020, "A general framework for uncertainty estimation in deep
    learning".
    """
    copied = deepcopy(network)
    for number, layer in enumerate(layers_of(copied)[:-1]):
        layer.register_forward_hook(_Thin(seed, number, dropped))
    return copied


@dataclass(frozen=True)
class _Thin:
    """Takes the same channels out of all that a layer finds; tokens and lists stay as they are."""

    seed: int
    layer: int
    dropped: float

    def __call__(self, layer: nn.Module, given: object, found: object) -> object:
        """Return the layer's features, thinned."""
        del layer, given
        if not isinstance(found, Tensor) or found.ndim != 5:
            return found
        # Drawn by numpy, so that whoever converts the network finds a constant.
        drawn = np.random.default_rng([self.seed, self.layer]).random(int(found.shape[1]))
        scale = (drawn >= self.dropped) / (1 - self.dropped)
        return found * torch.from_numpy(scale).to(found)[:, None, None, None]
