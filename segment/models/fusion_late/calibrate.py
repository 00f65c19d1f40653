"""Fits how the decisions of a late fusion are averaged, on cases it did not learn from.

Knows nothing of files or of where cases come from.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from segment.models.fusion_late.network import Late

STEPS = 60
VOXELS = 2000  # drawn of each window for the fit

Drawn = tuple[Float32[Tensor, "voxel role structure"], Int64[Tensor, " voxel"]]


def calibrate(
    network: Late,
    cases: Iterable[tuple[Float32[Tensor, "1 role i j k"], Int64[Tensor, "1 i j k"]]],
    seed: int,
) -> float:
    """Set ``weights`` and ``sharpness`` to those of the least log loss; return that loss.

    The networks themselves stay as they are. Cases hold all sequences; their voxels are drawn.
    Raises ValueError without a case.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = [_drawn(network, window, label, generator) for window, label in cases]
    if not drawn:
        msg = "expected cases to calibrate on, found none; give some that were not learned from"
        raise ValueError(msg)
    decisions, labels = (torch.cat(part) for part in zip(*drawn, strict=True))
    fitted = [network.weights, network.sharpness]
    optimiser = torch.optim.LBFGS(fitted, max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        decided = torch.log_softmax(decisions * network.sharpness.exp()[:, None], dim=2)
        shares = torch.log_softmax(network.weights, dim=0)
        found = torch.logsumexp(decided + shares[:, None], dim=1)
        lost = torch.nn.functional.nll_loss(found, labels)
        lost.backward()
        return lost

    optimiser.step(loss)
    return float(loss().detach())


@torch.no_grad()
def _drawn(
    network: Late,
    window: Float32[Tensor, "1 role i j k"],
    label: Int64[Tensor, "1 i j k"],
    generator: torch.Generator,
) -> Drawn:
    """Return the decisions of some voxels of one window, and what they are."""
    decisions = network.decisions(window)[0].flatten(2).permute(2, 0, 1)
    chosen = torch.randperm(len(decisions), generator=generator)[:VOXELS]
    return decisions[chosen], label.flatten()[chosen]
