"""Why a network draws a structure as large as it does. Knows nothing of scans or of reports.

Every map lies on the box of 1 mm voxels that the network was given.
"""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from segment.models import Box
from segment.models.ensemble import Ensemble
from segment.models.network import layers_of
from segment.models.windows import WINDOW, assemble, cut

CUBE = 8  # voxels of 1 mm that are hidden at once, along each axis
MM3_PER_ML = 1000

Map = Float32[np.ndarray, "i j k"]


def grad_cam(ensemble: Ensemble, box: Box, structures: Sequence[int]) -> Map:
    """Return which places speak for the structures, 0 to 1, to the first network.

    The target is the sum of their logits over the voxels that it gives them; the features are
    those of its coarsest layer (Selvaraju et al. 2017; for segmentation Vinogradova et al. 2020).
    0 everywhere where nothing is drawn. Raises ValueError where the network does not run in torch.
    """
    network = ensemble.networks[0]
    if not isinstance(network, nn.Module):
        msg = f"expected networks in torch for gradients, found {ensemble.runtime}"
        raise ValueError(f"{msg}; choose --runtime torch")
    found = _over_windows(ensemble, box, lambda window: _cam(network, window, structures))
    return np.asarray(found / max(float(found.max()), float(np.finfo(np.float32).tiny)))


def occlusion(ensemble: Ensemble, box: Box, structures: Sequence[int], cube: int = CUBE) -> Map:
    """Return by how many mL the structures' volume falls where a cube around a voxel is hidden.

    Cubes lie side by side and are filled with their window's mean. The volume is the sum of the
    first network's probabilities, so that it changes smoothly; where hiding adds to it, the map is
    negative (Zeiler and Fergus 2014).
    """

    def falls(window: Map) -> Map:
        starts = list(product(*(range(0, n, cube) for n in WINDOW)))
        places = [tuple(slice(s, s + cube) for s in start) for start in starts]
        hidden = [window.copy() for _ in places]
        for array, place in zip(hidden, places, strict=True):
            array[place] = window.mean()
        probability = ensemble.predict([window, *hidden], ensemble.networks[0])
        volumes_ml = probability[:, list(structures)].sum(axis=(1, 2, 3, 4)) / MM3_PER_ML
        found = np.zeros(WINDOW, np.float32)
        for place, volume_ml in zip(places, volumes_ml[1:], strict=True):
            found[place] = volumes_ml[0] - volume_ml
        return found

    return _over_windows(ensemble, box, falls)


def _over_windows(ensemble: Ensemble, box: Box, look: Callable[[Map], Map]) -> Map:
    """Look at each window that the first network is given; average where they overlap."""
    ((array, placed),) = ensemble.looked([box])
    starts = placed.starts
    found = [look(cut(array, start)) for start in starts]
    return np.asarray(assemble(array.shape, starts, [np.stack([m, m]) for m in found])[1])


def _cam(network: nn.Module, window: Map, structures: Sequence[int]) -> Map:
    """Weigh the coarsest features of one window by the mean of their gradients."""
    kept: list[Tensor] = []
    hooks = [layer.register_forward_hook(_keep(kept)) for layer in layers_of(network)]
    try:
        with torch.enable_grad():
            given = torch.from_numpy(window)[None, None].requires_grad_()
            logits = network(given).float()
            features = min(kept[:-1], key=lambda found: found[0, 0].numel())
            target = _target(logits, structures)
            (gradient,) = torch.autograd.grad(target, features)
    finally:
        for hook in hooks:
            hook.remove()
    weights = gradient.mean(dim=(2, 3, 4), keepdim=True)
    cam = torch.relu((weights * features).sum(dim=1, keepdim=True)).detach()
    whole = nn.functional.interpolate(cam, size=window.shape, mode="trilinear")
    return np.asarray(whole[0, 0].numpy(), dtype=np.float32)


def _target(logits: Tensor, structures: Sequence[int]) -> Tensor:
    """Sum each structure's logits over its voxels."""
    drawn = logits.argmax(dim=1)
    return torch.stack([(logits[:, s] * (drawn == s)).sum() for s in structures]).sum()


def _keep(kept: list[Tensor]) -> Callable[[nn.Module, object, object], None]:
    """Keep what layers find, where it lies on a grid."""

    def hook(layer: nn.Module, given: object, found: object) -> None:
        del layer, given
        if isinstance(found, Tensor) and found.ndim == 5:
            kept.append(found)

    return hook
