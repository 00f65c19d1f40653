"""A training can be interrupted, repeated and read back; what it writes is what is shipped."""

import re
import subprocess
import sys
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from segment.models import Box, training
from segment.models.ensemble import pack, read
from segment.models.network import ALIASES, COUNTER, build_network, load_state, state_of
from segment.models.norms import WINDOW_SHARE, MixedNorm
from segment.models.training.cases import augmentation, read_cases
from segment.models.training.plan import (
    Run,
    TrainingPlan,
    case_name,
    fold_of,
    plan_runs,
    subject_of,
)
from segment.models.training.run import Progress, Trainer, train, train_run, untrained
from segment.models.windows import WINDOW
from tests.plans import PLANS, every_plan
from tests.toy_segmenter import (
    STRUCTURES,
    alone,
    launched,
    shared_plan,
    toy_plan,
    write_crops,
)

PLAN = toy_plan(epochs=2)
RUN = Run("member0", 0, None, 2, (1, 2), (3,))
SPEED = re.compile(r"member0 epoch \d/5 loss [\d.]+, ([\d.]+) samples/s, ([\d.]+) a process")
NAMES = [case_name(case) for case in RUN.train]
SHIPPED = files(training).joinpath("train.toml")
BLOCKS = (np.s_[6:13, 11:17, 5:12], np.s_[6:13, 5:11, 5:12])
SPLIT = {"train": [c for c in range(1, 120) if c % 7], "val": [7, 14]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three crops with their labels and their split, as the training data lie."""
    return write_crops(
        tmp_path_factory.mktemp("data"), (20, 22, 18), BLOCKS, train=(1, 2), val=(3,)
    )


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """One finished, uninterrupted run."""
    output = tmp_path_factory.mktemp("runs")
    progress = list(train_run(PLAN, RUN, data, output))
    return output, progress


@pytest.fixture(scope="module")
def networks():
    """Two networks of the shipped architecture, by seed."""
    made = {}
    for seed in (3, 7):
        torch.manual_seed(seed)
        made[seed] = build_network("unet", WINDOW, 3)
    return made


@pytest.fixture
def packed(networks, tmp_path):
    """Their weights as a shipped file."""
    paths = {seed: tmp_path / f"{seed}.safetensors" for seed in networks}
    for seed, path in paths.items():
        save_file(state_of(networks[seed]), path)
    pack(paths, np.array([1.0, 1.2, 0.9], np.float32), tmp_path / "packed.safetensors")
    return tmp_path / "packed.safetensors"


def plan_text():
    return SHIPPED.read_text(encoding="utf-8")


def test_the_shipped_plan_is_read_whole(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(plan_text(), encoding="utf-8")
    plan = TrainingPlan.read(path)
    assert plan.structures == STRUCTURES
    assert plan.patch == (32, 48, 32)
    assert plan.members == 5


@every_plan
def test_a_shipped_plan_divides_among_the_processes_that_it_is_for(name, processes, is_sharded):
    plan = TrainingPlan.read(Path(str(files(training).joinpath(name))))
    plan.check_shared(processes)
    assert plan.fully_sharded == is_sharded


def test_no_shipped_plan_is_left_out():
    shipped = {path.name for path in SHIPPED.parent.glob("train*.toml")}
    assert shipped == PLANS.keys()


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(ValueError, match="a batch of 4 does not divide among 3 processes; make"):
        shared_plan().check_shared(3)


def test_a_precision_that_is_none_is_refused():
    with pytest.raises(ValueError, match="precision: expected bfloat16 or float32, found 'int8'"):
        toy_plan(precision="int8")


def test_pieces_of_layers_need_several_processes(data, tmp_path):
    with pytest.raises(ValueError, match="torchrun"):
        next(train_run(toy_plan(fully_sharded=True), RUN, data, tmp_path))


@pytest.mark.parametrize("key", [field.name for field in fields(TrainingPlan)])
def test_a_plan_without_a_key_is_refused_by_its_name(key, tmp_path):
    lines = [line for line in plan_text().splitlines() if line.partition(" ")[0] != key]
    path = tmp_path / "plan.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(
        ValueError, match=rf"plan.toml: the keys \['{key}'\] are missing or unknown"
    ):
        TrainingPlan.read(path)


def test_a_plan_with_an_unknown_key_is_refused_by_its_name(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(plan_text() + "\nbatchsize = 4\n", encoding="utf-8")
    with pytest.raises(ValueError, match="'batchsize'"):
        TrainingPlan.read(path)


def test_both_sides_of_a_subject_fall_into_one_fold():
    folds = {case: fold_of(case, 3) for case in range(1, 400)}
    assert all(folds[odd] == folds[odd + 1] for odd in range(1, 399, 2))
    assert set(folds.values()) == {0, 1, 2}


def test_the_folds_hold_out_every_case_once():
    runs = [run for run in plan_runs(replace(PLAN, folds=3), SPLIT) if run.fold is not None]
    held_out = [case for run in runs for case in run.held_out]
    assert sorted(held_out) == SPLIT["train"]


def test_no_subject_is_trained_on_and_held_out():
    for run in plan_runs(replace(PLAN, folds=3), SPLIT)[1:]:
        assert not {subject_of(c) for c in run.train} & {subject_of(c) for c in run.held_out}
        assert sorted(run.train + run.held_out) == SPLIT["train"]


def test_a_split_may_say_which_cases_each_fold_leaves_out():
    split = {"train": [1, 2, 3, 5], "val": [], "folds": [[1, 2], [3, 5]]}
    runs = [run for run in plan_runs(PLAN, split) if run.fold is not None]
    assert [run.held_out for run in runs] == [(1, 2), (3, 5)]
    assert [run.train for run in runs] == [(3, 5), (1, 2)]


@pytest.mark.parametrize(
    ("folds", "told"),
    [
        ([[1, 3], [2, 5]], "expected both sides of a subject in one fold of split.json, found"),
        ([[1, 2], [3], [5]], "expected as many folds in split.json as the plan has, 2, found 3"),
        ([[1, 2], [3]], "each case of train once .* found case 5 otherwise"),
        ([[1, 2], [3, 5, 7]], "each case of train once .* found case 7 otherwise"),
        ([[1, 2, 3], [3, 5]], "each case of train once .* found case 3 otherwise"),
    ],
    ids=["a subject in two", "too many", "a case missing", "another case", "a case twice"],
)
def test_folds_that_do_not_leave_out_each_subject_once_are_refused(folds, told):
    with pytest.raises(ValueError, match=told):
        plan_runs(PLAN, {"train": [1, 2, 3, 5], "val": [], "folds": folds})


def test_the_shipped_members_see_every_training_case_and_no_other():
    member, *_ = plan_runs(PLAN, SPLIT)
    assert (list(member.train), list(member.held_out)) == (SPLIT["train"], SPLIT["val"])


def test_every_run_has_a_name_and_a_seed_of_its_own():
    runs = plan_runs(replace(PLAN, members=5, folds=3, fold_members=2), SPLIT)
    assert len({run.name for run in runs}) == len({run.seed for run in runs}) == 11


def test_a_run_yields_each_epoch_and_logs_it(trained):
    output, progress = trained
    assert [(step.run, step.epoch, step.epochs) for step in progress] == [
        ("member0", 1, 3),
        ("member0", 2, 3),
        ("member0", 3, 3),
    ]
    assert all(isinstance(step, Progress) and np.isfinite(step.loss) for step in progress)
    log = (output / "member0" / "log.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in log] == ["1", "2", "3"]


def test_a_training_changes_the_weights(trained):
    torch.manual_seed(RUN.seed)
    before = state_of(untrained(PLAN))
    after = load_file(trained[0] / "member0" / "weights.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
@pytest.mark.parametrize("done", [1, 2, 3], ids=["training", "before settling", "settled"])
def test_a_run_that_was_interrupted_ends_with_the_same_weights(done, trained, data, tmp_path):
    interrupted = train_run(PLAN, RUN, data, tmp_path)
    for _ in range(done):
        next(interrupted)
    interrupted.close()
    resumed = list(train_run(PLAN, RUN, data, tmp_path))
    one, other = (
        load_file(folder / "member0" / "weights.safetensors") for folder in (trained[0], tmp_path)
    )
    assert [step.epoch for step in resumed] == list(range(done + 1, 4))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_log_holds_each_epoch_once_after_an_interruption(data, tmp_path):
    plan = replace(PLAN, checkpoint_every_epochs=2)
    interrupted = train_run(plan, RUN, data, tmp_path)
    next(interrupted)
    interrupted.close()
    list(train_run(plan, RUN, data, tmp_path))
    log = (tmp_path / "member0" / "log.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in log] == ["1", "2", "3"]


def test_the_settling_steps_are_small_and_become_smaller(data):
    cases = read_cases(data / "images", data / "labels", NAMES)
    trainer = Trainer(PLAN, RUN, cases, alone())
    for _ in range(PLAN.epochs):
        trainer.train_one_epoch()
    trainer.train_one_epoch()
    assert 0 < trainer.optimiser.param_groups[0]["lr"] < PLAN.settling_learning_rate


def test_an_augmentation_without_strength_only_shifts(data):
    (case,) = read_cases(data / "images", data / "labels", NAMES[:1])
    shifted = augmentation([16] * 3, 4, strength=0.0)(case)["image"].as_tensor()
    assert set(shifted.unique().tolist()) - {0.0}
    assert shifted.max() <= case["image"].max() + 1e-6


def test_a_finished_run_is_left_alone(trained, data):
    weights = trained[0] / "member0" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    assert list(train_run(PLAN, RUN, data, trained[0])) == []
    assert weights.stat().st_mtime_ns == before


def test_a_checkpoint_that_holds_code_is_not_run(data, tmp_path):
    folder = tmp_path / "member0"
    folder.mkdir()
    torch.save({"network": {}, "epoch": Progress("x", 1, 1, 0.0, 1.0)}, folder / "last.pt")
    with pytest.raises(Exception, match="weights_only"):
        list(train_run(PLAN, RUN, data, tmp_path))


def test_fewer_cases_than_a_batch_are_refused(data, tmp_path):
    with pytest.raises(ValueError, match="2 cases do not fill a batch of 3"):
        list(train_run(replace(PLAN, batch=3), RUN, data, tmp_path))


@pytest.mark.parametrize(("told", "set_to"), [(None, [4]), ("6", [])])
def test_shares_divide_the_cores_unless_they_are_told(told, set_to, data, tmp_path, monkeypatch):
    chosen = []
    monkeypatch.setattr("torch.set_num_threads", chosen.append)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if told is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    list(train(toy_plan(members=0, folds=0), data, tmp_path, share=0, shares=2))
    assert chosen == set_to


def test_a_plan_is_trained_in_shares(data, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    plan = replace(PLAN, epochs=1, settling_epochs=0, folds=0, members=3)
    done = list(train(plan, data, tmp_path, share=1, shares=2))
    assert [step.run for step in done] == ["member1"]


def test_cases_are_read_on_one_scale(data):
    (case,) = read_cases(data / "images", data / "labels", NAMES[:1])
    assert case["image"].shape == case["label"].shape == (1, 20, 22, 18)
    assert float(case["image"].max()) <= 1.5
    assert set(case["label"].unique().tolist()) == {0.0, 1.0, 2.0}


def test_an_augmentation_is_the_same_for_the_same_seed(data):
    (case,) = read_cases(data / "images", data / "labels", NAMES[:1])
    one, same, other = (augmentation([16] * 3, seed)(case)["image"] for seed in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("seed", range(6))
def test_an_augmentation_never_swaps_front_and_back(data, seed):
    (case,) = read_cases(data / "images", data / "labels", NAMES[:1])
    label = np.asarray(augmentation([16] * 3, seed)(case)["label"][0])
    assert np.argwhere(label == 1)[:, 1].mean() > np.argwhere(label == 2)[:, 1].mean() + 2


def test_packed_weights_are_read_back(packed, networks):
    ensemble = read(packed, "packed")
    assert ensemble.seeds == (3, 7)
    assert ensemble.temperature == pytest.approx([1.0, 1.2, 0.9])
    assert ensemble.structures == STRUCTURES
    for network, seed in zip(ensemble.networks, ensemble.seeds, strict=True):
        wanted = state_of(networks[seed])
        assert all(
            torch.equal(tensor, wanted[name].half().float())
            for name, tensor in state_of(network).items()
        )


def test_packed_weights_take_two_bytes_each(packed):
    with safe_open(packed, "pt") as tensors:
        kinds = {tensors.get_tensor(k).dtype for k in tensors.keys() if "/" in k}  # noqa: SIM118
    assert kinds == {torch.float16}


@pytest.mark.parametrize(
    "tensors",
    [
        {"weight": torch.zeros(3)},
        {"temperature": torch.ones(3)},
        {"temperature": torch.ones(3), "first/weight": torch.zeros(3)},
    ],
    ids=["no temperature", "no member", "no seed"],
)
def test_other_tensors_are_refused(tensors, tmp_path):
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors: expected the packed weights"):
        read(tmp_path / "other.safetensors", "other")


def test_weights_of_another_architecture_are_refused(trained, tmp_path):
    pack(
        {0: trained[0] / "member0" / "weights.safetensors"},
        np.ones(3, np.float32),
        tmp_path / "packed.safetensors",
    )
    with pytest.raises(ValueError, match="another architecture"):
        read(tmp_path / "packed.safetensors", "small")


def monais_network():
    from monai.networks.nets.dynunet import DynUNet

    filters, strides = [16, 32, 64, 128], [1, 2, 2, 2]
    return DynUNet(
        3,
        1,
        3,
        [3] * 4,
        strides,
        [2] * 3,
        filters,
        norm_name="batch",
        res_block=True,
    )


def test_a_network_is_monais_with_each_parameter_once(networks):
    reference = monais_network()
    state = state_of(networks[3])
    whole = reference.state_dict()
    once = {name for name in whole if not name.startswith(ALIASES)}
    assert set(state) == {name for name in once if not name.endswith(COUNTER)}
    for name in [name for name in whole if name.startswith(ALIASES)]:
        assert whole[name].data_ptr() in {whole[kept].data_ptr() for kept in once}


def test_a_loaded_network_computes_what_monais_computes(networks):
    reference = monais_network()
    reference.load_state_dict(state_of(networks[3]), strict=False)
    loaded = build_network("unet", WINDOW, 3, norm="batch")
    load_state(loaded, state_of(networks[3]))
    crops = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(loaded.eval()(crops), reference.eval()(crops), atol=1e-4)


def test_a_mixed_norm_takes_most_of_its_statistics_from_the_window():
    generator = torch.Generator().manual_seed(1)
    trained = torch.nn.BatchNorm3d(4)
    for tensor in (trained.running_mean, trained.running_var, trained.weight.data):
        tensor.uniform_(0.5, 2.0, generator=generator)
    features = torch.randn(2, 4, 3, 5, 6, generator=generator)
    with torch.inference_mode():
        found = MixedNorm(trained)(features)
    for window, normed in zip(features, found, strict=True):
        for channel in range(4):
            own, theirs = window[channel], float(trained.running_mean[channel])
            mean = WINDOW_SHARE * own.mean() + (1 - WINDOW_SHARE) * theirs
            spread = float(trained.running_var[channel])
            var = WINDOW_SHARE * own.var(correction=0) + (1 - WINDOW_SHARE) * spread
            expected = (own - mean) / torch.sqrt(var + trained.eps) * trained.weight[channel]
            assert torch.allclose(normed[channel], expected, atol=1e-5)


def test_statistics_are_those_of_plain_crops(data, trained):
    cases = read_cases(data / PLAN.images, data / PLAN.labels, NAMES)
    kept = load_file(trained[0] / "member0" / "weights.safetensors")
    trainer = Trainer(PLAN, RUN, cases, alone())
    load_state(trainer.network, kept)
    trainer.network.get_buffer(next(n for n in kept if n.endswith("running_var"))).fill_(9.0)
    trainer.take_statistics()
    again = state_of(trainer.network)
    assert all(torch.allclose(kept[name], again[name], atol=1e-5) for name in kept)


def test_members_segment_a_box_into_probabilities_side_by_side(packed):
    rng = np.random.default_rng(0)
    shapes = [(24, 30, 20), (20, 30, 22)]
    boxes = [Box(rng.random(s, np.float32), np.ones(s, bool)) for s in shapes]
    found = read(packed, "packed")(boxes)
    assert [probability.shape for probability in found] == [(2, 3, *shape) for shape in shapes]
    for probability in found:
        assert np.allclose(probability.sum(axis=1), 1, atol=1e-4)


@pytest.mark.slow
def test_a_box_is_segmented_alike_alone_and_beside_another(packed):
    rng = np.random.default_rng(0)
    inside = np.ones((20, 30, 22), bool)
    one, other = (Box(rng.random(inside.shape, np.float32), inside) for _ in range(2))
    ensemble = read(packed, "packed")
    member = replace(ensemble, networks=ensemble.networks[:1], seeds=ensemble.seeds[:1])
    (alone,) = member([one])
    together, _ = member([one, other])
    assert np.allclose(alone, together, atol=1e-4)


@pytest.mark.slow
def test_building_a_network_does_not_import_transformers():
    code = (
        "import sys; from segment.models.network import build_network as b; b('unet', (8,) * 3, 3);"
        "assert 'transformers' not in sys.modules; import transformers"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_checkpoint_of_another_network_is_refused_in_one_sentence(data, tmp_path):
    interrupted = train_run(PLAN, RUN, data, tmp_path)
    next(interrupted)
    interrupted.close()
    wider = replace(PLAN, sizes={"filters": (8, 8, 8)})
    with pytest.raises(ValueError, match=r"^member0: expected a checkpoint of unet, found another"):
        next(train_run(wider, RUN, data, tmp_path))


def test_what_is_no_safetensors_is_refused(tmp_path):
    (tmp_path / "notes.safetensors").write_bytes(b"not a tensor")
    with pytest.raises(ValueError, match=r"^notes\.safetensors: expected the packed weights"):
        read(tmp_path / "notes.safetensors", "notes")


@pytest.mark.parametrize("name", ["transunet", "unetr"])
def test_a_patch_that_a_network_cannot_look_at_is_refused(name):
    with pytest.raises(ValueError, match=rf"^{name} looks at windows of 32 x 48 x 32 voxels, not"):
        replace(PLAN, network=name, sizes={})


# several processes


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Four crops, and what one process trains of them."""
    folder = tmp_path_factory.mktemp("four")
    data = write_crops(folder, (20, 22, 18), BLOCKS, train=(1, 2, 3, 4), val=(5,))
    return data, list(train(shared_plan(), data, folder / "runs"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["copies", "sharded"])
def test_two_processes_train_as_one_with_the_same_batch(four, tmp_path, kind):
    data, alone_told = four
    told = launched("tests.toy_segmenter", data, tmp_path, kind)
    losses = [step.loss for step in alone_told]
    log = (tmp_path / "member0" / "log.csv").read_text().splitlines()
    assert [float(line.partition(",")[2]) for line in log] == pytest.approx(losses, abs=1e-4)
    assert losses[-1] < losses[0]
    speeds = [SPEED.fullmatch(line) for line in told.splitlines()]
    assert len(speeds) == len(losses) == 5
    for together, each in (map(float, found.groups()) for found in speeds):
        assert each == pytest.approx(together / 2, abs=0.011)
    one, other = (
        load_file(folder / "member0" / "weights.safetensors")
        for folder in (data / "runs", tmp_path)
    )
    assert one.keys() == other.keys()
    assert all(torch.allclose(one[name], other[name], atol=2e-3) for name in one)
    (tmp_path / "member0" / "weights.safetensors").unlink()
    (last,) = train(shared_plan(), data, tmp_path)  # one process, from what two kept
    assert (last.epoch, last.loss) == (5, pytest.approx(losses[-1], abs=1e-4))
