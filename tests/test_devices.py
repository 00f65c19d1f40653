"""Networks compute and learn on one device, whichever, and what is written lies in main memory.

Where torch sees no GPU, its device without memory stands in for one: there, too, tensors that
were left on the processor meet those that were not, and nothing can be read back.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import pytest
import torch
from safetensors.torch import load_file

from segment.models.devices import device_here, device_name, placed, runtime_here
from segment.models.pretraining.run import pretrain
from segment.models.training.plan import Run
from segment.models.training.processes import Crew
from segment.models.training.run import Trainer, train_run, untrained
from tests.benchmarks.few_labels import shipped_settings
from tests.benchmarks.networks import ROWS, plan_of
from tests.toy_segmenter import toy_plan, write_crops

BLOCKS = ([slice(6, 13), slice(11, 17), slice(5, 12)], [slice(6, 13), slice(5, 11), slice(5, 12)])
with_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")


@dataclass(frozen=True, eq=False)
class Elsewhere(Crew):
    """One process whose network lies where nothing can be read."""

    accelerator: None = None
    is_sharded: bool = False
    index, count, is_first, device = 0, 1, True, torch.device("meta")

    def hold(self, module, layers):
        return module.to(self.device)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    blocks = [tuple(block) for block in BLOCKS]
    return write_crops(tmp_path_factory.mktemp("data"), (24, 26, 22), blocks, train=(1, 2, 3))


@pytest.mark.parametrize("row", ROWS, ids=[row.slug for row in ROWS])
def test_no_tensor_of_a_step_is_left_on_the_processor(row, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, "isfinite", lambda loss: loss.device.type == "meta")
    plan = plan_of(row, 1)
    cases = [{"image": torch.rand(1, *plan.patch), "label": torch.ones(1, *plan.patch)}] * 2
    trainer = Trainer(plan, Run("toy", 0, None, 1, (), ()), cases, Elsewhere())
    images, labels = (torch.stack([case[kind] for case in cases]) for kind in ("image", "label"))
    with pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
        trainer.step(images, labels)  # all of it but the number that it returns
    assert {p.grad.device.type for p in trainer.network.parameters()} == {"meta"}


def test_a_network_that_is_placed_computes_the_same_and_gives_it_back():
    network = untrained(toy_plan()).eval()
    windows = torch.rand(2, 1, 16, 16, 16)
    with torch.inference_mode():
        wanted = network(windows)
        found = placed(network, device_here())(windows)
    assert found.device.type == "cpu"
    assert float((found - wanted).abs().max()) < 1e-3


def test_where_torch_sees_no_gpu_the_processor_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (device_here().type, device_name(), runtime_here()) == ("cpu", "processor", "torch")


@with_gpu
def test_a_run_on_a_gpu_goes_on_and_its_weights_are_anywhere(data, tmp_path):
    plan = toy_plan(epochs=2, settling_epochs=1)
    run = Run("toy", 0, None, 2, (1, 2, 3), ())
    interrupted = train_run(plan, run, data, tmp_path)
    next(interrupted)
    interrupted.close()
    state = torch.load(tmp_path / "toy" / "last.pt", weights_only=True)
    assert {tensor.device.type for tensor in state["network"].values()} == {"cpu"}
    assert [step.epoch for step in train_run(plan, run, data, tmp_path)] == [2, 3]
    weights = load_file(tmp_path / "toy" / "weights.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


@with_gpu
@pytest.mark.parametrize("pretext", ["masked", "contrastive"])
def test_a_pretraining_on_a_gpu_goes_on(pretext, data, tmp_path):
    small = {"sizes": {"filters": (4, 8, 8)}, "patch": (16, 16, 16), "hidden_voxels": 4}
    steps = {"steps": 3, "batch": 2, "checkpoint_every_steps": 1, "report_every_steps": 1}
    plan = replace(shipped_settings().pretraining, **small, **steps)
    interrupted = pretrain(plan, pretext, [data / "images"], tmp_path)
    next(interrupted)
    interrupted.close()
    rest = pretrain(plan, pretext, [data / "images"], tmp_path)
    assert [step.step for step in rest] == [2, 3]
