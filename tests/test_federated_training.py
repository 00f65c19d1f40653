"""What one site does in a round: it trains from what was sent, near it if the plan says so."""

import json
import socket
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import certifi
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from assistant.cli import OK, REFUSED, main
from segment.federated.plan import FederationPlan
from segment.federated.site import LEARNT, SENT, Site
from segment.federated.training import greeting_of, run_of, training_of
from segment.models.training.local import draw_near, learn_locally, write_start
from segment.writing import toml_pair
from tests.toy_federation import toy_plan, write_plan
from tests.toy_segmenter import STRUCTURES, write_crops

BLOCKS = (np.s_[6:13, 11:17, 5:12], np.s_[6:13, 5:11, 5:12])
TRAIN = (1, 2, 3)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site's settings, its plan and its crops."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "data").mkdir()
    write_crops(folder / "data", (20, 22, 18), BLOCKS, train=TRAIN, val=(9,))
    write_plan(folder / "plan.toml", epochs=2)
    table = {"name": "site-a", "plan": "plan.toml", "data": "data", "work": "work"}
    lines = [toml_pair(*pair) for pair in table.items()] + ['command = ["voxcite"]', ""]
    (folder / "site.toml").write_text("\n".join(lines))
    return folder / "site.toml"


@pytest.fixture(scope="module")
def sent(site):
    """The weights that all sites begin with."""
    path = site.with_name("start.safetensors")
    assert main(["federated", "start", str(site.with_name("plan.toml")), "-o", str(path)]) == OK
    return path


def learnt(site, sent, output, proximal=0.0):
    """Train a round of the site; return what it learnt."""
    settings = Site.read(site)
    plan = FederationPlan.read(settings.plan)
    run = run_of(settings, plan, 1)
    losses = list(learn_locally(training_of(plan), run, settings.data, sent, output, proximal))
    assert len(losses) == plan.epochs
    return load_file(output)


def distance(one, other, names):
    return sum(float((one[name] - other[name]).square().sum()) for name in names)


@pytest.mark.parametrize("proximal", [0.0, 0.3])
def test_the_pull_is_the_gradient_of_the_proximal_term(proximal):
    network, inputs = nn.Linear(3, 2), torch.ones(1, 3)
    draw_near(network, proximal)
    anchor = network.weight.detach().clone()
    with torch.no_grad():
        network.weight += 0.5
    network(inputs).sum().backward()
    pulled = network.weight.grad
    free = network.weight.detach().clone().requires_grad_()
    term = proximal / 2 * (free - anchor).square().sum()
    (nn.functional.linear(inputs, free).sum() + term).backward()
    torch.testing.assert_close(pulled, free.grad)


def test_a_round_changes_every_tensor_and_no_shape(site, sent, tmp_path):
    before, after = load_file(sent), learnt(site, sent, tmp_path / "learnt.safetensors")
    assert {n: t.shape for n, t in before.items()} == {n: t.shape for n, t in after.items()}
    assert not [name for name, tensor in after.items() if torch.equal(tensor, before[name])]


def test_a_round_that_is_done_again_learns_the_same(site, sent, tmp_path):
    learnt(site, sent, tmp_path / "once.safetensors")
    learnt(site, sent, tmp_path / "again.safetensors")
    once, again = (tmp_path / f"{name}.safetensors" for name in ("once", "again"))
    assert once.read_bytes() == again.read_bytes()


def test_a_strong_pull_keeps_a_site_near_what_was_sent(site, sent, tmp_path):
    before = load_file(sent)
    learning = [name for name in before if "running" not in name]
    free = learnt(site, sent, tmp_path / "free.safetensors")
    held = learnt(site, sent, tmp_path / "held.safetensors", proximal=1e4)
    assert distance(held, before, learning) < distance(free, before, learning)


def test_rounds_see_other_random_numbers(site):
    settings = Site.read(site)
    plan = FederationPlan.read(settings.plan)
    assert run_of(settings, plan, 1).seed != run_of(settings, plan, 2).seed


def test_weights_of_another_network_are_not_trained_on(site, sent, tmp_path):
    part = dict(list(load_file(sent).items())[1:])
    save_file(part, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match="expected every tensor of unet, found none for"):
        learnt(site, tmp_path / "part.safetensors", tmp_path / "learnt.safetensors")


