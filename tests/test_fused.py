"""Networks of several sequences: what a missing one may not do, and how a whole head is run."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from segment import models
from segment.models import pretraining
from segment.models.ensemble import pack
from segment.models.fused import MOST, Fused, scaled
from segment.models.fusion_late.calibrate import calibrate
from segment.models.fusion_late.network import Late
from segment.models.network import build_network, state_of
from segment.models.presence import present, shares
from segment.models.pretraining.plan import PretrainingPlan
from segment.models.training.cases import read_cases, sequence_augmentation, without_some
from segment.models.training.plan import Run
from segment.models.training.run import Trainer, train_run
from segment.models.windows import WINDOW
from tests.toy_segmenter import alone, toy_plan, write_crops

NETWORKS = tuple(name for name in models.shipped() if models.roles_of(name))
APART = ("fusion_intermediate", "fusion_late")  # whose sequences are looked at apart
SMALL = (32, 16, 16)
ROLES = models.roles_of("fusion_early")
every_network = pytest.mark.parametrize("name", NETWORKS)
every_apart = pytest.mark.parametrize("name", APART)


def windows(count=1, seed=0, size=SMALL):
    drawn = torch.rand(count, 4, *size, generator=torch.Generator().manual_seed(seed))
    return drawn + 0.1


def built(name, seed=0):
    torch.manual_seed(seed)
    network = build_network(name, SMALL, 2).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def of_function(function, structures=2):
    """Run a function of a window as if it were a network."""
    scale = np.ones(structures, np.float32)
    return Fused("toy", ("background", "lesion"), ROLES, (function,), scale, (0,), "", "torch")


def brightest(batch):
    """Call lesion what is bright in FLAIR."""
    bright = batch[:, 3:4] - 1.5
    return torch.cat([-20 * bright, 20 * bright], dim=1)


def test_the_networks_of_all_three_fusions_are_there():
    assert NETWORKS == ("fusion_early", "fusion_intermediate", "fusion_late")
    assert {models.roles_of(name) for name in NETWORKS} == {("T1", "T1c", "T2", "FLAIR")}
    assert models.roles_of("unet") == ()


@every_network
@torch.inference_mode()
def test_a_missing_sequence_leaves_numbers_and_another_answer(name):
    network, window = built(name), windows()
    without = window.clone()
    without[:, 3] = 0
    assert torch.isfinite(network(without)).all()
    assert not torch.allclose(network(without), network(window), atol=1e-3)


@every_network
@torch.inference_mode()
def test_a_window_in_which_nothing_is_there_has_logits(name):
    assert torch.isfinite(built(name)(torch.zeros(1, 4, *SMALL))).all()


@every_apart
@torch.inference_mode()
def test_of_a_sequence_that_is_missing_nothing_is_asked(name):
    network, window = built(name), windows()
    window[:, 1] = 0
    before = network(window)
    parts = network.encoders if name == "fusion_intermediate" else network.judges
    for parameter in parts[1].parameters():
        parameter.neg_()
    assert torch.allclose(network(window), before, atol=1e-5)


def test_shares_are_of_what_is_there_and_sum_to_one():
    window = windows(2)
    window[0, 1:3] = 0
    assert present(window).tolist() == [[True, False, False, True], [True] * 4]
    given = shares(torch.zeros(2, 4, 1, 1, 1), window)[..., 0, 0, 0]
    assert given[0].tolist() == pytest.approx([0.5, 0, 0, 0.5])
    assert given[1].tolist() == pytest.approx([0.25] * 4)
    assert shares(torch.zeros(1, 4, 1, 1, 1), 0 * window[:1])[0, :, 0, 0, 0].sum() == 1


@torch.inference_mode()
def test_the_logits_of_late_fusion_are_averaged_probabilities():
    network, window = built("fusion_late"), windows()
    network.weights.copy_(torch.tensor([0.0, 1.0, 2.0, -1.0]))
    network.sharpness.zero_()
    apart = network.decisions(window).softmax(dim=2)
    wanted = (apart * network.weights.softmax(0)[None, :, None, None, None, None]).sum(dim=1)
    assert torch.allclose(network(window).softmax(dim=1), wanted, atol=1e-5)


class Told(Late):
    """A late fusion of which the third sequence is right and the others guess."""

    def decisions(self, window):
        right = 2 * window[:, 2:3, None] - 1
        logits = torch.stack([torch.cat([-3 * right, 3 * right], dim=2)[:, 0]] * 4, dim=1)
        noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
        logits = torch.where(torch.arange(4)[:, None, None, None, None] == 2, logits, 3 * noise)
        return logits


def test_the_weights_go_to_the_sequence_that_is_right():
    network = Told(2, 4, (4, 8))
    label = (torch.rand(1, *SMALL, generator=torch.Generator().manual_seed(0)) < 0.3).long()
    window = label[:, None].float().expand(1, 4, *SMALL)
    before = [p.detach().clone() for p in network.judges.parameters()]
    loss = calibrate(network, [(window, label)], seed=0)
    assert network.weights.softmax(0)[2] > 0.95
    assert loss < 0.05
    assert all(map(torch.equal, before, network.judges.parameters()))


def test_weights_of_no_case_are_refused():
    with pytest.raises(ValueError, match=r"^expected cases to calibrate on, found none; "):
        calibrate(Told(2, 4, (4, 8)), [], seed=0)


def test_dropping_leaves_one_sequence_at_least_and_a_batch_lacks_the_same():
    kept = set()
    for seed in range(60):
        dropped = without_some(windows(2, size=(4, 4, 4)), [seed])
        there = present(dropped)
        assert torch.equal(there[0], there[1])
        assert there[0].any()
        kept.add(tuple(there[0].tolist()))
    assert (True,) * 4 in kept
    assert len(kept) > 8


def test_dropping_follows_from_the_seed():
    one, same = (without_some(windows(), [4, 2, 9]) for _ in range(2))
    assert torch.equal(one, same)


def crops_of(folder, roles=4):
    folder.mkdir()
    return write_crops(folder, (20, 22, 18), (np.s_[6:13, 8:15, 5:12],), train=(1, 2), roles=roles)


def test_crops_of_sequences_keep_their_scale(tmp_path):
    data = crops_of(tmp_path / "data")
    (case,) = read_cases(data / "images", data / "labels", ["hippocampus_001.nii.gz"], 4)
    assert case["image"].shape == (4, 20, 22, 18)
    assert case["label"].shape == (1, 20, 22, 18)
    assert case["image"].max() > 100


def test_crops_of_another_number_of_sequences_are_refused_in_one_sentence(tmp_path):
    data = crops_of(tmp_path / "data", roles=3)
    with pytest.raises(ValueError, match=r"^hippocampus_001.nii.gz: expected a crop of 4 sequ"):
        read_cases(data / "images", data / "labels", ["hippocampus_001.nii.gz"], 4)


def test_an_augmentation_turns_all_sequences_and_the_labels_alike(tmp_path):
    data = crops_of(tmp_path / "data")
    (case,) = read_cases(data / "images", data / "labels", ["hippocampus_001.nii.gz"], 4)
    made = sequence_augmentation((16, 16, 16), 3, strength=0.0)(case)
    inside = made["label"][0] > 0
    assert inside.any()
    for sequence in made["image"]:
        assert sequence[inside].mean() > sequence[~inside].mean() + 100


@every_network
def test_a_network_of_sequences_learns_to_see_a_block(name, tmp_path):
    data = crops_of(tmp_path / "data")
    plan = toy_plan(
        network=name,
        sizes={"filters": (4, 8, 8)},
        structures=("background", "lesion"),
        epochs=20,
        settling_epochs=0,
        learning_rate=1e-2,
        precision="float32",
    )
    losses = [s.loss for s in train_run(plan, Run("fold0-0", 0, 0, 20, (1, 2), ()), data, tmp_path)]
    assert losses[-1] < 0.8 * losses[0]


def trainer_of(tmp_path, name="fusion_early"):
    data = crops_of(tmp_path / "data")
    plan = toy_plan(
        network=name,
        sizes={"filters": (4, 8, 8)},
        structures=("background", "lesion"),
        settling_epochs=2,
        precision="float32",
    )
    names = [f"hippocampus_{case:03d}.nii.gz" for case in (1, 2)]
    cases = read_cases(data / "images", data / "labels", names, 4)
    return Trainer(plan, Run("fold0-0", 0, 0, 1, (1, 2), ()), cases, alone())


def statistics_of(network):
    return {key: tensor for key, tensor in state_of(network).items() if "running" in key}


def test_a_network_of_sequences_settles_on_the_statistics_it_is_used_with(tmp_path):
    trainer = trainer_of(tmp_path)
    trainer.train_one_epoch()
    trainer.train_one_epoch()
    taken = {key: tensor.clone() for key, tensor in statistics_of(trainer.network).items()}
    weights = trainer.network.logits.weight.clone()
    trainer.train_one_epoch()
    found = trainer.finish()
    assert all(torch.equal(found[key], tensor) for key, tensor in taken.items())
    assert not torch.equal(found["logits.weight"], weights)


def test_a_network_that_does_not_settle_has_statistics_of_its_crops(tmp_path):
    trainer = trainer_of(tmp_path)
    trainer.train_one_epoch()
    before = {key: tensor.clone() for key, tensor in statistics_of(trainer.network).items()}
    found = trainer.finish()
    assert any(not torch.equal(found[key], tensor) for key, tensor in before.items())


@torch.inference_mode()
def test_a_network_of_sequences_makes_the_same_of_a_place_whatever_lies_far_away():
    network = built("fusion_early")
    window = windows(size=(16, 16, 64))
    other = window.clone()
    other[..., 48:] = 3.0
    near = np.s_[..., :2]
    assert torch.allclose(network(window)[near], network(other)[near], atol=1e-4)


def test_a_scale_is_the_median_of_the_brain():
    array = np.array([[[50.0, 100.0, 200.0, 5000.0, 7.0]]], np.float32)
    brain = np.array([[[True, True, True, True, False]]])
    assert scaled(array, brain)[0, 0].tolist() == pytest.approx([1 / 3, 2 / 3, 4 / 3, MOST, 0])


@pytest.mark.parametrize("level", [0.0, -3.0])
def test_a_brain_without_a_median_above_zero_is_refused(level):
    with pytest.raises(ValueError, match=r"^expected a brain whose median is above 0, found"):
        scaled(np.full((2, 2, 2), level, np.float32), np.ones((2, 2, 2), bool))


@pytest.mark.parametrize("shape", [(70, 50, 40), (20, 60, 33)])
def test_a_whole_head_is_what_its_windows_say(shape):
    flair = np.random.default_rng(0).uniform(0.5, 2.5, shape).astype(np.float32)
    found = of_function(brightest)({"FLAIR": flair})
    assert found.shape == (1, 2, *shape)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-4)
    assert np.array_equal(found[0, 1] > 0.5, flair > 1.5)


def test_a_network_sees_what_is_there_in_whole_voxels_of_its_coarsest_level():
    sizes = []

    def noted(batch):
        sizes.append(tuple(batch.shape[2:]))
        return brightest(batch)

    flair = np.zeros((40, 50, 33), np.float32)
    flair[7:28, 9:26, 12:20] = 2.0
    found = of_function(noted)({"FLAIR": flair})
    assert sizes == [(24, 24, 8)]
    assert np.array_equal(found[0, 1] > 0.5, flair > 1.5)


def test_what_no_sequence_shows_is_background_without_asking_a_network():
    def never(batch):
        raise AssertionError

    found = of_function(never)({"T1": np.zeros((40, 50, 40), np.float32)})
    assert (found[0, 0] == 1).all()


def test_sequences_that_are_none_or_on_two_grids_are_refused():
    fused = of_function(brightest)
    with pytest.raises(
        ValueError, match=r"^toy: expected sequences of T1, T1c, T2, FLAIR, found n"
    ):
        fused({})
    with pytest.raises(ValueError, match="found CT; "):
        fused({"CT": np.zeros((4, 4, 4), np.float32)})
    with pytest.raises(ValueError, match="on one grid"):
        fused({"T1": np.zeros((4, 4, 4), np.float32), "T2": np.zeros((4, 4, 5), np.float32)})


def packed(folder, seed=3):
    state, weights = folder / "state.safetensors", folder / "packed.safetensors"
    torch.manual_seed(seed)
    save_file(state_of(build_network("fusion_early", WINDOW, 2)), state)
    pack({seed: state}, np.ones(2, np.float32), weights)
    return weights


def test_packed_weights_are_read_back_and_fill_a_head(tmp_path):
    fused = models.load("fusion_early", packed(tmp_path))
    assert (fused.name, fused.seeds, fused.roles) == ("lesions-early-own", (3,), ROLES)
    rng = np.random.default_rng(0)
    given = {role: rng.random((36, 50, 34), np.float32) for role in ("T1", "FLAIR")}
    found = fused(given)
    assert found.shape == (1, 2, 36, 50, 34)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-4)
    assert np.array_equal(found, replace(fused)(given))


def test_another_runtime_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^fusion_early: expected the runtime torch or auto"):
        models.load("fusion_early", packed(tmp_path), "openvino")


def test_no_exam_of_one_sequence_takes_such_a_network(tmp_path):
    with pytest.raises(ValueError, match=r"^expected a network of one sequence, found fusion_late"):
        models.calibrated("fusion_late", tmp_path / "calibration.json")


def test_no_pretraining_takes_such_a_network():
    shipped = PretrainingPlan.read(Path(str(files(pretraining).joinpath("pretrain.toml"))))
    with pytest.raises(ValueError, match=r"^expected a network of one sequence, found fusion_earl"):
        replace(shipped, network="fusion_early")


def test_weights_keep_what_was_calibrated(tmp_path):
    network = build_network("fusion_late", WINDOW, 2)
    with torch.no_grad():
        network.weights.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    save_file(state_of(network), tmp_path / "state.safetensors")
    assert load_file(tmp_path / "state.safetensors")["weights"].tolist() == [1, 2, 3, 4]
