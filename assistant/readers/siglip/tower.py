"""The dual encoder: a SigLIP built by open_clip. Knows nothing of scans, facts or training.

The vision tower is timm's vision transformer without class token, pooled by attention and without
a projection, as open_clip builds SigLIP; its activation is GELU in tanh's form, its norms have an
epsilon of 1e-6. The text tower is open_clip's own, with its bundled vocabulary.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from assistant.vision_shim import ensure_torchvision

CONTEXT = 32  # tokens of a caption, the two marks included
CHANNELS = 3
MIDDLE = 0.5  # grey 0..1 becomes -1..1, as SigLIP's processors do
INITIAL_LOGIT_SCALE = float(np.log(10))
INITIAL_LOGIT_BIAS = -10.0  # Zhai et al. 2023, section 3.2


@dataclass(frozen=True)
class Shape:
    """The numbers of a dual encoder; ``width`` is also that of the shared space."""

    image: int
    patch: int
    width: int
    layers: int
    heads: int
    text_layers: int

    def __post_init__(self) -> None:
        if self.image % self.patch or self.width % self.heads:
            msg = (
                f"a tower's image {self.image} is whole patches, its width {self.width} whole heads"
            )
            raise ValueError(msg)

    @property
    def name(self) -> str:
        """What timm knows the vision tower by."""
        return (
            f"vit_siglip_grey_i{self.image}_p{self.patch}_w{self.width}_d{self.layers}"
            f"_h{self.heads}"
        )


def build_dual(shape: Shape) -> nn.Module:
    """Build both towers with fresh weights; nothing is downloaded.

    ``encode_image`` takes ``n 3 h w`` in -1..1, ``encode_text`` token ids ``n context``; both
    return ``n width``.
    """
    ensure_torchvision()
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP

    _register(shape)
    vision = CLIPVisionCfg(
        image_size=shape.image, timm_model_name=shape.name, timm_pool="map", timm_proj="none"
    )
    text = CLIPTextCfg(
        context_length=CONTEXT, width=shape.width, heads=shape.heads, layers=shape.text_layers
    )
    dual: nn.Module = CustomTextCLIP(
        shape.width,
        vision,
        text,
        init_logit_scale=INITIAL_LOGIT_SCALE,
        init_logit_bias=INITIAL_LOGIT_BIAS,
        output_dict=True,
    )
    return dual


def check_installed() -> None:
    """Raise ModuleNotFoundError where open_clip is missing: now, and not after a minute's work."""
    ensure_torchvision()
    import_module("open_clip")


def build_loss() -> nn.Module:
    """Return open_clip's sigmoid loss: of a batch, only a picture's own caption holds of it."""
    ensure_torchvision()
    from open_clip.loss import SigLipLoss

    loss: nn.Module = SigLipLoss()
    return loss


def build_vision(shape: Shape) -> nn.Module:
    """Build the vision tower alone: ``n 3 h w`` in -1..1 to pooled features ``n width``."""
    ensure_torchvision()
    from open_clip.timm_model import TimmModel

    _register(shape)
    tower: nn.Module = TimmModel(
        shape.name, shape.width, image_size=shape.image, pool="map", proj="none"
    )
    return tower


def state_of(tower: nn.Module) -> dict[str, Tensor]:
    """Return a vision tower's parameters under timm's own names."""
    return {
        name.removeprefix("trunk."): tensor.detach().cpu().contiguous()
        for name, tensor in tower.state_dict().items()
    }


def load_state(tower: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what ``state_of`` returned; raises ValueError when it is another architecture's."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in state_of(tower).items()}:
        msg = "the weights are of another architecture: their names or shapes differ"
        raise ValueError(msg)
    tower.load_state_dict({f"trunk.{name}": tensor.float() for name, tensor in state.items()})


def as_input(grey: Float32[np.ndarray, "n h w"]) -> Float32[Tensor, "n 3 h w"]:
    """Turn grey pictures of 0..1 into what the vision tower takes."""
    normal = (torch.from_numpy(np.ascontiguousarray(grey)) - MIDDLE) / MIDDLE
    return normal[:, None].expand(-1, CHANNELS, -1, -1).contiguous()


def tokens(captions: Sequence[str]) -> Int64[Tensor, "n context"]:
    """Turn captions into token ids."""
    return _tokeniser()(list(captions))  # type: ignore[no-any-return]


def pooled(tower: nn.Module, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n width"]:
    """Return the vision tower's features at length 1, as the contrastive loss compares them."""
    return nn.functional.normalize(tower(images), dim=-1)


def best_device() -> torch.device:
    """Return the GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def described(tower: nn.Module, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n width"]:
    """Return what linear heads read: the mean of a picture's tokens, of mean 0 and variance 1."""
    return mean_token(tower.get_submodule("trunk").forward_features(images))  # type: ignore[operator]


def mean_token(found: Float[Tensor, "n token width"]) -> Float[Tensor, "n width"]:
    """Average tokens, and bring the mean to mean 0 and variance 1."""
    return nn.functional.layer_norm(found.float().mean(dim=1), found.shape[-1:])


def compared(
    dual: nn.Module, images: Float[Tensor, "n 3 h w"], texts: Int64[Tensor, "n context"]
) -> tuple[dict[str, Tensor], Float[Tensor, "n token width"]]:
    """Return what the contrastive loss takes, and the pictures' tokens, in one pass."""
    trunk: Any = dual.get_submodule("visual.trunk")
    encode: Any = dual.encode_text
    seen = trunk.forward_features(images)
    return {
        "image_features": nn.functional.normalize(trunk.forward_head(seen), dim=-1),
        "text_features": encode(texts, normalize=True),
        "logit_scale": dual.get_parameter("logit_scale").exp(),
        "logit_bias": dual.get_parameter("logit_bias"),
    }, seen


def _tokeniser() -> Callable[[list[str]], Any]:
    ensure_torchvision()
    from open_clip.tokenizer import SimpleTokenizer

    made: Callable[[list[str]], Any] = SimpleTokenizer(context_length=CONTEXT)
    return made


def _register(shape: Shape) -> None:
    """Make the shape known to timm by its name, the only way open_clip takes a vision tower."""
    from timm.models import is_model, register_model
    from timm.models.vision_transformer import VisionTransformer

    if is_model(shape.name):
        return

    def entry(pretrained: bool = False, **options: Any) -> nn.Module:  # noqa: ANN401  timm's call
        """Build the tower from timm's vision transformer."""
        for unused in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
            options.pop(unused, None)
        if pretrained:
            msg = f"{shape.name} has no weights to download"
            raise ValueError(msg)
        settings = {
            "img_size": shape.image,
            "patch_size": shape.patch,
            "embed_dim": shape.width,
            "depth": shape.layers,
            "num_heads": shape.heads,
            "class_token": False,
            "act_layer": "gelu_tanh",
            "global_pool": "map",
        }
        tower: nn.Module = VisionTransformer(**{**settings, **options})
        return tower

    entry.__name__ = shape.name
    register_model(entry)
