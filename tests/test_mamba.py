"""The scan in chunks is the recurrence step by step, takes linear work, and can be exported."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from segment.models.mamba.network import Direction
from segment.models.mamba.scan import selective_scan
from segment.models.network import build_network

HEADS, CHANNELS, STATES = 3, 4, 5
WINDOW = (16, 16, 8)


def sequence(length, seed=0, dtype=torch.float64):
    """What a scan takes, at random: values, steps, decay, taken, read."""
    rng = np.random.default_rng(seed)
    arrays = (
        rng.normal(size=(2, length, HEADS, CHANNELS)),
        rng.exponential(0.5, (2, length, HEADS)),
        -rng.exponential(4.0, HEADS),
        rng.normal(size=(2, length, STATES)),
        rng.normal(size=(2, length, STATES)),
    )
    return [torch.tensor(array, dtype=dtype) for array in arrays]


def recurrence(values, steps, decay, taken, read):
    """The state-space model as it is defined, one step after the other."""
    state = torch.zeros(*values.shape[:1], HEADS, CHANNELS, STATES, dtype=values.dtype)
    found = []
    for t in range(values.shape[1]):
        kept = torch.exp(steps[:, t] * decay)[:, :, None, None]
        written = torch.einsum("bh,bhp,bn->bhpn", steps[:, t], values[:, t], taken[:, t])
        state = kept * state + written
        found.append(torch.einsum("bhpn,bn->bhp", state, read[:, t]))
    return torch.stack(found, dim=1)


@pytest.mark.parametrize("chunk", [1, 4, 16, 64])
@pytest.mark.parametrize("length", [1, 16, 45, 96])
def test_a_scan_in_chunks_is_the_recurrence(length, chunk):
    given = sequence(length)
    assert torch.allclose(selective_scan(*given, chunk=chunk), recurrence(*given), atol=1e-10)


def test_gradients_of_a_scan_are_those_of_the_recurrence():
    grads = []
    for run in (selective_scan, recurrence):
        given = [tensor.requires_grad_() for tensor in sequence(37)]
        (run(*given) ** 2).sum().backward()
        grads.append([tensor.grad for tensor in given])
    for one, other in zip(*grads, strict=True):
        assert torch.allclose(one, other, rtol=1e-8, atol=1e-8)


def test_a_fast_decay_neither_overflows_nor_stops_the_gradient():
    values, steps, decay, taken, read = sequence(64, dtype=torch.float32)
    steps = (steps * 100).requires_grad_()
    found = selective_scan(values, steps, decay, taken, read)
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert torch.isfinite(steps.grad).all()


def test_twice_the_length_is_twice_the_work():
    counted = []
    for length in (256, 512):
        with FlopCounterMode(display=False) as counter:
            selective_scan(*sequence(length))
        counted.append(counter.get_total_flops())
    assert counted[1] == 2 * counted[0] > 0


def test_what_comes_later_changes_nothing_before_it():
    direction = Direction(8, heads=2, states=4).eval()
    tokens = torch.randn(1, 40, 8, generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[:, 25:] += 1
    with torch.inference_mode():
        one, other = direction(tokens), direction(changed)
    assert torch.equal(one[:, :16], other[:, :16])
    assert torch.allclose(one[:, :25], other[:, :25], atol=1e-5)
    assert not torch.allclose(one[:, 25:], other[:, 25:], atol=1e-3)


def test_a_window_that_the_levels_do_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"^a network of 4 levels takes windows of multiples of 8"):
        build_network("mamba", (16, 20, 16), 3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch's, within its exporter
@pytest.mark.parametrize("name", ["mamba", "transunet"])
def test_a_network_exported_to_onnx_computes_the_same(name, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    from onnx.reference import ReferenceEvaluator

    torch.manual_seed(0)
    network = build_network(name, WINDOW, 3, {"filters": (4, 8, 8), "heads": 2, "blocks": 1}).eval()
    window = torch.randn(1, 1, *WINDOW, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "network.onnx"
    torch.onnx.export(network, (window,), path, dynamo=True, opset_version=18, verbose=False)
    exported = onnx.load(path)
    onnx.checker.check_model(exported)
    (found,) = ReferenceEvaluator(exported).run(
        None, {exported.graph.input[0].name: window.numpy()}
    )
    with torch.inference_mode():
        assert np.allclose(found, network(window).numpy(), atol=1e-4)
