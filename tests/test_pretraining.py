"""A network learns from scans without labels, and a training can begin with what it learnt."""

import math
import shutil
from dataclasses import fields, replace
from importlib.resources import files
from itertools import islice
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import ndimage

from assistant.cli import OK, REFUSED, main
from segment.models.pretraining.pictures import Windows, find_pictures, read_pictures
from segment.models.pretraining.plan import PretrainingPlan
from segment.models.pretraining.pretexts import PRETEXTS, hidden_cubes, masked_loss
from segment.models.pretraining.run import pretrain
from segment.models.training.run import fit_of
from segment.models.training.start import Start
from segment.reading import read_nifti
from tests.toy_segmenter import plan_text, toy_plan, write_crops

SHIPPED = Path(str(files("segment.models.pretraining").joinpath("pretrain.toml")))
PLAN = replace(
    PretrainingPlan.read(SHIPPED),
    sizes={"filters": (4, 8, 8)},
    patch=(16, 16, 16),
    batch=2,
    steps=4,
    hidden_voxels=4,
    features=8,
    projected=8,
    checkpoint_every_steps=1,
    report_every_steps=1,
)
BLOCKS = (np.s_[6:13, 11:17, 5:12], np.s_[6:13, 5:11, 5:12])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = write_crops(tmp_path_factory.mktemp("data"), (24, 26, 22), BLOCKS, train=(1, 2, 3))
    return folder / "images"


@pytest.fixture(scope="module")
def windows(images):
    return Windows(read_pictures(find_pictures([images])), PLAN.patch, 0)


def test_whole_cubes_are_hidden_and_so_many_of_them():
    mask = hidden_cubes(torch.Size([3, 1, 16, 8, 12]), 4, 0.5, torch.Generator().manual_seed(0))
    assert mask.shape == (3, 1, 16, 8, 12)
    cubes = mask.reshape(3, 4, 4, 2, 4, 3, 4).float().mean(dim=(2, 4, 6))
    assert set(cubes.unique().tolist()) == {0.0, 1.0}
    assert cubes.flatten(1).sum(dim=1).tolist() == [12.0] * 3
    assert not torch.equal(mask[0], mask[1])


