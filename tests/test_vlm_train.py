"""A training says the same whether it is interrupted, shared or alone, and ships what loads.

The reference of the loss is transformers' own forward over the whole vocabulary.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import asdict, replace
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from assistant.cli.learn import line_of
from assistant.writers.vlm import curve
from assistant.writers.vlm.adapter import Rank, words_comparisons
from assistant.writers.vlm.batches import Shown, Stream, Tokens, padding, shares
from assistant.writers.vlm.data import training_pairs
from assistant.writers.vlm.errors import ModelError
from assistant.writers.vlm.loss import Features, TargetLoss, tensors_of
from assistant.writers.vlm.model import Placement, load_embedded
from assistant.writers.vlm.plan import TrainingPlan
from assistant.writers.vlm.prompt import COMPARISON
from assistant.writers.vlm.sights import (
    Gallery,
    Sight,
    cases_of,
    crop_name,
    crop_views,
    strengths_between,
)
from assistant.writers.vlm.sources import embedded_parts
from assistant.writers.vlm.stages import trainable
from assistant.writers.vlm.train import Material, Progress, train
from assistant.writers.vlm.untrained import begin, markup_of, vocabulary_of
from assistant.writers.vlm.vision import normalised
from tests.plans import PLANS, every_plan
from tests.toy_training import toy_base, toy_plan, toy_views

pytestmark = pytest.mark.slow  # whole trainings at toy size

REPOSITORY = Path(__file__).resolve().parents[1]
STAGES = ("projector", "adapter")
SPEED = re.compile(r"\w+ step \d/\d loss [\d.]+, ([\d.]+) samples/s, ([\d.]+) a process")
SHIPPED = files("assistant.writers.vlm").joinpath("train.toml")
TUPLES = ("languages", "random_tower")  # lists where a plan is stored


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return toy_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def untrained(base):
    return begin(toy_plan(base)).model


@pytest.fixture(scope="module")
def tokens(untrained):
    vocabulary = vocabulary_of(untrained.tokenizer, ("en",))
    return Tokens(untrained.tokenizer, vocabulary, markup_of(untrained), "<end_of_turn>")


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    """Train without a break."""
    output = tmp_path_factory.mktemp("whole")
    steps = list(train(toy_plan(base), Material(toy_views), output))
    return output, steps


def gallery():
    return Gallery(toy_views(24), strengths_between(0.4, 1.0))


def stream(base, tokens, stage="adapter", **changes):
    return Stream(toy_plan(base, **changes), stage, tokens, gallery())


def losses(output, stage="adapter"):
    return [row.loss for row in curve.read(output / stage / "log.csv")]


@every_plan
def test_every_plan_that_is_shipped_can_be_read(name, processes, is_sharded):
    text = files("assistant.writers.vlm").joinpath(name).read_text(encoding="utf-8")
    plan = TrainingPlan.of(tomllib.loads(text), name)
    assert plan.accumulated(processes) > 0
    assert plan.fully_sharded == is_sharded


def test_no_plan_that_is_shipped_is_left_out():
    shipped = {path.name for path in SHIPPED.parent.glob("train*.toml")}
    assert shipped == {*PLANS, "train-own.toml", "train-words.toml"}


def test_the_words_that_came_later_were_learned_from_the_shipped_adapter_on():
    plan = TrainingPlan.read(SHIPPED.parent / "train-words.toml")
    assert (plan.adapter, plan.projector_steps) == ("shipped", 0)
    figures = SHIPPED.parent / "weights" / "figures-words.json"
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert TrainingPlan.of(found["plan"], figures.name) == plan
    assert len(found["stages"]["adapter"]["loss"]) == plan.adapter_steps


def test_the_plan_for_ones_own_reports_goes_on_from_the_shipped_adapter():
    plan = TrainingPlan.read(SHIPPED.parent / "train-own.toml")
    usual = TrainingPlan.read(SHIPPED)
    assert (plan.adapter, usual.adapter) == ("shipped", "new")
    config = json.loads((embedded_parts() / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (plan.rank, plan.alpha)
    steps = ("projector_steps", "adapter_steps", "adapter_rate", "warmup_steps")
    assert set(plan.differences(asdict(usual))) <= {"adapter", *steps, *TUPLES}


@pytest.mark.parametrize("wrong", [{"warm_up": 3}, {}])
def test_a_plan_with_unknown_or_missing_keys_is_refused(tmp_path, wrong):
    table = tomllib.loads(SHIPPED.read_text(encoding="utf-8")) | wrong
    if not wrong:
        del table["seed"]
    with pytest.raises(ValueError, match="missing or unknown"):
        TrainingPlan.of(table, "mine.toml")


@pytest.mark.parametrize("change", [{"weakest": 0.0}, {"batch": 0}, {"own_share": 2.0}])
def test_an_impossible_plan_is_refused(base, change):
    with pytest.raises(ValueError, match="expected"):
        toy_plan(base, **change)


def test_a_batch_that_processes_cannot_share_is_refused(base):
    with pytest.raises(ValueError, match="make batch a multiple of 6"):
        toy_plan(base).accumulated(3)


def test_a_tower_of_random_weights_is_refused_unless_the_plan_says_so(base):
    with pytest.raises(ValueError, match="voxcite train reader"):
        begin(toy_plan(base, tower="nobody.safetensors"))
    with pytest.raises(ValueError, match="random_tower"):
        begin(toy_plan(base, random_tower=()))


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_four_bits_without_bitsandbytes_are_refused(base):
    with pytest.raises(ModelError, match="bitsandbytes"):
        begin(toy_plan(base, precision="4bit"))


def test_the_loss_is_that_of_transformers_at_the_targets_alone(base, untrained, tokens):
    pairs = training_pairs(np.random.default_rng(2), 40, ("en",))
    shown = [Shown(pair, gallery().of_pair(pair, np.random.default_rng(0))) for pair in pairs]
    with_pictures = [tokens.sample(s) for s in shown if s.sights][:2]
    without = [tokens.sample(s) for s in shown if not s.sights][:1]
    batch = tokens.batch([*with_pictures, *without])
    network, device = untrained.network, torch.device("cpu")
    features = Features(network.model.vision_tower, network.model.multi_modal_projector, gallery())
    module = TargetLoss(network, tokens.vocabulary.rows(network.lm_head.weight))
    with torch.no_grad():
        found = float(module(tensors_of(batch, device), features.of(batch.sights)))
        expected = sum(reference(network, sample, tokens) for sample in (*with_pictures, *without))
    assert found == pytest.approx(expected, rel=1e-4)


def reference(network, sample, tokens):
    """Let transformers read one sample, unpadded, with pixels and the whole head."""
    ids = torch.tensor([[*sample.prompt, *sample.target]])
    pixels = [normalised(gallery().pixels(sight)) for sight in sample.sights]
    logits = network(
        input_ids=ids,
        token_type_ids=(ids == tokens.image_id).long(),
        pixel_values=torch.cat(pixels) if pixels else None,
    ).logits[0, len(sample.prompt) - 1 : -1]
    allowed = logits[:, list(tokens.vocabulary.ids)].float()
    dense = torch.tensor(sample.dense)
    return float(torch.nn.functional.cross_entropy(allowed, dense, reduction="sum"))


def test_a_picture_is_looked_at_once(untrained):
    network = untrained.network
    features = Features(network.model.vision_tower, network.model.multi_modal_projector, gallery())
    sight = Sight(crop_name(1), "left")
    first = features.of([sight, sight])
    assert len(features) == 1
    assert torch.equal(first[:3], features.of([sight]))


def test_a_crop_is_cut_once_for_all_its_faults(tmp_path):
    rng = np.random.default_rng(0)
    for case in cases_of("training"):
        block = rng.random((12, 12, 12), dtype=np.float32)
        nibabel.Nifti1Image(block, np.eye(4)).to_filename(tmp_path / crop_name(case))
    shown = Gallery(crop_views(tmp_path, tmp_path, 24), strengths_between(0.4, 1.0))
    scan = crop_name(next(iter(cases_of("training"))))
    clean = shown.pixels(Sight(scan, "left")).copy()
    (tmp_path / scan).unlink()
    assert not np.allclose(shown.pixels(Sight(scan, "left", "noise", 1.0)), clean)
    np.testing.assert_array_equal(shown.pixels(Sight(scan, "left")), clean)


def test_what_the_prompt_says_of_quality_was_done_to_the_picture():
    rng = np.random.default_rng(4)
    found = [(p, gallery().of_pair(p, rng)) for p in training_pairs(rng, 80, ("en",))]
    shown = [(pair, sight) for pair, sights in found for sight in sights]
    assert len({sight.fault for _, sight in shown}) > 2
    assert all(sight.fault == "".join(pair.task.quality) for pair, sight in shown)


@pytest.mark.parametrize("fault", ["motion", "noise", "low resolution", "bias field", "clipping"])
def test_a_fault_changes_a_picture_the_more_the_stronger_it_is(fault):
    clean = gallery().pixels(Sight(crop_name(1), "left"))
    weak, strong = (
        np.abs(gallery().pixels(Sight(crop_name(1), "left", fault, strength)) - clean).mean()
        for strength in (0.1, 1.0)
    )
    assert 0 < weak < strong


def test_samples_of_a_step_are_the_same_from_wherever_a_run_goes_on(base, tokens):
    ahead = stream(base, tokens).from_step(0)
    steps = [next(ahead) for _ in range(5)]
    assert next(stream(base, tokens).from_step(4)) == steps[4]
    assert steps[3] != steps[0]


def test_processes_share_a_step_without_overlap(base, tokens):
    samples = next(stream(base, tokens).from_step(0))
    parts = [part for process in range(2) for part in shares(samples, process, 2, 1)]
    assert sorted(map(len, parts)) == [1, 1, 1, 1]
    assert {id(sample) for part in parts for sample in part} == {id(s) for s in samples}


def test_little_of_a_batch_is_padding(base, tokens):
    pool = stream(base, tokens, pool=8).pool(0)
    assert np.mean([padding(samples) for samples in pool]) < 0.1


def test_comparisons_are_among_what_is_trained_on(base, tokens):
    samples = [s for step in stream(base, tokens, pool=16).pool(0) for s in step]
    prompts = [tokens.tokenizer.decode(s.prompt, skip_special_tokens=False) for s in samples]
    compared = [sample for sample, text in zip(samples, prompts, strict=True) if COMPARISON in text]
    assert len(compared) > 3
    assert all(sample.sights == () for sample in compared)
    assert max(map(len, compared)) <= toy_plan(base).longest


def test_a_sample_is_never_longer_than_the_plan_says(base, tokens):
    pool = stream(base, tokens, longest=300).pool(0)
    assert max(len(sample) for samples in pool for sample in samples) <= 300
    with pytest.raises(ValueError, match="set longest to more"):
        stream(base, tokens, longest=8, pool=1).pool(0)


def test_every_step_is_logged_and_shown(trained):
    output, steps = trained
    assert [(s.stage, s.step) for s in steps] == [
        *(("projector", n) for n in (1, 2)),
        *(("adapter", n) for n in range(1, 6)),
    ]
    assert [s.loss for s in steps][2:] == pytest.approx(losses(output), abs=1e-6)


def assert_told(lines, output, processes):
    """Each step is told once, with the samples a second of its row: of all and of each process."""
    told = [SPEED.fullmatch(line) for line in lines.splitlines()]
    rows = [row for stage in STAGES for row in curve.read(output / stage / "log.csv")]
    assert len(told) == len(rows) == 7
    for found, row in zip(told, rows, strict=True):
        together, each = map(float, found.groups())
        assert together == pytest.approx(row.samples / row.seconds, rel=0.02, abs=0.01)
        assert each == pytest.approx(together / processes, abs=0.01)


def test_each_step_is_told_with_its_speed(trained):
    assert_told("\n".join(map(line_of, trained[1])), trained[0], processes=1)


def test_a_speed_is_that_of_all_steps_since_it_was_told():
    rows = [curve.Row(1, 0.5, 4, 9, 9, 1.0), curve.Row(2, 0.5, 4, 9, 9, 3.0)]
    step = Progress("adapter", 2, 8, 0.5, curve.samples_per_s(rows), 4)
    assert line_of(step) == "adapter step 2/8 loss 0.5000, 2.00 samples/s, 0.50 a process"
    assert line_of(Progress("convert", 1, 3)) == "convert step 1/3"


def test_training_lowers_the_loss(trained):
    found = losses(trained[0])
    assert found[-1] < 0.97 * found[0]


def test_a_killed_run_goes_on_along_the_same_curve(trained, base, tmp_path):
    cut = train(toy_plan(base), Material(toy_views), tmp_path)
    for step in cut:
        if (step.stage, step.step) == ("adapter", 3):
            break
    cut.close()
    list(train(toy_plan(base), Material(toy_views), tmp_path, resume=True))
    assert losses(tmp_path) == losses(trained[0])
    whole, broken = (
        load_file(output / "adapter" / "trained.safetensors") for output in (trained[0], tmp_path)
    )
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_a_folder_that_holds_a_run_is_refused_unless_it_is_resumed_with_its_plan(trained, base):
    with pytest.raises(ValueError, match="expected an empty folder"):
        next(train(toy_plan(base), Material(toy_views), trained[0]))
    other = train(toy_plan(base, seed=4, rank=8), Material(toy_views), trained[0], resume=True)
    with pytest.raises(ValueError, match="another rank, seed"):
        next(other)
    assert list(train(toy_plan(base), Material(toy_views), trained[0], resume=True)) == []


def test_what_is_shipped_loads_and_is_what_was_trained(trained, base):
    shipped = trained[0] / "shipped"
    model = load_embedded(base, shipped, Placement("cpu", "float32"))
    found = dict(model.network.named_parameters())
    for name, tensor in load_file(trained[0] / "adapter" / "trained.safetensors").items():
        assert torch.equal(found[f"base_model.model.{name}"], tensor)
    assert words_comparisons(shipped / "adapter")
    words = json.loads((shipped / "vocabulary.json").read_text(encoding="utf-8"))["words"]
    assert words == list(vocabulary_of(model.tokenizer, ("en",)).words)


def test_a_training_goes_on_from_an_adapter_with_its_tower_and_projector(trained, base, tmp_path):
    shipped = trained[0] / "shipped"
    plan = toy_plan(base, adapter=str(shipped), projector_steps=0, adapter_steps=2)
    begun = begin(plan)
    before = load_file(trained[0] / "adapter" / "trained.safetensors")
    network = trainable(begun.model, "adapter", Rank(4, 8), 3, begun.adapter)
    held = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert held.keys() == before.keys()
    assert all(torch.equal(held[name], tensor) for name, tensor in before.items())
    first, *_ = train(plan, Material(toy_views), tmp_path / "on")
    assert first.stage == "adapter"
    assert first.loss < losses(trained[0])[0]
    for part in ("projector.safetensors", "vision_tower.safetensors"):
        assert (tmp_path / "on" / "shipped" / part).read_bytes() == (shipped / part).read_bytes()
    assert words_comparisons(tmp_path / "on" / "shipped" / "adapter")
    after = load_file(tmp_path / "on" / "adapter" / "trained.safetensors")
    assert not any(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_short_training_does_not_make_an_adapter_word_comparisons(trained, base, tmp_path):
    parts = tmp_path / "old"
    shutil.copytree(trained[0] / "shipped", parts)
    weights = parts / "adapter" / "adapter_model.safetensors"
    save_file(load_file(weights), weights, metadata={"format": "pt"})
    manifest = json.loads((parts / "manifest.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    manifest["sha256"]["adapter/adapter_model.safetensors"] = digest
    (parts / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    plan = toy_plan(base, adapter=str(parts), projector_steps=0, adapter_steps=1)
    list(train(plan, Material(toy_views), tmp_path / "on"))
    assert not words_comparisons(tmp_path / "on" / "shipped" / "adapter")


def test_an_adapter_of_another_rank_or_without_its_projector_is_refused(trained, base, tmp_path):
    shipped = str(trained[0] / "shipped")
    with pytest.raises(ValueError, match="set projector_steps = 0"):
        toy_plan(base, adapter=shipped)
    plan = toy_plan(base, adapter=shipped, projector_steps=0, rank=8)
    with pytest.raises(ValueError, match="expected rank 8 and alpha 8, found 4 and 8"):
        list(train(plan, Material(toy_views), tmp_path / "run"))


@pytest.mark.parametrize("uneven", [{"use_rslora": True}, {"alpha_pattern": {"q_proj": 2}}])
def test_an_adapter_that_is_scaled_otherwise_is_refused(trained, base, tmp_path, uneven):
    shutil.copytree(trained[0] / "shipped" / "adapter", tmp_path / "mine")
    path = tmp_path / "mine" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | uneven))
    model = begin(toy_plan(base)).model
    found = f"mine: expected LoRA of one rank and scale, found {next(iter(uneven))}"
    with pytest.raises(ValueError, match=found):
        trainable(model, "adapter", Rank(4, 8), 3, tmp_path / "mine")


def test_an_adapter_that_is_not_there_or_is_of_another_base_is_refused(base, tmp_path):
    (tmp_path / "mine").mkdir()
    plan = toy_plan(base, adapter=str(tmp_path / "mine"), projector_steps=0)
    with pytest.raises(ModelError, match="mine: expected the folder of an adapter"):
        begin(plan)
    with pytest.raises(ModelError, match="expected the gemma3-270m that they were trained with"):
        begin(replace(plan, adapter="shipped"))


def test_figures_tell_speed_memory_and_the_curve(trained, base):
    found = json.loads((trained[0] / "shipped" / "figures.json").read_text(encoding="utf-8"))
    adapter = found["stages"]["adapter"]
    assert adapter["loss"] == losses(trained[0])
    assert min(adapter["samples_per_s"], adapter["tokens_per_s"], found["peak_memory_bytes"]) > 0
    assert TrainingPlan.of(found["plan"], "figures.json") == replace(toy_plan(base))
    assert asdict(toy_plan(base)).keys() == found["plan"].keys()


def test_pieces_of_layers_need_several_processes(base, tmp_path):
    with pytest.raises(ValueError, match="torchrun"):
        next(train(toy_plan(base, fully_sharded=True), Material(toy_views), tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(1600)
@pytest.mark.parametrize("kind", ["copies", "sharded"])
def test_two_processes_train_as_one_with_the_same_batch(trained, base, tmp_path, kind):
    arguments = ["--standalone", "--nproc-per-node", "2", "-m", "tests.toy_training"]
    command = [sys.executable, "-m", "torch.distributed.run", *arguments]
    told = subprocess.run(
        [*command, str(base), str(tmp_path), kind],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=1500,
    ).stdout
    assert_told(told, tmp_path, processes=2)
    for stage in STAGES:
        assert losses(tmp_path, stage) == pytest.approx(losses(trained[0], stage), rel=1e-4)
    load_embedded(base, tmp_path / "shipped", Placement("cpu", "float32"))
