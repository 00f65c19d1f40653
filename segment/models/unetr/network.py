"""The network: UNETR, MONAI's. Knows nothing of scans, files or training."""

from collections.abc import Sequence

from torch import nn

from segment.models.hiding import hidden


def build(
    window: Sequence[int],
    structures: int,
    *,
    features: int,
    hidden_size: int,
    mlp: int,
    heads: int,
    has_transformer: bool,
) -> nn.Module:
    """Build a UNETR for one size of window, whose edges are multiples of 16 voxels.

    Without its transformer the embedded cubes of 16 voxels go to the decoder as they are. Source:
    Hatamizadeh et al. 2022, "UNETR: Transformers for 3D medical image segmentation".
    """
    with hidden("transformers"):
        from monai.networks.nets.unetr import UNETR

    network = UNETR(
        in_channels=1,
        out_channels=structures,
        img_size=list(window),
        feature_size=features,
        hidden_size=hidden_size,
        mlp_dim=mlp,
        num_heads=heads,
        norm_name="batch",
        res_block=True,
    )
    encoder = network.vit
    for block in encoder.blocks:
        block.norm_cross_attn = nn.Identity()  # MONAI makes it and never uses it
    if not has_transformer:
        encoder.blocks = nn.ModuleList([nn.Identity() for _ in encoder.blocks])
    return network