def test_only_what_is_hidden_counts():
    shown = torch.rand(1, 1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(shown.shape, dtype=torch.bool)
    mask[..., :2] = True
    filled = torch.where(mask, shown + 0.5, shown + 9.0)
    assert float(masked_loss(filled, shown, mask)) == pytest.approx(0.5)


def test_what_is_hidden_is_not_shown_to_the_network(windows):
    pretext = PRETEXTS["masked"](PLAN)
    seen = []
    pretext.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    pretext.loss(windows, 3)
    (shown,) = windows.views(3, PLAN.batch, 1)
    hidden = (seen[0] == 0) & (shown != 0)
    assert float((seen[0] == 0).float().mean()) >= 0.55
    assert torch.equal(seen[0][~hidden], shown[~hidden])


@pytest.fixture(scope="module")
def landscape(tmp_path_factory):
    """One scan in which every place looks otherwise: smooth noise."""
    folder = tmp_path_factory.mktemp("landscape")
    noise = np.random.default_rng(0).normal(size=(96, 110, 96))
    smooth = (1000 * ndimage.gaussian_filter(noise, 4)).astype(np.float32)
    nibabel.Nifti1Image(smooth, np.eye(4)).to_filename(folder / "scan.nii.gz")
    return folder


def test_what_is_hidden_is_filled_in_better_and_better(images, tmp_path):
    plan = replace(PLAN, steps=60, report_every_steps=15, learning_rate=1e-2, batch=4)
    losses = [step.loss for step in pretrain(plan, "masked", [images], tmp_path)]
    assert len(losses) == 4
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.slow
def test_places_are_known_again_better_than_by_chance(landscape, tmp_path):
    plan = replace(PLAN, steps=80, report_every_steps=20, learning_rate=1e-2, batch=4)
    _, *later = [step.loss for step in pretrain(plan, "contrastive", [landscape], tmp_path)]
    chance = math.log(2 * plan.batch - 1)
    assert len(later) == 3
    assert np.mean(later) < chance - 0.05


@pytest.mark.parametrize("pretext", PRETEXTS)
def test_a_pretraining_ends_alike_after_an_interruption(pretext, images, tmp_path):
    list(pretrain(PLAN, pretext, [images], tmp_path / "whole"))
    interrupted = pretrain(PLAN, pretext, [images], tmp_path / "parts")
    for _ in range(2):
        next(interrupted)
    interrupted.close()
    rest = list(pretrain(PLAN, pretext, [images], tmp_path / "parts"))
    assert [step.step for step in rest] == [3, 4]
    one, other = (load_file(tmp_path / p / "weights.safetensors") for p in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    header, *log = (tmp_path / "parts" / "log.csv").read_text().splitlines()
    assert header == "step,loss"
    assert [line.partition(",")[0] for line in log] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("pretext", PRETEXTS)
def test_a_training_begins_with_all_but_the_head_of_a_pretraining(pretext, images, tmp_path):
    list(pretrain(PLAN, pretext, [images], tmp_path))
    fit = fit_of(toy_plan(), Start(tmp_path / "weights.safetensors", "gentle"))
    assert fit.new
    assert all(name.startswith("output_block") for name in fit.new)
    assert len(fit.read) > 10 * len(fit.new)


def test_a_finished_pretraining_is_left_alone(images, tmp_path):
    list(pretrain(PLAN, "masked", [images], tmp_path))
    assert list(pretrain(PLAN, "masked", [images], tmp_path)) == []


def test_a_checkpoint_of_another_task_is_refused(images, tmp_path):
    interrupted = pretrain(PLAN, "masked", [images], tmp_path)
    next(interrupted)
    interrupted.close()
    with pytest.raises(ValueError, match="expected a pretraining of unet by contrastive with the"):
        next(pretrain(PLAN, "contrastive", [images], tmp_path))


@pytest.mark.parametrize(
    ("pretext", "changes"), [("contrastive", {}), ("masked", {"steps": 5}), ("masked", {"seed": 1})]
)
def test_a_finished_pretraining_is_not_taken_for_another(pretext, changes, images, tmp_path):
    list(pretrain(PLAN, "masked", [images], tmp_path))
    with pytest.raises(ValueError, match="with the same plan, found another; give another --runs"):
        next(pretrain(replace(PLAN, **changes), pretext, [images], tmp_path))


@pytest.mark.parametrize("steps", [1, PLAN.steps + 1], ids=["interrupted", "finished"])
def test_a_pretraining_of_other_scans_is_not_taken_for_this_one(steps, images, tmp_path):
    begun = pretrain(PLAN, "masked", [images], tmp_path / "runs")
    assert len(list(islice(begun, steps))) == min(steps, PLAN.steps)
    begun.close()
    (tmp_path / "other").mkdir()
    first, *_ = sorted(images.iterdir())
    shutil.copy(first, tmp_path / "other")
    told = "expected a pretraining of the same scans by masked, found one of others; give another"
    with pytest.raises(ValueError, match=told):
        list(pretrain(PLAN, "masked", [tmp_path / "other"], tmp_path / "runs"))
    with pytest.raises(ValueError, match=told):
        list(pretrain(PLAN, "masked", [images], tmp_path / "runs", [read_nifti(first)]))
    with pytest.raises(ValueError, match="expected scans as NIfTI in the folders of --images"):
        list(pretrain(PLAN, "masked", [tmp_path / "none"], tmp_path / "runs"))


def test_the_same_scans_in_another_folder_are_gone_on_with(images, tmp_path):
    list(pretrain(PLAN, "masked", [images], tmp_path / "runs"))
    shutil.copytree(images, tmp_path / "moved")
    assert list(pretrain(PLAN, "masked", [tmp_path / "moved"], tmp_path / "runs")) == []


def test_views_are_the_same_for_the_same_seed_and_step(images, windows):
    again = Windows(read_pictures(find_pictures([images])), PLAN.patch, 0)
    one, other = windows.views(5, 2, 2)
    assert torch.equal(one, again.views(5, 2, 2)[0])
    assert not torch.equal(one, other)
    assert not torch.equal(one, windows.views(6, 2, 1)[0])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hidden_share": 1.0}, "hidden_share is a share"),
        ({"hidden_voxels": 5}, "expected a patch of whole cubes of 5 voxels"),
        ({"batch": 1}, "expected a batch of at least 2"),
        ({"network": "threshold"}, "threshold has no network and learns nothing"),
        ({"network": "transunet"}, "transunet looks at windows of 32 x 48 x 32 voxels, not 16"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        replace(PLAN, **changes)


@pytest.mark.parametrize("key", [field.name for field in fields(PretrainingPlan)])
def test_a_plan_of_a_pretraining_without_a_key_is_refused(key, tmp_path):
    kept = [x for x in SHIPPED.read_text("utf-8").splitlines() if not x.startswith(f"{key} ")]
    (tmp_path / "plan.toml").write_text("\n".join(kept))
    with pytest.raises(ValueError, match=rf"the keys \['{key}'\] are missing"):
        PretrainingPlan.read(tmp_path / "plan.toml")


def test_the_command_pretrains_and_refuses_in_one_sentence(images, tmp_path, monkeypatch, capsys):
    (tmp_path / "plan.toml").write_text(plan_text(PLAN))
    words = ["pretrain", "segmenter", "--config", tmp_path / "plan.toml"]
    where = ["--images", images, "--runs", tmp_path / "runs"]
    assert main([str(word) for word in (*words, *where)]) == OK
    weights = tmp_path / "runs" / "weights.safetensors"
    told = capsys.readouterr().out
    assert "masked step 4/4 loss" in told
    assert f"wrote {weights}\nnow: voxcite train segmenter --network unet --init" in told
    assert weights.is_file()
    assert main([str(word) for word in (*words, *where)]) == OK
    assert capsys.readouterr().out.startswith(f"finished before: {weights}")
    empty = ["--images", tmp_path / "nothing", "--runs", tmp_path / "others"]
    assert main([str(word) for word in (*words, *empty)]) == REFUSED
    assert "expected scans as NIfTI in the folders of --images" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert main([str(word) for word in (*words, "--images", images)]) == OK
    assert (tmp_path / "runs" / "masked-unet" / "weights.safetensors").is_file()
    assert main([str(word) for word in (*words, *where, "--pretext", "rotation")]) == REFUSED
    assert "expected one of masked, contrastive, found 'rotation'" in capsys.readouterr().err
