"""A training begins with the weights given to it, tells what fits, and keeps to its schedule."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from assistant.cli import OK, REFUSED, main
from segment.models.ensemble import pack
from segment.models.network import state_of
from segment.models.training.cases import read_cases
from segment.models.training.plan import Run, case_name
from segment.models.training.run import Trainer, fit_of, train, train_run, untrained
from segment.models.training.schedules import Schedule, schedules
from segment.models.training.start import Start
from tests.toy_segmenter import (
    alone,
    launched,
    plan_text,
    shared_plan,
    toy_plan,
    write_crops,
)

PLAN = toy_plan(epochs=5, settling_epochs=1)
RUN = Run("member0", 0, None, 5, (1, 2), ())
BLOCKS = (np.s_[6:13, 11:17, 5:12], np.s_[6:13, 5:11, 5:12])
HEAD = "output_block"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_crops(tmp_path_factory.mktemp("data"), (20, 22, 18), BLOCKS, train=(1, 2))


@pytest.fixture
def cases(data):
    return read_cases(data / "images", data / "labels", [case_name(case) for case in RUN.train])


def checkpoint(folder, plan=PLAN, seed=9):
    """Write the weights of a network with this plan's shapes."""
    torch.manual_seed(seed)
    path = folder / f"start{seed}.safetensors"
    save_file(state_of(untrained(plan)), path)
    return path


def test_every_parameter_has_a_name_that_its_state_has():
    network = untrained(PLAN)
    assert {name for name, _ in network.named_parameters()} <= state_of(network).keys()


def test_a_training_begins_with_the_weights_that_it_is_given(cases, tmp_path):
    init = checkpoint(tmp_path)
    trainer = Trainer(PLAN, RUN, cases, alone(), Start(init, "gentle"))
    assert trainer.fit.new == ()
    given = load_file(init)
    assert all(torch.equal(t, given[n]) for n, t in state_of(trainer.network).items())


def test_what_does_not_fit_begins_anew_and_is_named(tmp_path):
    init = checkpoint(tmp_path, replace(PLAN, structures=("background", "whole")))
    fit = fit_of(PLAN, Start(init, "gentle"))
    assert fit.new
    assert all(name.startswith(HEAD) for name in fit.new)
    assert len(fit.read) + len(fit.new) == len(state_of(untrained(PLAN)))


def test_a_checkpoint_of_which_nothing_fits_is_refused(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"^other\.safetensors: expected weights of this network"):
        fit_of(PLAN, Start(tmp_path / "other.safetensors", "gentle"))


def test_what_is_no_safetensors_is_refused_as_a_start(tmp_path):
    (tmp_path / "notes.txt").write_text("no tensor")
    with pytest.raises(ValueError, match=r"^notes\.txt: expected weights in safetensors"):
        fit_of(PLAN, Start(tmp_path / "notes.txt", "gentle"))


def test_each_run_takes_a_member_of_an_ensemble(tmp_path):
    paths = {seed: checkpoint(tmp_path, seed=seed) for seed in (3, 7)}
    pack(paths, np.ones(3, np.float32), tmp_path / "packed.safetensors")
    start = Start(tmp_path / "packed.safetensors", "gentle")
    for seed, member in ((0, 3), (1, 7), (2, 3)):
        network = untrained(PLAN)
        assert start.load_into(network, seed).new == ()
        wanted = load_file(paths[member])
        assert all(
            torch.allclose(tensor, wanted[name], atol=1e-3, rtol=1e-3)
            for name, tensor in state_of(network).items()
        )


def test_a_schedule_without_a_name_is_refused():
    with pytest.raises(ValueError, match="expected one of the schedules scratch, gentle, head-f"):
        Start(None, "reckless")


def test_a_gentle_training_takes_smaller_steps(cases, tmp_path):
    init = checkpoint(tmp_path)
    gentle = Trainer(PLAN, RUN, cases, alone(), Start(init, "gentle"))
    plain = Trainer(PLAN, RUN, cases, alone(), Start(init, "scratch"))
    ratio = schedules()["gentle"].rate_share
    assert gentle.stage.learning_rate == pytest.approx(ratio * plain.stage.learning_rate)
    assert ratio < 1


def test_only_what_is_new_learns_while_the_rest_is_held(cases, tmp_path):
    init = checkpoint(tmp_path, replace(PLAN, structures=("background", "whole")))
    trainer = Trainer(PLAN, RUN, cases, alone(), Start(init, "head-first"))
    assert trainer.stage.is_held
    before = {n: p.clone() for n, p in trainer.network.named_parameters()}
    trainer.train_one_epoch()
    changed = {n for n, p in trainer.network.named_parameters() if not torch.equal(p, before[n])}
    assert changed == set(trainer.fit.new) & before.keys()
    trainer.train_one_epoch()
    assert not trainer.stage.is_held
    changed = {n for n, p in trainer.network.named_parameters() if not torch.equal(p, before[n])}
    assert changed > set(trainer.fit.new) & before.keys()


