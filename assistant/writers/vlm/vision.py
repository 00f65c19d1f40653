"""The vision tower: built with open_clip, converted into transformers' SigLIP.

Knows nothing of language models or of what a picture shows. The embedded model's tower is the one
that the image reader trained.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.quiet import quietly

ensure_torchvision()

from timm.models.vision_transformer import VisionTransformer  # noqa: E402
from transformers import SiglipVisionConfig, SiglipVisionModel  # noqa: E402

IMAGE_MEAN, IMAGE_STD = 0.5, 0.5  # every SigLIP's, so that 0..1 becomes -1..1
CHANNELS = 3
HUB = "hf-hub:"
# timm's blocks compute x W^T + b as transformers' do; what they call their weights differs.
BLOCK_NAMES = {
    "norm1": "layer_norm1",
    "attn.proj": "self_attn.out_proj",
    "norm2": "layer_norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
POOL_NAMES = {
    "proj": "attention.out_proj",
    "norm": "layernorm",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def open_clip_tower(name: str) -> nn.Module:
    """Build the tower that open_clip has under a name.

    A name of its own list (``ViT-B-16-SigLIP``) needs no network and gets random weights; one
    that begins with ``hf-hub:`` comes with its weights from the hub. Raises ModelError.
    """
    import open_clip

    if name.startswith(HUB):
        return _from_hub(name)
    config = open_clip.get_model_config(name)
    if config is None:
        msg = f"expected a model that open_clip knows, found {name!r}; try ViT-B-16-SigLIP"
        raise ModelError(Fault.MISSING, msg)
    if "timm_model_name" in config["vision_cfg"]:
        return _timm_tower(config["embed_dim"], config["vision_cfg"])
    whole = open_clip.create_model(name, load_weights=False, pretrained_text=False)
    tower: nn.Module = whole.visual
    return tower


def convert(tower: nn.Module) -> SiglipVisionModel:
    """Turn open_clip's SigLIP tower into transformers', weights and pooling head included.

    Both give the same features for the same picture. Raises ModelError for another kind of tower.
    """
    trunk = getattr(tower, "trunk", tower)
    config = _config(trunk)
    state = {key: tensor.detach().clone() for key, tensor in _renamed(trunk, config).items()}
    with quietly():
        converted = SiglipVisionModel(config)
    converted.load_state_dict(state)
    converted.eval()
    return converted


def normalised(
    pictures: Float32[np.ndarray, "picture h w"],
) -> Float32[Tensor, "picture 3 h w"]:
    """Turn grey pictures of 0..1 into what a SigLIP tower expects: three channels of -1..1."""
    grey = torch.from_numpy(np.ascontiguousarray((pictures - IMAGE_MEAN) / IMAGE_STD))
    return grey.float()[:, None].expand(-1, CHANNELS, -1, -1).contiguous()


def _timm_tower(embed_dim: int, config: dict[str, Any]) -> nn.Module:
    """Build the tower of one of open_clip's configurations without the text half beside it."""
    from open_clip.timm_model import TimmModel

    tower: nn.Module = TimmModel(
        config["timm_model_name"],
        embed_dim=embed_dim,
        image_size=config["image_size"],
        pool=config.get("timm_pool", "avg"),
        proj=config.get("timm_proj", "linear"),
        proj_bias=config.get("timm_proj_bias", False),
        pretrained=False,
    )
    return tower


def _from_hub(name: str) -> nn.Module:
    """Fetch a tower with its weights."""
    import open_clip

    try:
        whole = open_clip.create_model(name, require_pretrained=True)
    except (RuntimeError, OSError) as error:
        msg = (
            f"expected to fetch {name.removeprefix(HUB)} from the hub, found no way to it or no"
            " such model; go online, or name a model of open_clip's own list"
        )
        raise ModelError(Fault.HUB, msg) from error
    tower: nn.Module = whole.visual
    return tower


