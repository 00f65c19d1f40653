"""The network: a residual 3-D U-Net, MONAI's. Knows nothing of scans, files or training."""

from collections.abc import Sequence

from torch import nn

from segment.models.hiding import hidden


def build(window: Sequence[int], structures: int, *, filters: Sequence[int]) -> nn.Module:
    """Build a U-Net of at least three levels, whose filters are given from the finest one on.

    Source: the residual encoder of nnU-Net (Isensee et al. 2024) as built by MONAI's DynUNet.
    """
    del window  # any whose edges are multiples of 2 ** (levels - 1) voxels will do
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
    return network