def test_nothing_is_held_where_everything_fits(cases, tmp_path):
    trainer = Trainer(PLAN, RUN, cases, alone(), Start(checkpoint(tmp_path), "head-first"))
    assert not trainer.stage.is_held


def test_a_run_with_a_start_ends_alike_after_an_interruption(data, tmp_path):
    init = checkpoint(tmp_path, replace(PLAN, structures=("background", "whole")))
    start = Start(init, "head-first")
    whole = list(train_run(PLAN, RUN, data, tmp_path / "whole", start))
    interrupted = train_run(PLAN, RUN, data, tmp_path / "parts", start)
    next(interrupted)
    interrupted.close()
    rest = list(train_run(PLAN, RUN, data, tmp_path / "parts", start))
    assert (len(whole), len(rest)) == (6, 5)
    one, other = (
        load_file(tmp_path / kind / "member0" / "weights.safetensors")
        for kind in ("whole", "parts")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_that_began_with_something_else_is_not_gone_on_with(data, tmp_path):
    interrupted = train_run(PLAN, RUN, data, tmp_path)
    next(interrupted)
    interrupted.close()
    start = Start(checkpoint(tmp_path), "gentle")
    with pytest.raises(ValueError, match=r"^member0: expected a run that began with gentle from"):
        next(train_run(PLAN, RUN, data, tmp_path, start))


def test_a_finished_run_that_began_with_something_else_is_not_taken_for_this_one(data, tmp_path):
    run = replace(RUN, epochs=1)
    list(train_run(PLAN, run, data, tmp_path))
    start = Start(checkpoint(tmp_path), "gentle")
    with pytest.raises(ValueError, match=r"gentle from .*, found one with scratch; give another -"):
        next(train_run(PLAN, run, data, tmp_path, start))


def test_a_checkpoint_of_more_epochs_than_the_plan_has_is_refused(data, tmp_path):
    interrupted = train_run(PLAN, RUN, data, tmp_path)
    for _ in range(3):
        next(interrupted)
    interrupted.close()
    shorter = replace(RUN, epochs=1)
    with pytest.raises(ValueError, match=r"^member0: expected at most 2 epochs, found a c"):
        next(train_run(PLAN, shorter, data, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["copies", "sharded"])
def test_two_processes_begin_and_hold_as_one_does(kind, tmp_path):
    crops = write_crops(tmp_path, (20, 22, 18), BLOCKS, train=(1, 2, 3, 4), val=(5,))
    init = checkpoint(tmp_path, replace(PLAN, structures=("background", "whole")))
    told = list(train(shared_plan(), crops, tmp_path / "one", start=Start(init, "head-first")))
    (tmp_path / "plan.toml").write_text(plan_text(shared_plan(fully_sharded=kind == "sharded")))
    words = ["assistant.cli", "train", "segmenter", "--config", tmp_path / "plan.toml"]
    words += ["--init", init, "--schedule", "head-first"]
    words += ["--data", crops, "--runs", tmp_path / "two"]
    said = launched(*words).splitlines()
    assert sum("tensors read; new: output_block" in line for line in said) == 1
    assert len([line for line in said if line.startswith("member0 epoch")]) == len(told) == 5
    one, other = (
        load_file(tmp_path / kind / "member0" / "weights.safetensors") for kind in ("one", "two")
    )
    assert one.keys() == other.keys()
    assert all(torch.allclose(one[name], other[name], atol=2e-3) for name in one)


def test_the_command_tells_what_was_read_and_what_begins_anew(data, tmp_path, capsys):
    (tmp_path / "plan.toml").write_text(plan_text(replace(PLAN, epochs=1, folds=0)))
    init = checkpoint(tmp_path, replace(PLAN, structures=("background", "whole")))
    words = ["train", "segmenter", "--config", tmp_path / "plan.toml", "--init", init]
    folders = ["--data", data, "--runs", tmp_path / "runs"]
    assert main([str(word) for word in (*words, *folders)]) == OK
    first, *_ = capsys.readouterr().out.splitlines()
    assert "tensors read; new: output_block" in first
    assert first.endswith("schedule gentle")
    wrong = [*words, *folders, "--schedule", "reckless"]
    assert main([str(word) for word in wrong]) == REFUSED
    assert "expected one of the schedules" in capsys.readouterr().err


@pytest.mark.parametrize("name", schedules())
def test_a_schedule_is_made_of_shares(name):
    found = schedules()[name]
    assert isinstance(found, Schedule)
    assert 0 < found.rate_share <= 1
    assert 0 <= found.held_share < 1


@pytest.mark.parametrize("schedule", ["gentle", "head-first"])
def test_a_schedule_that_goes_on_from_weights_is_refused_without_any(schedule, capsys):
    assert main(["train", "segmenter", "--schedule", schedule]) == REFUSED
    told = f"for the schedule {schedule}, found none; give --init CHECKPOINT, or leave --schedule"
    assert told in capsys.readouterr().err
