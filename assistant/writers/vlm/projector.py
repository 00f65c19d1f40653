"""MedGemma's projector: pools a tower's patches and carries them into the language model's space.

Transformers' own class is built here, not another one. Knows nothing of pictures or of words.

A tower of 192 px and patches of 16 px sees 12 x 12 patches; averaged three by three they become
4 x 4 = 16 tokens a picture. Their features are scaled to a root mean square of one and multiplied
by one matrix.
"""

import math

import torch

from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.errors import Fault, ModelError

ensure_torchvision()

from transformers import Gemma3Config, Gemma3TextConfig, SiglipVisionConfig  # noqa: E402
from transformers.models.gemma3.modeling_gemma3 import Gemma3MultiModalProjector  # noqa: E402

TOKENS_PER_IMAGE = 16  # of the embedded model; MedGemma 4B has 256


def build_projector(
    config: Gemma3Config, rms: float, generator: torch.Generator
) -> Gemma3MultiModalProjector:
    """Build a projector with random weights that gives features of the root mean square ``rms``.

    ``rms`` is that of the language model's own scaled embeddings, so that pictures are neither
    drowned nor shouted before anything is trained. Raises ModelError as ``check_tokens`` does.
    """
    check_tokens(config)
    projector = Gemma3MultiModalProjector(config)
    width = vision_of(config).hidden_size
    weight = projector.mm_input_projection_weight
    with torch.no_grad():
        weight.normal_(0.0, rms / math.sqrt(width), generator=generator)
    for norm in projector.mm_soft_emb_norm.parameters():
        torch.nn.init.zeros_(norm)  # Gemma's norms multiply by one plus their weight
    return projector


def check_tokens(config: Gemma3Config) -> None:
    """Refuse a number of tokens a picture that does not divide its patches evenly."""
    side = patches_per_side(vision_of(config))
    tokens = config.mm_tokens_per_image or 0
    pooled = math.isqrt(tokens)
    if pooled**2 != tokens or not pooled or side % pooled:
        msg = (
            f"the projector: expected tokens a picture that divide {side} x {side} patches evenly,"
            f" found {tokens}; take the square of a divisor of {side}"
        )
        raise ModelError(Fault.WRONG_CLASS, msg)


def patches_per_side(config: SiglipVisionConfig) -> int:
    """Return how many patches a picture has along each edge."""
    image_px, patch_px = config.image_size, config.patch_size
    assert isinstance(image_px, int)
    assert isinstance(patch_px, int)
    return image_px // patch_px


def vision_of(config: Gemma3Config) -> SiglipVisionConfig:
    """Return the tower's part of a configuration."""
    found = config.vision_config
    assert isinstance(found, SiglipVisionConfig)
    return found


def text_of(config: Gemma3Config) -> Gemma3TextConfig:
    """Return the language model's part of a configuration."""
    found = config.text_config
    assert isinstance(found, Gemma3TextConfig)
    return found
