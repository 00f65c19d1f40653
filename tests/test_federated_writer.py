"""Hospitals train one adapter of the writer: its tensors alone leave a site, and it is shipped."""

import json
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from assistant.cli import OK, REFUSED, main
from assistant.federating import greeting_of
from assistant.writers.vlm.federated import learn_adapter, writer_plan
from assistant.writers.vlm.model import Placement, load_embedded
from assistant.writers.vlm.train import Material
from segment.federated.greeting import code_sha256
from segment.federated.plan import BYTES, FederationPlan
from segment.federated.rounds import FINAL
from segment.federated.scoring import score_held_out
from segment.federated.server import federate
from segment.federated.simulated import SimulatedSites
from segment.federated.site import LEARNT, SENT, Site
from segment.writing import toml_text
from tests.toy_federation import NUMBERS
from tests.toy_training import BASE, toy_base, toy_plan, toy_views

pytestmark = pytest.mark.slow  # trainings at toy size

LARGEST_MB = 10  # a round, of a site
SHIPPED = Path(str(files("assistant.writers.vlm").joinpath("federation.toml")))


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A plan of a toy writer, the adapter that all begin with, and two sites."""
    folder = tmp_path_factory.mktemp("federation")
    training = asdict(toy_plan(toy_base(folder), projector_steps=0, adapter_steps=2, pool=1))
    numbers = {**NUMBERS, "part": "writer", "sent": "float16", "joining_s": 0.0, "epochs": 1}
    plan = folder / "plan.toml"
    plan.write_text(f"{toml_text(numbers)}[private]\n[training]\n{toml_text(training)}")
    assert main(["federated", "start", str(plan), "-o", str(folder / "start.safetensors")]) == OK
    sites = []
    for name, reports in (("site-a", 6), ("site-b", 2)):
        (folder / name / "reports").mkdir(parents=True)
        for number in range(reports):
            (folder / name / "reports" / f"{number}.txt").write_text("a report")
        table = {"name": name, "plan": str(plan), "data": ".", "work": "work"}
        sites.append(folder / name / "site.toml")
        sites[-1].write_text(toml_text({**table, "command": ["voxcite"]}))
    return folder, plan, sites


def learn(site, number):
    """Train a site's round on pictures of noise."""
    plan, folder = FederationPlan.read(site.plan), site.round_folder(number)
    material = Material(toy_views)
    return list(learn_adapter(plan, number, material, folder / SENT, folder / LEARNT))


@pytest.fixture(scope="module")
def rounds(federation):
    """Run the federation; return its lines and where its weights lie."""
    folder, plan, files = federation
    sites = SimulatedSites(files, greeting_of, learn, score_held_out)
    done = list(federate(plan, folder / "start.safetensors", folder / "out", sites))
    return done, folder / "out" / FINAL


def test_only_tensors_of_the_adapter_leave_a_site(federation, rounds):
    folder, _, files = federation
    learnt = load_file(Site.read(files[0]).round_folder(1) / LEARNT)
    assert learnt.keys() == load_file(folder / "start.safetensors").keys()
    assert all(".lora_A." in name or ".lora_B." in name for name in learnt)


def test_adapters_are_weighed_by_reports_and_travel_in_half_precision(federation, rounds):
    done, final = rounds
    found = load_file(final)
    learnt = [load_file(Site.read(f).round_folder(2) / LEARNT) for f in federation[2]]
    for name, tensor in found.items():
        one, other = (each[name].half().float() for each in learnt)
        torch.testing.assert_close(tensor, (6 * one + 2 * other) / 8, rtol=1e-5, atol=1e-7)
    numbers = sum(tensor.numel() for tensor in found.values())
    assert [line.mebibytes for line in done[0].lines] == [numbers * 2 / 2**20] * 2


def test_a_round_that_is_done_again_learns_the_same(federation, rounds):
    site = Site.read(federation[2][0])
    learnt = site.round_folder(1) / LEARNT
    before = learnt.read_bytes()
    assert len(learn(site, 1)) == 2
    assert learnt.read_bytes() == before
    assert learn(site, 2) != learn(site, 1)


def test_a_federated_adapter_is_shipped_as_a_writer_is(federation, rounds, tmp_path):
    _, plan, _ = federation
    _, final = rounds
    output = tmp_path / "writer"
    assert main(["federated", "adapter", str(plan), str(final), "-o", str(output)]) == OK
    model = load_embedded(plan.parent / BASE, output, Placement("cpu", "float32"))
    found = dict(model.network.named_parameters())
    for name, tensor in load_file(final).items():
        assert torch.equal(found[f"base_model.model.{name}"], tensor)
    assert json.loads((output / "vocabulary.json").read_text())["words"]


def test_tensors_of_another_adapter_are_not_trained_on(federation, tmp_path):
    folder, plan, _ = federation
    part = dict(list(load_file(folder / "start.safetensors").items())[1:])
    save_file(part, tmp_path / SENT)
    rounds = learn_adapter(
        FederationPlan.read(plan), 1, Material(toy_views), tmp_path / SENT, tmp_path / LEARNT
    )
    with pytest.raises(ValueError, match="expected the tensors of this plan's adapter"):
        next(rounds)


def test_a_site_says_how_many_reports_it_has_and_what_sources_write(federation):
    greeting = greeting_of(Site.read(federation[2][0]))
    assert greeting.cases == 6
    assert greeting.code_sha256 == code_sha256("writer") != code_sha256("segmenter")


def test_a_projector_is_not_trained_together(federation):
    plan = FederationPlan.read(federation[1])
    with pytest.raises(ValueError, match="expected projector_steps = 0"):
        writer_plan(replace(plan, training={**plan.training, "projector_steps": 2}))


def test_a_start_of_other_weights_is_refused(federation, tmp_path, capsys):
    asked = ["federated", "start", str(federation[1]), "-o", str(tmp_path / "start")]
    assert main([*asked, "--init", "weights.safetensors"]) == REFUSED
    assert "expected no --init for the writer" in capsys.readouterr().err


def test_the_shipped_adapter_is_small_enough_to_be_sent_each_round():
    plan = FederationPlan.read(SHIPPED)
    assert writer_plan(plan).adapter == "shipped"
    shipped = load_file(SHIPPED.parent / "weights" / "adapter" / "adapter_model.safetensors")
    numbers = sum(tensor.numel() for tensor in shipped.values())
    assert numbers * BYTES[plan.sent] / 1e6 < LARGEST_MB
    assert np.isfinite([float(t.half().abs().max()) for t in shipped.values()]).all()