def _config(trunk: nn.Module) -> SiglipVisionConfig:
    """Read a SigLIP's numbers off timm's vision transformer; refuse what SigLIP has not."""
    if not isinstance(trunk, VisionTransformer):
        raise _not_a_tower(type(trunk).__name__)
    rows, columns = trunk.patch_embed.grid_size
    if trunk.cls_token is not None or trunk.pos_embed is None or rows != columns:
        raise _not_a_tower("a class token or a grid that is not square")
    block: Any = trunk.blocks[0]
    norm: Any = trunk.norm
    activations = {_activation(each.mlp.act) for each in _with_layers(trunk)}
    if len(activations) > 1:
        raise _not_a_tower("activations that differ")
    patch_px, _ = trunk.patch_embed.patch_size
    return SiglipVisionConfig(
        hidden_size=trunk.embed_dim,
        intermediate_size=block.mlp.fc1.out_features,
        num_hidden_layers=len(trunk.blocks),
        num_attention_heads=block.attn.num_heads,
        num_channels=trunk.patch_embed.proj.in_channels,
        image_size=rows * patch_px,
        patch_size=patch_px,
        hidden_act=activations.pop(),
        layer_norm_eps=norm.eps,
        vision_use_head=trunk.attn_pool is not None,
    )


def _with_layers(trunk: VisionTransformer) -> list[Any]:
    """List the blocks and, where there is one, the pooling head: each has an inner layer."""
    head = [] if trunk.attn_pool is None else [trunk.attn_pool]
    return [*trunk.blocks, *head]


def _activation(module: nn.Module) -> str:
    """Name a block's activation as transformers does; its own default is the approximation."""
    name = type(module).__name__
    if name == "GELUTanh" or (isinstance(module, nn.GELU) and module.approximate == "tanh"):
        return "gelu_pytorch_tanh"
    if isinstance(module, nn.GELU):
        return "gelu"
    raise _not_a_tower(f"the activation {name}")


def _renamed(trunk: nn.Module, config: SiglipVisionConfig) -> dict[str, Tensor]:
    """Give timm's weights the names and the shapes of transformers'."""
    left = dict(trunk.state_dict())
    found = {
        "embeddings.patch_embedding.weight": left.pop("patch_embed.proj.weight"),
        "embeddings.patch_embedding.bias": left.pop("patch_embed.proj.bias"),
        "embeddings.position_embedding.weight": left.pop("pos_embed")[0],
        "post_layernorm.weight": left.pop("norm.weight"),
        "post_layernorm.bias": left.pop("norm.bias"),
    }
    for number in range(config.num_hidden_layers):
        found |= _block(left, f"blocks.{number}.", f"encoder.layers.{number}.")
    if config.vision_use_head:
        found |= _pool(left)
    if left:
        raise _not_a_tower(f"the weight {min(left)}")
    return found


def _block(left: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    """Take one block's weights; its queries, keys and values lie in one matrix at timm's."""
    found = {}
    for part in ("weight", "bias"):
        thirds = left.pop(f"{old}attn.qkv.{part}").chunk(3)
        for letter, third in zip("qkv", thirds, strict=True):
            found[f"{new}self_attn.{letter}_proj.{part}"] = third
        for theirs, ours in BLOCK_NAMES.items():
            found[f"{new}{ours}.{part}"] = left.pop(f"{old}{theirs}.{part}")
    return found


def _pool(left: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take the attention pool's weights; here it is transformers' that has one matrix."""
    found = {"head.probe": left.pop("attn_pool.latent")}
    for part in ("weight", "bias"):
        query, rest = left.pop(f"attn_pool.q.{part}"), left.pop(f"attn_pool.kv.{part}")
        found[f"head.attention.in_proj_{part}"] = torch.cat([query, rest])
        for theirs, ours in POOL_NAMES.items():
            found[f"head.{ours}.{part}"] = left.pop(f"attn_pool.{theirs}.{part}")
    return found


def _not_a_tower(found: str) -> ModelError:
    msg = (
        f"expected a SigLIP tower, found {found}; take one whose name holds SigLIP,"
        " such as ViT-B-16-SigLIP"
    )
    return ModelError(Fault.NOT_A_TOWER, msg)
