"""Hospitals train one segmenter through Flower: real processes on loopback, with TLS."""

import csv
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from assistant.cli import OK, REFUSED, main
from segment.federated.intervals import SCORES
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
    sites = json.loads((output / SCORES).read_text())["sites"]
    assert {site["site"]: site["n"] for site in sites} == dict.fromkeys(CASES, 1), told
    final = load_file(output / FINAL)
    sent = {n: load_file(tmp_path / n / "work/round-0002/learnt.safetensors") for n in CASES}
    for key, tensor in final.items():
        mean = (4 * sent["site-a"][key] + 2 * sent["site-b"][key]) / 6
        np.testing.assert_allclose(tensor, mean, rtol=1e-5, atol=1e-6)


def test_a_certificate_that_does_not_match_is_refused_in_one_sentence(hospitals, tmp_path, capsys):
    strangers = certificates(tmp_path / "strangers")
    site = str(site_of(hospitals, tmp_path, "site-a"))
    with superlink(tmp_path / "link", hospitals / "keys") as link:
        asked = ["federated", "greet", site, "--server", f"127.0.0.1:{link.port}", "--authority"]
        assert main([*asked, str(strangers / "ca.pem")]) == REFUSED
        told = capsys.readouterr().err
        assert main([*asked, str(hospitals / "keys" / "ca.pem")]) == OK
    assert told.startswith("voxcite: expected a certificate of 127.0.0.1 that ca.pem signed, found")
    assert told.count("\n") == 1


def test_the_others_go_on_without_sites_that_fail(hospitals, tmp_path):
    plan = write_plan(tmp_path / "plan.toml", joining_s=120.0, round_s=100.0, sites=7, rounds=1)
    odd = {"site-c": "scaled", "site-d": "nan", "site-e": "dead", "site-f": "slow"}
    odd["site-g"] = "misshapen"
    kinds = {"site-a": None, "site-b": None, **odd}
    output = tmp_path / "out"
    with superlink(tmp_path / "link", hospitals / "keys") as link:
        for name, kind in kinds.items():
            data = hospitals / f"data-{name if kind is None else 'site-a'}"
            link.join(write_site(tmp_path / name, name, plan, data, kind))
        told = link.run(plan, hospitals / "start.safetensors", output)
    lines = journal(output, told)
    used = {site for (_, site), line in lines.items() if line["is_used"] == "True"}
    assert used == {"site-a", "site-b", "site-c"}, told
    assert "drawn back" in lines[1, "site-c"]["reason"]
    assert "expected finite numbers" in lines[1, "site-d"]["reason"]
    assert "expected the shape" in lines[1, "site-g"]["reason"]
    assert lines[1, "site-e"]["is_used"] == "False"
    assert lines[1, "site-f"]["reason"] == "no answer within 100 s"
    assert all(np.isfinite(t).all() for t in load_file(output / FINAL).values())


def test_a_median_keeps_flipped_labels_between_the_others(hospitals, tmp_path):
    flipped, name = tmp_path / "flipped", "site-c"
    flipped.mkdir()
    write_crops(flipped, (20, 22, 18), BLOCKS[::-1], train=(1, 2, 3), val=(9,))
    changes = {"sites": 3, "least_sites": 3, "rounds": 1, "combine": "median"}
    plan = write_plan(tmp_path / "plan.toml", joining_s=90.0, round_s=120.0, **changes)
    data = {**{site: hospitals / f"data-{site}" for site in CASES}, name: flipped}
    output = tmp_path / "out"
    with superlink(tmp_path / "link", hospitals / "keys") as link:
        for site, of in data.items():
            link.join(write_site(tmp_path / site, site, plan, of))
        told = link.run(plan, hospitals / "start.safetensors", output)
    assert all(line["is_used"] == "True" for line in journal(output, told).values()), told
    learnt = {n: load_file(tmp_path / n / "work/round-0001/learnt.safetensors") for n in data}
    honest = [learnt[n] for n in CASES]
    for key, tensor in load_file(output / FINAL).items():
        low = np.minimum(honest[0][key], honest[1][key])
        high = np.maximum(honest[0][key], honest[1][key])
        assert ((low <= tensor) & (tensor <= high)).all()
    assert any(not np.array_equal(learnt[name][key], honest[0][key]) for key in honest[0])


def test_of_three_hospitals_the_server_sees_the_sum_alone(hospitals, tmp_path):
    changes = {"secure": True, "sites": 3, "least_sites": 3, "rounds": 1}
    plan = write_plan(tmp_path / "plan.toml", joining_s=90.0, round_s=120.0, **changes)
    data = {"site-a": "site-a", "site-b": "site-b", "site-c": "site-b"}
    output = tmp_path / "out"
    with superlink(tmp_path / "link", hospitals / "keys") as link:
        for name, of in data.items():
            link.join(write_site(tmp_path / name, name, plan, hospitals / f"data-{of}"))
        told = link.run(plan, hospitals / "start.safetensors", output)
    lines = journal(output, told)
    assert {line["reason"] for line in lines.values()} == {"only the sum of all sites was seen"}
    learnt = [load_file(tmp_path / n / "work/round-0001/learnt.safetensors") for n in data]
    for key, tensor in load_file(output / FINAL).items():
        mean = (4 * learnt[0][key] + 2 * learnt[1][key] + 2 * learnt[2][key]) / 8
        np.testing.assert_allclose(tensor, mean, atol=1e-5)


def test_two_versions_of_the_project_do_not_train_together(hospitals, tmp_path):
    plan = write_plan(tmp_path / "plan.toml", joining_s=45.0)
    with superlink(tmp_path / "link", hospitals / "keys") as link:
        for name, kind in (("site-a", None), ("site-b", "old")):
            link.join(write_site(tmp_path / name, name, plan, hospitals / f"data-{name}", kind))
        told = link.run(plan, hospitals / "start.safetensors", tmp_path / "out")
    assert "expected 2 sites or more, found 1 (site-b: expected voxcite" in told
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_what_a_site_complains_of_stays_there(hospitals, tmp_path):
    plan = write_plan(tmp_path / "plan.toml", joining_s=30.0, sites=1, least_sites=1)
    site = write_site(tmp_path / "site-a", "site-a", tmp_path / "of-a-patient", hospitals)
    with superlink(tmp_path / "link", hospitals / "keys") as link:
        link.join(site)
        told = link.run(plan, hospitals / "start.safetensors", tmp_path / "out")
    assert "its settings or its plan were refused; its site.log says why" in told
    assert "of-a-patient" not in told
    assert "of-a-patient" in (tmp_path / "site-a" / "work" / "site.log").read_text()
