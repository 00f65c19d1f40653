"""A tower begins with what every vision tower has to learn first."""

import torch

from assistant.readers.siglip.start import begin, cosines, sines
from assistant.readers.siglip.tower import Shape, as_input, build_dual, build_vision

SHAPE = Shape(image=48, patch=12, width=48, layers=2, heads=3, text_layers=1)


def begun(seed=0):
    tower = build_vision(SHAPE)
    begin(tower, SHAPE, torch.Generator().manual_seed(seed))
    return tower


def test_the_waves_of_a_patch_are_orthonormal_and_the_slowest_first():
    waves = cosines(20, 8).flatten(1)
    assert torch.allclose(waves @ waves.T, torch.eye(20), atol=1e-5)
    assert torch.allclose(waves[0], waves[0, :1].expand(64))
    turns = [(wave.reshape(8, 8).diff(dim=0).abs().sum()) for wave in (waves[0], waves[19])]
    assert turns[0] < turns[1]


def test_a_patch_has_no_more_waves_than_pixels():
    assert cosines(100, 4).shape == (16, 4, 4)


def test_neighbouring_places_are_more_alike_than_distant_ones():
    places = torch.nn.functional.normalize(sines(8, 48), dim=1)
    alike = places @ places.T
    assert alike[0, 1] > alike[0, 4] > alike[0, 63]
    assert alike[0, 8] > alike[0, 32]
    assert torch.allclose(alike, alike.T)


def test_a_token_tells_the_brightness_of_its_own_patch():
    tower = begun()
    dark = torch.full((1, 3, 48, 48), -1.0)
    spotted = dark.clone()
    spotted[:, :, 12:24, 24:36] = 1.0  # the patch of row 1, column 2
    embed = tower.get_submodule("trunk.patch_embed")
    with torch.inference_mode():
        differs = (embed(spotted) - embed(dark)).abs().sum(dim=-1)[0]
    assert torch.nonzero(differs > 1e-5).flatten().tolist() == [1 * 4 + 2]


def test_a_tower_attends_to_its_own_patch_more_than_a_fresh_one_does():
    def on_itself(tower):
        block = tower.get_submodule("trunk.blocks.0")
        tokens = torch.randn(1, 16, 48, generator=torch.Generator().manual_seed(3))
        query, key, _ = block.attn.qkv(tokens).reshape(1, 16, 3, 3, 16).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(query @ key.transpose(-1, -2) / 4.0, dim=-1)
        return float(weights.diagonal(dim1=-2, dim2=-1).mean())

    with torch.inference_mode():
        assert on_itself(begun()) > 2 * on_itself(build_vision(SHAPE))


def test_a_seed_begins_a_tower_alike():
    one, other, third = (dict(begun(seed).named_parameters()) for seed in (0, 0, 1))
    names = [name for name in one if ".attn." in name]
    assert all(torch.equal(one[name], other[name]) for name in names)
    assert any(not torch.equal(one[name], third[name]) for name in names)


def test_the_vision_tower_of_a_pair_begins_alike():
    dual = build_dual(SHAPE)
    begin(dual.get_submodule("visual"), SHAPE, torch.Generator().manual_seed(0))
    patches = dual.get_parameter("visual.trunk.patch_embed.proj.weight")
    assert torch.equal(patches[:, 0], patches[:, 2])
    pictures = as_input(torch.rand(2, 48, 48).numpy())
    with torch.inference_mode():
        assert torch.isfinite(dual.encode_image(pictures)).all()
