"""open_clip's SigLIP tower and transformers' give the same features."""

import numpy as np
import pytest
import torch

from assistant.readers.siglip.tower import Shape, build_vision
from assistant.writers.vlm.errors import Fault, ModelError
from assistant.writers.vlm.vision import convert, normalised, open_clip_tower

TINY = Shape(image=24, patch=4, width=16, layers=2, heads=2, text_layers=1)


@pytest.fixture
def tower():
    """A small tower in which no weight is at its neutral value."""
    torch.manual_seed(1)
    return disturbed(build_vision(TINY))


def disturbed(tower):
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return tower.eval()


def assert_same_features(tower, converted, image_px):
    pictures = torch.randn(2, 3, image_px, image_px, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        tokens, pooled = tower.trunk.forward_features(pictures), tower(pictures)
        found = converted(pictures)
    torch.testing.assert_close(found.last_hidden_state, tokens, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.pooler_output, pooled, rtol=0, atol=1e-4)


def test_the_converted_tower_gives_the_same_tokens_and_the_same_pooled_feature(tower):
    assert_same_features(tower, convert(tower), TINY.image)


def test_the_agreement_is_not_one_of_features_that_are_all_alike(tower):
    pictures = torch.randn(2, 3, TINY.image, TINY.image)
    first, second = convert(tower)(pictures).pooler_output
    assert (first - second).abs().max() > 1e-3


def test_the_exact_activation_is_kept_exact_and_the_approximate_one_approximate(tower):
    assert convert(tower).config.hidden_act == "gelu_pytorch_tanh"
    for block in (*tower.trunk.blocks, tower.trunk.attn_pool):
        block.mlp.act = torch.nn.GELU()
    converted = convert(tower)
    assert converted.config.hidden_act == "gelu"
    assert_same_features(tower, converted, TINY.image)


def test_a_tower_of_two_activations_is_refused(tower):
    tower.trunk.attn_pool.mlp.act = torch.nn.GELU()
    with pytest.raises(ModelError, match="activations that differ"):
        convert(tower)


@pytest.mark.slow
def test_the_real_tower_of_vit_b_16_siglip_is_converted_alike():
    tower = open_clip_tower("ViT-B-16-SigLIP").eval()
    assert_same_features(tower, convert(tower), 224)


def test_the_configuration_says_what_the_reader_trained():
    shape = Shape(image=192, patch=16, width=192, layers=12, heads=3, text_layers=1)
    config = convert(build_vision(shape)).config
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (
        192,
        12,
        3,
    )
    assert (config.image_size, config.patch_size, config.intermediate_size) == (192, 16, 768)


def test_a_tower_without_a_pooling_head_is_converted_without_one(tower):
    tower.trunk.attn_pool = None
    assert not convert(tower).config.vision_use_head


def test_a_tower_with_a_class_token_is_refused():
    from timm.models.vision_transformer import VisionTransformer

    other = VisionTransformer(img_size=8, patch_size=4, embed_dim=8, depth=1, num_heads=1)
    with pytest.raises(ModelError, match="SigLIP tower, found a class token") as caught:
        convert(other)
    assert caught.value.code is Fault.NOT_A_TOWER


def test_a_network_that_is_no_vision_transformer_is_refused():
    with pytest.raises(ModelError, match="SigLIP tower, found Linear"):
        convert(torch.nn.Linear(2, 2))


def test_a_tower_with_weights_that_siglip_lacks_is_refused(tower):
    tower.trunk.blocks[0].attn.q_norm = torch.nn.LayerNorm(8)
    with pytest.raises(ModelError, match=r"the weight blocks\.0\.attn\.q_norm\.bias"):
        convert(tower)


def test_a_tower_with_another_activation_is_refused(tower):
    tower.trunk.blocks[0].mlp.act = torch.nn.ReLU()
    with pytest.raises(ModelError, match="the activation ReLU"):
        convert(tower)


def test_a_name_that_open_clip_does_not_have_is_refused():
    with pytest.raises(ModelError, match="found 'ViT-Z'"):
        open_clip_tower("ViT-Z")


def test_a_hub_that_cannot_be_reached_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="go online") as caught:
        open_clip_tower("hf-hub:nobody/nothing")
    assert caught.value.code is Fault.HUB


def test_grey_becomes_three_channels_of_minus_one_to_one():
    pictures = np.stack([np.zeros((4, 4)), np.ones((4, 4))]).astype(np.float32)
    found = normalised(pictures)
    assert found.shape == (2, 3, 4, 4)
    assert found[0].unique().tolist() == [-1.0]
    assert found[1].unique().tolist() == [1.0]
