"""Many sites in one process go through the rounds of the real servers."""

import csv

import nibabel
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from assistant.cli import OK, REFUSED, main
from segment.federated.rounds import FINAL, JOURNAL
from segment.federated.site import LEARNT
from segment.writing import toml_text
from tests.toy_federation import write_plan
from tests.toy_segmenter import write_crops

BLOCKS = (np.s_[6:13, 11:17, 5:12], np.s_[6:13, 5:11, 5:12])
CASES = {"site-a": (1, 2, 3, 4), "site-b": (1, 2), "site-c": (3,)}


def hospitals(folder):
    """Write a plan, first weights, and three sites of which one has too few cases."""
    plan = write_plan(folder / "plan.toml", sites=3, joining_s=0.0)
    assert main(["federated", "start", str(plan), "-o", str(folder / "start.safetensors")]) == OK
    files = []
    for name, train in CASES.items():
        data = folder / name / "data"
        data.mkdir(parents=True)
        write_crops(data, (20, 22, 18), BLOCKS, train=train, val=(9,))
        table = {"name": name, "plan": str(plan), "data": "data", "work": "work"}
        files.append(folder / name / "site.toml")
        files[-1].write_text(toml_text({**table, "command": ["voxcite"]}))
    return plan, files


def simulate(folder, plan, files, output):
    options = ["--start", str(folder / "start.safetensors"), "-o", str(output)]
    return main(["federated", "simulate", str(plan), *map(str, files), *options])


def test_a_simulation_averages_what_its_sites_learn_and_says_what_each_sent(tmp_path, capsys):
    plan, files = hospitals(tmp_path)
    assert simulate(tmp_path, plan, files, tmp_path / "out") == OK
    printed = capsys.readouterr().out
    assert "round 2 site-a sent 0." in printed
    assert "round 1 site-c left out: expected at least 2 training cases, found 1" in printed
    sent = [load_file(f.parent / "work" / "round-0002" / LEARNT) for f in files[:2]]
    for key, tensor in load_file(tmp_path / "out" / FINAL).items():
        np.testing.assert_allclose(tensor, (4 * sent[0][key] + 2 * sent[1][key]) / 6, atol=1e-6)


def test_a_simulation_that_is_run_again_trains_nothing_twice(tmp_path):
    plan, files = hospitals(tmp_path)
    assert simulate(tmp_path, plan, files, tmp_path / "out") == OK
    learnt = files[0].parent / "work" / "round-0001" / LEARNT
    before = learnt.stat().st_mtime_ns
    (tmp_path / "out" / "round-0002.safetensors").unlink()
    (tmp_path / "out" / "round-0001.safetensors").unlink()
    assert simulate(tmp_path, plan, files, tmp_path / "out") == OK
    assert learnt.stat().st_mtime_ns == before


def test_a_site_that_fails_is_left_out_with_its_reason(tmp_path):
    plan, files = hospitals(tmp_path)
    (broken,) = (files[1].parent / "data" / "labels").glob("*_001.nii.gz")
    broken.unlink()
    plan.write_text(plan.read_text().replace("least_sites = 2", "least_sites = 1"))
    assert simulate(tmp_path, plan, files, tmp_path / "out") == OK
    with (tmp_path / "out" / JOURNAL).open(newline="") as file:
        lines = {(line["round"], line["site"]): line for line in csv.DictReader(file)}
    assert lines["1", "site-a"]["is_used"] == "True"
    assert lines["1", "site-b"]["reason"].startswith(f"{broken.name}: expected a file")


@pytest.mark.parametrize(("kind", "value"), [("labels", 9), ("images", np.nan)])
def test_a_case_that_cannot_be_learnt_from_leaves_its_site_out(tmp_path, kind, value):
    plan, files = hospitals(tmp_path)
    (broken,) = (files[1].parent / "data" / kind).glob("*_001.nii.gz")
    array = np.asarray(nibabel.load(broken).dataobj, np.float32)
    array[9, 14, 8] = value
    nibabel.Nifti1Image(array, np.eye(4)).to_filename(broken)
    plan.write_text(plan.read_text().replace("least_sites = 2", "least_sites = 1"))
    assert simulate(tmp_path, plan, files, tmp_path / "out") == OK
    with (tmp_path / "out" / JOURNAL).open(newline="") as file:
        reasons = [line["reason"] for line in csv.DictReader(file) if line["site"] == "site-b"]
    assert all(reason.startswith(f"{broken.name}: expected ") for reason in reasons)
    assert len(reasons) == 2


def refusal(capsys, exit_code):
    """Return the one sentence that a command ended with."""
    told = capsys.readouterr().err
    assert exit_code == REFUSED
    assert told.startswith("voxcite: ")
    assert told.count("\n") == 1
    return told


def test_a_federation_that_stops_says_so_in_one_sentence(tmp_path, capsys):
    plan, files = hospitals(tmp_path)
    other = write_plan(tmp_path / "other.toml", rounds=3)
    files[1].write_text(files[1].read_text().replace(str(plan), str(other)))
    told = refusal(capsys, simulate(tmp_path, plan, files, tmp_path / "out"))
    assert "expected 2 sites or more, found 1" in told
    assert "site-b: expected the plan" in told


def test_two_sites_of_one_name_stop_a_federation_in_one_sentence(tmp_path, capsys):
    plan, files = hospitals(tmp_path)
    files[1].write_text(files[1].read_text().replace("site-b", "site-a"))
    told = refusal(capsys, simulate(tmp_path, plan, files, tmp_path / "out"))
    assert "site-a: expected another name, found it twice" in told


def test_a_start_of_other_shapes_stops_a_federation_in_one_sentence(tmp_path, capsys):
    plan, files = hospitals(tmp_path)
    start = tmp_path / "start.safetensors"
    save_file({name: t[:1] for name, t in load_file(start).items()}, start)
    told = refusal(capsys, simulate(tmp_path, plan, files, tmp_path / "out"))
    assert "give all sites the same plan" in told or "expected weights of this network" in told


def test_a_start_that_holds_no_weights_is_refused(tmp_path, capsys):
    plan, files = hospitals(tmp_path)
    (tmp_path / "start.safetensors").write_bytes(plan.read_bytes())
    told = refusal(capsys, simulate(tmp_path, plan, files, tmp_path / "out"))
    assert "start.safetensors: expected weights in safetensors, found something else" in told
