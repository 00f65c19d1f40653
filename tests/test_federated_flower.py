"""Hospitals train one segmenter through Flower: real processes on loopback, with TLS."""

import csv

import numpy as np
import pytest
from safetensors.numpy import load_file

from assistant.cli import OK, main
from segment.federated.rounds import FINAL, JOURNAL
from tests.flower import ENVIRONMENT, certificates, superlink, write_site
from tests.toy_federation import write_plan
from tests.toy_segmenter import write_crops

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ENVIRONMENT / "installed").exists(),
        reason="Flower has an environment of its own, which is not made here: `make federated`",
    ),
]
BLOCKS = (np.s_[6:13, 11:17, 5:12], np.s_[6:13, 5:11, 5:12])
CASES = {"site-a": (1, 2, 3, 4), "site-b": (1, 2)}


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    """A plan, weights to begin with, certificates, and the data of two hospitals."""
    folder = tmp_path_factory.mktemp("federation")
    plan = write_plan(folder / "plan.toml", joining_s=90.0, round_s=120.0)
    assert main(["federated", "start", str(plan), "-o", str(folder / "start.safetensors")]) == OK
    for name, train in CASES.items():
        (folder / f"data-{name}").mkdir()
        write_crops(folder / f"data-{name}", (20, 22, 18), BLOCKS, train=train, val=(9,))
    certificates(folder / "keys")
    return folder


def site_of(hospitals, folder, name):
    return write_site(folder / name, name, hospitals / "plan.toml", hospitals / f"data-{name}")


def journal(output, told):
    """Return the lines of a journal by round and site; show what was told where there is none."""
    assert (output / JOURNAL).exists(), told
    with (output / JOURNAL).open(newline="") as file:
        return {(int(line["round"]), line["site"]): line for line in csv.DictReader(file)}


def test_two_hospitals_train_one_segmenter(hospitals, tmp_path):
    output = tmp_path / "out"
    with superlink(tmp_path / "link", hospitals / "keys") as link:
        for name in CASES:
            link.join(site_of(hospitals, tmp_path, name))
        told = link.run(hospitals / "plan.toml", hospitals / "start.safetensors", output)
    lines = journal(output, told)
    assert sorted(lines) == [(number, name) for number in (1, 2) for name in CASES], told
    assert all(int(line["cases"]) == len(CASES[name]) for (_, name), line in lines.items())
    final = load_file(output / FINAL)
    sent = {n: load_file(tmp_path / n / "work/round-0002/learnt.safetensors") for n in CASES}
    for key, tensor in final.items():
        mean = (4 * sent["site-a"][key] + 2 * sent["site-b"][key]) / 6
        np.testing.assert_allclose(tensor, mean, rtol=1e-5, atol=1e-6)
