"""OpenVINO runs the networks that torch would, and whatever it cannot run torch does, said so."""

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from assistant.settings import Settings
from assistant.study import read_study
from segment import models, organs
from segment.infer import BOX, canonical
from segment.models import Box, running
from segment.models.running import networks_in
from segment.resample import sample

WINDOW = (8, 6, 8)
WINDOWS = torch.rand(3, 1, *WINDOW, generator=torch.Generator().manual_seed(1))
pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
with_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
with_openvino = pytest.mark.skipif(
    find_spec("openvino") is None, reason="OpenVINO is not installed: pip install 'voxcite[cpu]'"
)


def has_bfloat16():
    """Whether OpenVINO computes in half precision on this processor."""
    if find_spec("openvino") is None:
        return False
    from segment.models.compiled import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


with_bfloat16 = pytest.mark.skipif(not has_bfloat16(), reason="the processor has no bfloat16")


class Doubled(nn.Module):
    """Two channels: what came in, and twice that."""

    def forward(self, windows):
        return torch.cat([windows, 2 * windows], dim=1)


class Otherwise(nn.Module):
    """Computes something else while it is being converted."""

    def forward(self, windows):
        factor = 9 if torch.jit.is_tracing() else 2
        return torch.cat([windows, factor * windows], dim=1)


class Unknown(nn.Module):
    """Does what no converter knows."""

    def forward(self, windows):
        found = torch.special.bessel_j0(windows)
        return torch.cat([windows, found], dim=1)


class Encoder(nn.Module):
    """Gives features: means over all voxels."""

    def forward(self, windows):
        return torch.cat([windows, 3 * windows], dim=1).mean(dim=(2, 3, 4))


class EncoderOtherwise(nn.Module):
    """Gives other features while it is being converted, whose softmax is nearly the same."""

    def forward(self, windows):
        factor = 3.05 if torch.jit.is_tracing() else 3
        return torch.cat([windows, factor * windows], dim=1).mean(dim=(2, 3, 4)) / 100


def chosen(network, runtime="openvino"):
    """Return a network in a runtime, and what it is called."""
    (made,), name = networks_in(runtime, lambda: [network], WINDOW, type(network).__name__)
    return made, name


