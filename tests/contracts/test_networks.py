"""Whatever network has a folder of its own maps windows to logits, learns and is kept."""

from dataclasses import replace
from importlib import import_module
from importlib.resources import files
from inspect import Parameter, signature

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from segment import models
from segment.models import Box, Segmenter
from segment.models.ensemble import pack, read
from segment.models.network import build_network, load_state, parameters_of, state_of
from segment.models.training.plan import Run
from segment.models.training.run import train_run
from segment.models.windows import WINDOW
from tests.toy_segmenter import toy_plan, write_crops

NETWORKS = tuple(name for name in models.available() if "sizes" in models.describe(name))
UNTRAINED = tuple(name for name in models.available() if not models.is_trained(name))
SMALL = (32, 16, 16)  # the smallest window in which no network sees a single token
SINGLE = tuple(name for name in NETWORKS if not models.roles_of(name))
every_single = pytest.mark.parametrize("name", SINGLE)
every_network = pytest.mark.parametrize("name", NETWORKS)
every_untrained = pytest.mark.parametrize("name", UNTRAINED)


def built(name, seed=0, norm="mixed", window=SMALL):
    torch.manual_seed(seed)
    structures = len(models.describe(name)["structures"])
    return build_network(name, window, structures, norm=norm).eval()


def channels_of(name):
    return len(models.roles_of(name)) or 1


def windows(name, count=1, size=SMALL):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels_of(name), *size, generator=generator)


def packed(name, folder, seed=0):
    """Write an ensemble of one untrained member, as it would be shipped."""
    state, weights = folder / "state.safetensors", folder / "packed.safetensors"
    save_file(state_of(built(name, window=WINDOW)), state)
    structures = len(models.describe(name)["structures"])
    pack({seed: state}, np.ones(structures, np.float32), weights)
    return weights


@pytest.fixture(scope="module")
def networks():
    """One network of each folder, as it is used, for a small window."""
    return {name: built(name) for name in NETWORKS}


@pytest.fixture(scope="module")
def logits(networks):
    """What each of them makes of the same window."""
    with torch.inference_mode():
        return {name: network(windows(name)) for name, network in networks.items()}


@every_network
def test_the_sizes_are_those_that_the_network_takes(name):
    build = import_module(f"segment.models.{name}.network").build
    taken = signature(build).parameters.values()
    wanted = {p.name for p in taken if p.kind is Parameter.KEYWORD_ONLY}
    assert models.describe(name)["sizes"].keys() == wanted


@every_network
def test_a_window_becomes_logits_of_every_structure_on_its_own_grid(name, logits):
    structures = models.describe(name)["structures"]
    assert logits[name].shape == (1, len(structures), *SMALL)
    assert logits[name].dtype == torch.float32
    assert torch.isfinite(logits[name]).all()


@every_network
def test_a_gradient_reaches_every_parameter(name):
    network = built(name, norm="batch").train()
    structures = len(models.describe(name)["structures"])
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, structures, (2, *SMALL), generator=generator)
    torch.nn.functional.cross_entropy(network(windows(name, 2)), labels).backward()
    gradients = {key: parameter.grad for key, parameter in network.named_parameters()}
    assert [key for key, g in gradients.items() if g is None or not g.abs().sum() > 0] == []


def dirtied(value):
    """Leave memory behind that a careless kernel would read."""
    for power in range(4, 19):
        [torch.full((2**power,), value) for _ in range(8)]


@every_network
def test_a_gradient_in_bfloat16_does_not_depend_on_what_lay_in_memory(name):
    cube = (16, 16, 16)
    window = windows(name, size=cube)
    gradients = []
    for value in (0.0, 1e3, -7.0):
        network = built(name, norm="batch", window=cube).train()
        dirtied(value)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(window)
        logits.float().square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    first, *others = gradients
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


@every_network
def test_a_seed_decides_what_a_network_begins_with(name, networks):
    one, same, other = (state_of(n) for n in (networks[name], built(name), built(name, seed=1)))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@every_network
def test_a_network_computes_the_same_twice(name, networks, logits):
    with torch.inference_mode():
        assert torch.equal(networks[name](windows(name)), logits[name])


@every_network
def test_a_network_that_was_saved_and_loaded_computes_the_same(name, networks, logits, tmp_path):
    save_file(state_of(networks[name]), tmp_path / "state.safetensors")
    loaded = built(name, seed=1)
    load_state(loaded, load_file(tmp_path / "state.safetensors"))
    with torch.inference_mode():
        assert torch.equal(loaded(windows(name)), logits[name])


@every_network
def test_weights_of_another_network_are_refused_in_one_sentence(name, tmp_path):
    weights = packed(NETWORKS[NETWORKS.index(name) - 1], tmp_path)
    with pytest.raises(ValueError, match=rf"^packed\.safetensors: expected weights of {name}, "):
        read(weights, "packed", name)


@every_single
def test_packed_weights_are_a_segmenter_that_fills_its_boxes(name, tmp_path):
    segmenter = models.load(name, packed(name, tmp_path, seed=4))
    array = np.random.default_rng(0).random((30, 40, 28), np.float32)
    (probability,) = segmenter([Box(array, np.ones(array.shape, bool))])
    assert isinstance(segmenter, Segmenter)
    assert segmenter.name == f"{models.describe(name)['name']}-own"
    assert segmenter.seeds == (4,)
    assert probability.shape == (1, len(segmenter.structures), *array.shape)
    assert np.allclose(probability.sum(axis=1), 1, atol=1e-4)


@every_network
def test_a_card_states_the_number_of_parameters(name):
    card = files(models).joinpath(name, models.describe(name)["card"]).read_text(encoding="utf-8")
    assert f"{parameters_of(built(name, window=WINDOW)):,}" in card


@pytest.mark.slow
@every_network
def test_every_network_is_trained_alike(name, tmp_path):
    blocks = (np.s_[6:13, 11:17, 5:12], np.s_[6:13, 5:11, 5:12])
    (tmp_path / "data").mkdir()
    roles, structures = len(models.roles_of(name)), tuple(models.describe(name)["structures"])
    blocks = blocks[: len(structures) - 1]
    cases = {"train": (1, 2), "val": (3,)}
    data = write_crops(tmp_path / "data", (20, 22, 18), blocks, **cases, roles=roles)
    plan = toy_plan(network=name, sizes={}, structures=structures, patch=WINDOW)
    run = Run("member0", 0, None, 1, (1, 2), (3,))
    steps = [
        [replace(step, samples_per_s=0.0) for step in train_run(plan, run, data, tmp_path / folder)]
        for folder in ("one", "same")
    ]
    one, same = (
        load_file(tmp_path / folder / "member0" / "weights.safetensors")
        for folder in ("one", "same")
    )
    assert steps[0] == steps[1]
    assert all(np.isfinite(step.loss) for step in steps[0])
    assert all(torch.equal(one[key], same[key]) for key in one)


@every_untrained
def test_an_untrained_network_is_refused_with_the_command_that_trains_it(name):
    command = f"voxcite train segmenter --network {name}"
    with pytest.raises(ValueError, match=rf"^{name} has no weights yet; .*`{command}`"):
        models.load(name)
    with pytest.raises(ValueError, match=rf"^{name} has no weights yet; "):
        models.calibrated(name)


@every_untrained
def test_an_untrained_network_is_listed_as_such(name):
    (line,) = models.figures(name)
    assert line.startswith("untrained; ")