def test_the_same_plan_starts_with_the_same_weights(site, sent, tmp_path):
    plan = FederationPlan.read(Site.read(site).plan)
    write_start(training_of(plan), plan.seed, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == sent.read_bytes()


def test_a_federation_can_start_with_weights_that_are_there(sent, tmp_path):
    output = tmp_path / "start.safetensors"
    seeded = write_plan(tmp_path / "plan.toml", seed=5)
    assert main(["federated", "start", str(seeded), "--init", str(sent), "-o", str(output)]) == OK
    assert output.read_bytes() == sent.read_bytes()
    assert main(["federated", "start", str(seeded), "-o", str(output)]) == OK
    assert output.read_bytes() != sent.read_bytes()


def test_a_site_says_who_it_is_and_nothing_of_its_cases_but_their_number(site, capsys):
    assert main(["federated", "greet", str(site)]) == OK
    told = json.loads(capsys.readouterr().out)
    assert told == greeting_of(Site.read(site)).table()
    assert told["site"] == "site-a"
    assert told["cases"] == len(TRAIN)
    assert told.keys() == {"site", "version", "code_sha256", "plan_sha256", "cases"}


def test_a_round_is_learnt_beside_what_was_sent(site, sent, capsys):
    folder = Site.read(site).round_folder(7)
    folder.mkdir(parents=True)
    (folder / SENT).write_bytes(sent.read_bytes())
    assert main(["federated", "learn", str(site), "--round", "7"]) == OK
    assert "site-a round 7 part 2 loss" in capsys.readouterr().out
    assert load_file(folder / LEARNT).keys() == load_file(sent).keys()


def test_a_round_that_was_never_sent_is_refused(site, capsys):
    assert main(["federated", "learn", str(site), "--round", "8"]) == REFUSED
    assert "sent.safetensors" in capsys.readouterr().err


def test_what_a_round_decides_itself_does_not_stand_in_its_plan(tmp_path):
    plan = toy_plan(tmp_path)
    with pytest.raises(ValueError, match="training: expected no epochs, folds, found them"):
        training_of(replace(plan, training={**plan.training, "epochs": 3, "folds": 2}))


def test_the_shipped_plan_trains_the_shipped_network():
    plan = FederationPlan.read(Path(str(files("segment.federated").joinpath("federation.toml"))))
    assert training_of(plan).structures == STRUCTURES


@pytest.mark.parametrize("option", [["--server", "127.0.0.1:9"], ["--authority", "ca.pem"]])
def test_a_server_is_checked_against_its_authority_or_not_at_all(site, option, capsys):
    assert main(["federated", "greet", str(site), *option]) == REFUSED
    assert "expected --server and --authority together" in capsys.readouterr().err


def greet_at(site, server, authority):
    """Try to reach a server before greeting it."""
    return main(
        ["federated", "greet", str(site), "--server", server, "--authority", str(authority)]
    )


def test_a_server_that_does_not_answer_is_told_by_its_address(site, capsys):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and never listens
        address = f"127.0.0.1:{held.getsockname()[1]}"
        assert greet_at(site, address, certifi.where()) == REFUSED
    wanted = f"voxcite: expected a server at {address}, found none that answers (connection refused"
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "99999", "x"])
def test_a_port_that_none_can_be_is_refused(site, port, capsys):
    assert greet_at(site, f"127.0.0.1:{port}", certifi.where()) == REFUSED
    wanted = f"expected HOST:PORT with a port of 1 to 65535, found '127.0.0.1:{port}'"
    assert wanted in capsys.readouterr().err


def test_an_authority_that_is_not_there_is_told_by_its_name(site, tmp_path, capsys):
    assert greet_at(site, "127.0.0.1:9", tmp_path / "gone.pem") == REFUSED
    assert "voxcite: gone.pem: expected a file or a folder, found none" in capsys.readouterr().err


def test_a_start_of_other_weights_says_what_of_them_was_read(site, sent, tmp_path, capsys):
    first, *rest = load_file(sent).items()
    save_file(dict(rest), tmp_path / "part.safetensors")
    asked = ["federated", "start", str(site.with_name("plan.toml")), "-o", str(tmp_path / "start")]
    assert main([*asked, "--init", str(tmp_path / "part.safetensors")]) == OK
    wanted = f"part.safetensors: {len(rest)} of {len(rest) + 1} tensors read; new: {first[0]}"
    assert wanted in capsys.readouterr().out
    assert main(asked) == OK
    assert "tensors" not in capsys.readouterr().out


def test_a_segmenters_plan_makes_no_adapter(site, sent, tmp_path, capsys):
    asked = ["federated", "adapter", str(site.with_name("plan.toml")), str(sent)]
    assert main([*asked, "-o", str(tmp_path / "writer")]) == REFUSED
    wanted = "voxcite: part: expected writer, found segmenter; give the plan of a writer"
    assert wanted in capsys.readouterr().err