def never():
    raise AssertionError("built in torch")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where this test's conversions are kept."""
    monkeypatch.setenv("VOXCITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def without_gpu(monkeypatch):
    """As on a machine where torch sees no GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture(scope="module")
def shipped_alone():
    """The shipped ensemble in torch."""
    return models.load("unet", runtime="torch")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The shipped ensemble in torch and in OpenVINO, and the latter from the cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOXCITE_CACHE", str(tmp_path_factory.mktemp("cache")))
        in_torch = models.load("unet", runtime="torch")
        first = models.load("unet", runtime="openvino")
        patch.setattr("segment.models.ensemble.build_network", never)
        return in_torch, first, models.load("unet", runtime="openvino")


@pytest.fixture(scope="module")
def crop():
    """The box around the left hippocampus of the template, which lies where the atlas says."""
    volume = read_study("sample").volume
    grid = canonical(volume.geometry)
    centre = np.array([*organs.load("hippocampus").centre_mni_mm["left"], 1.0])
    middle = np.round(np.linalg.inv(grid.affine) @ centre)[:3].astype(int)
    start = tuple(int(m - n // 2) for m, n in zip(middle, BOX, strict=True))
    return Box(*sample(volume, grid.block(start, BOX)))


@with_openvino
def test_each_member_finds_the_volumes_that_it_finds_in_torch(shipped, crop):
    (wanted,), (found,) = (segmenter([crop]) for segmenter in shipped[:2])
    assert np.abs(found - wanted).max() < 1e-3
    labels = [p.argmax(axis=1).reshape(len(p), -1) for p in (wanted, found)]
    volumes = [np.array([np.bincount(m, minlength=3)[1:] for m in part]) for part in labels]
    assert volumes[0].min() > 500  # voxels of 1 mm: a hippocampus was found
    assert np.abs(volumes[1] / volumes[0] - 1).max() < 1e-3


@with_bfloat16
def test_half_precision_finds_the_volumes_of_the_ensemble_within_half_a_percent(shipped, crop):
    in_half = models.load("unet", runtime="openvino-bfloat16")
    assert in_half.runtime.startswith("OpenVINO ")
    assert in_half.runtime.endswith(" in bfloat16")
    (wanted,), (found,) = (segmenter([crop]) for segmenter in (shipped[0], in_half))
    assert np.abs(found - wanted).max() > 1e-4  # else it did not compute in half precision
    wholes = [int((p.mean(axis=0).argmax(axis=0) > 0).sum()) for p in (wanted, found)]
    assert wholes[0] > 2000  # voxels of 1 mm
    assert abs(wholes[1] / wholes[0] - 1) < 5e-3


@with_bfloat16
def test_features_are_never_in_half_precision(shipped):
    in_half = models.load("unet", runtime="openvino-bfloat16")
    window = torch.rand(1, 1, 32, 48, 32, generator=torch.Generator().manual_seed(2))
    assert torch.equal(in_half.encoder(window), shipped[1].encoder(window))


@with_openvino
def test_half_precision_is_refused_where_the_processor_has_none(cache, monkeypatch):
    from segment.models.compiled import openvino

    class Core(openvino.Core):
        def get_property(self, device, name):
            return ["FP32"]

    monkeypatch.setattr(openvino, "Core", Core)
    with pytest.raises(ValueError, match=r"found that it cannot compute in bfloat16 on this proce"):
        chosen(Doubled(), "openvino-bfloat16")
    _, name = chosen(Doubled(), "openvino")
    assert "bfloat16" not in name


@with_gpu
def test_each_member_finds_on_a_gpu_the_volumes_that_it_finds_on_the_processor(shipped_alone, crop):
    on_gpu = models.load("unet", runtime="cuda")
    (wanted,), (found,) = (segmenter([crop]) for segmenter in (shipped_alone, on_gpu))
    assert np.abs(found - wanted).max() < 1e-3
    labels = [p.argmax(axis=1).reshape(len(p), -1) for p in (wanted, found)]
    volumes = [np.array([np.bincount(m, minlength=3)[1:] for m in part]) for part in labels]
    assert volumes[0].min() > 500
    assert np.abs(volumes[1] / volumes[0] - 1).max() < 1e-3
    assert on_gpu.runtime == f"torch {torch.__version__} on {torch.cuda.get_device_name()}"


def test_a_gpu_that_is_not_there_is_refused(without_gpu):
    with pytest.raises(ValueError, match=r"^expected a GPU that torch sees, found none; choose "):
        chosen(Doubled(), "cuda")


@with_openvino
def test_what_was_converted_once_is_read_from_the_cache_and_computes_the_same(shipped, crop):
    (found,), (again,) = (segmenter([crop]) for segmenter in shipped[1:])
    assert np.array_equal(found, again)


@with_openvino
def test_an_ensemble_names_what_runs_it(shipped):
    in_torch, in_openvino, _ = shipped
    assert in_torch.runtime.startswith("torch ")
    assert in_openvino.runtime.startswith("OpenVINO ")
    assert in_torch.seeds == in_openvino.seeds
    assert in_torch.weights_sha256 == in_openvino.weights_sha256


@with_openvino
def test_a_window_comes_out_the_same_whatever_others_there_are(cache):
    made, _ = chosen(Doubled())
    alone = torch.cat([made(window) for window in WINDOWS.split(1)])
    assert torch.equal(made(WINDOWS), alone)
    assert torch.equal(alone, Doubled()(WINDOWS))


@with_openvino
@pytest.mark.parametrize("kind", ["xml", "bin", "json"])
def test_a_damaged_conversion_is_made_anew(cache, kind):
    chosen(Doubled())
    (damaged,) = cache.glob(f"openvino-*/*.{kind}")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    made, _ = chosen(Doubled())
    assert torch.equal(made(WINDOWS), Doubled()(WINDOWS))
    networks, _ = networks_in("openvino", never, WINDOW, "Doubled")
    assert torch.equal(networks[0](WINDOWS), Doubled()(WINDOWS))


@with_openvino
def test_other_weights_and_other_windows_are_conversions_of_their_own(cache):
    for window, origin in ((WINDOW, "one"), (WINDOW, "other"), ((6, 6, 6), "one")):
        networks_in("openvino", lambda: [Doubled()], window, origin)
    assert len([*cache.glob("openvino-*")]) == 3


@with_openvino
def test_without_a_cache_to_write_to_networks_are_converted_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("VOXCITE_CACHE", str(tmp_path / "file" / "cache"))
    made, name = chosen(Doubled())
    assert name.startswith("OpenVINO ")
    assert torch.equal(made(WINDOWS), Doubled()(WINDOWS))


@with_openvino
def test_features_are_those_of_torch(cache):
    made, name = chosen(Encoder())
    assert name.startswith("OpenVINO ")
    torch.testing.assert_close(made(WINDOWS), Encoder()(WINDOWS))


@with_openvino
@pytest.mark.parametrize(
    ("network", "why"),
    [
        (Unknown(), "could not convert the network"),
        (Otherwise(), "differed by"),
        (EncoderOtherwise(), "differed by"),
    ],
)
def test_torch_runs_what_openvino_cannot_and_the_name_says_why(cache, without_gpu, network, why):
    made, name = chosen(network, "auto")
    assert made is network
    assert name.startswith("torch ")
    assert ", since OpenVINO " in name
    assert why in name
    assert not [*cache.glob("openvino-*")]
    with pytest.raises(ValueError, match=rf"^expected networks that OpenVINO .* {why}"):
        chosen(network, "openvino")


@with_openvino
def test_openvino_is_imported_without_what_tells_its_makers(tmp_path):
    code = "import sys, segment.models.compiled; print('openvino_telemetry' in sys.modules)"
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]
    assert [*tmp_path.iterdir()] == []


def test_torch_runs_the_networks_where_openvino_is_not_installed(without_gpu, monkeypatch):
    monkeypatch.setattr(running, "find_spec", lambda package: None)
    network = Doubled()
    made, name = chosen(network, "auto")
    assert made is network
    assert name == f"torch {torch.__version__}"
    with pytest.raises(ValueError, match=r"^expected OpenVINO, found it not installed; pip "):
        chosen(network, "openvino")


def test_torch_runs_the_networks_where_it_was_chosen():
    network = Doubled()
    assert chosen(network, "torch") == (network, f"torch {torch.__version__}")


def test_a_runtime_that_nobody_knows_is_refused():
    with pytest.raises(
        ValueError,
        match=r"^runtime: expected one of auto, torch, openvino, openvino-bfloat16, cuda, found",
    ):
        Settings(runtime="tensorrt")
