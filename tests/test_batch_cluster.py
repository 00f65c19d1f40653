"""A batch by Ray: the reports of the local engine, whatever becomes of a worker."""

import os
import re
import secrets
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from jsonschema import ValidationError

from assistant import Settings, batch
from assistant.batch import Cluster, cluster
from assistant.batch.pool import DIED
from assistant.cli import REFUSED, main
from tests import batches
from tests.batches import DEADLY, MARKS, PATIENCE_S, WAITS, crop, crops, mortal
from tests.processes import free_port, wait_for_port

TEMPLATE = Settings(writer="template")
IS_INSTALLED = cluster.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not IS_INSTALLED, reason="needs ray (voxcite[ray])")
ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import os
import sys
from pathlib import Path
from assistant import Settings, batch
from tests import batches
source, output, address = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
planned = batch.plan(source, Settings(writer="template"), side="left")
cluster, recipe = batch.Cluster(address or None), getattr(batches, sys.argv[4])
for outcome in batch.run(planned, output, workers=2, cluster=cluster, recipe=recipe):
    assert outcome.id in {kept.id for kept in batch.outcomes(output)}
    if batches.MARKS in os.environ:
        (Path(os.environ[batches.MARKS]) / batches.TOLD).touch()
    print(outcome.id, outcome.status, outcome.code or "")
"""
CREATED = re.compile(rb'(?<="created": ")[^"]+(?=")')
YAML = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def in_a_process_of_its_own(source, output, address="", recipe="mortal", **environment):
    """Run a batch by Ray, whose servers end with that process.

    Each outcome must have its row when it is told of; then the word is given in MARKS.
    """
    command = [sys.executable, "-c", SCRIPT, str(source), str(output), address, recipe]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        command, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if "(raylet)" not in line]


def wait_for_cluster(address, surroundings):
    """Connect until a cluster lets somebody in: it gives up by itself on a busy machine."""
    command = [sys.executable, "-c", f"import ray; ray.init({address!r})"]
    for _ in range(4):
        if subprocess.run(command, env=surroundings, capture_output=True).returncode == 0:
            return
    msg = "the cluster did not let anybody in"
    raise RuntimeError(msg)


def reports(folder):
    """Return the bytes of every report of a run, its one time masked."""
    found = {}
    for path in sorted(folder.glob("studies/*/report.json")):
        found[path.parent.name], times = CREATED.subn(b"", path.read_bytes())
        assert times == 1
    return found


def files(folder):
    return {path.relative_to(folder) for path in (folder / "studies").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Three scans and one that kills whoever segments it; and the local engine's run of them."""
    folder = tmp_path_factory.mktemp("night")
    crops(folder / "in", 3)
    crop(folder / "in" / "deadly.nii.gz", brightest=DEADLY * 2)
    planned = batch.plan(folder / "in", TEMPLATE, side="left")
    list(batch.run(planned, folder / "local", workers=2, recipe=mortal))
    return folder


@needs_ray
@pytest.mark.slow
def test_ray_writes_what_the_local_engine_does_and_outlives_its_workers(night):
    told = in_a_process_of_its_own(night / "in", night / "ray")
    assert sorted(told) == [
        f"deadly failed {DIED}",
        *(f"s000{number} drafted " for number in (1, 2, 3)),
    ]
    assert len(reports(night / "local")) == 3
    assert reports(night / "ray") == reports(night / "local")
    assert files(night / "ray") == files(night / "local")
    assert not any((night / "ray" / ".voxcite-batch").glob("parts/*"))


@needs_ray
@pytest.mark.slow
def test_a_study_whose_worker_died_once_is_drafted_and_rows_come_as_studies_end(tmp_path):
    crops(tmp_path / "in", 1)
    crop(tmp_path / "in" / "deadly.nii.gz", brightest=DEADLY * 2)
    crop(tmp_path / "in" / "waits.nii.gz", brightest=WAITS * 2)  # for the row of another study
    (tmp_path / "marks").mkdir()
    environment = {MARKS: str(tmp_path / "marks"), PATIENCE_S: "240"}
    told = in_a_process_of_its_own(
        tmp_path / "in", tmp_path / "out", recipe="mortal_once", **environment
    )
    assert sorted(told) == ["deadly drafted ", "s0001 drafted ", "waits drafted "]
    assert told[0] != "waits drafted "
    assert (tmp_path / "marks" / batches.DIED).exists()


@needs_ray
@pytest.mark.slow
def test_a_cluster_is_reached_by_its_address(night, tmp_path_factory):
    short = tmp_path_factory.mktemp("r")  # its sockets' paths may be 107 characters long
    (short / "token").write_text(secrets.token_hex(32))
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(short / "token"),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # binds to loopback alone
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    client, head = free_port(), free_port()
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    command += [f"--port={head}", f"--ray-client-server-port={client}", "--num-cpus=2"]
    command += ["--include-dashboard=false", "--object-store-memory=200000000"]
    command += [f"--temp-dir={short}", "--min-worker-port=0", "--max-worker-port=0"]
    with (short / "log.txt").open("wb") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=surroundings, stdout=log, stderr=log)
        try:
            wait_for_port(client, server)
            address = f"ray://127.0.0.1:{client}"
            wait_for_cluster(address, surroundings)
            told = in_a_process_of_its_own(night / "in", night / "far", address, **environment)
        finally:
            server.terminate()
            server.wait(timeout=60)
    assert len(told) == 4
    assert reports(night / "far") == reports(night / "local")


@needs_ray
@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_said_in_one_sentence(night, tmp_path, capsys):
    address = f"127.0.0.1:{free_port()}"
    command = ["batch", str(night / "in"), str(tmp_path / "out"), "--writer", "template"]
    assert (
        main([*command, "--engine", "ray", "--address", address, "--crop", "--side", "left"])
        == REFUSED
    )
    told = capsys.readouterr().err
    assert f"expected a Ray cluster at {address}, found ConnectionRefusedError; start it" in told


def launched():
    """Read the cluster of the docs as Ray's launcher does."""
    from ray.autoscaler._private.util import prepare_config

    (text,) = YAML.findall((ROOT / "docs" / "batch.md").read_text(encoding="utf-8"))
    return prepare_config(yaml.safe_load(text))


@needs_ray
def test_rays_launcher_takes_the_cluster_of_the_docs():
    from ray.autoscaler._private.util import validate_config

    found = launched()
    validate_config(found)
    (node,) = found["available_node_types"].values()
    assert (node["min_workers"], found["max_workers"]) == (2, 2)
    with pytest.raises(ValidationError, match="worker_start_rays_commands"):
        validate_config({**found, "worker_start_rays_commands": []})


@needs_ray
@pytest.mark.parametrize(
    ("who", "has"),
    [
        ("head", {"head": True, "port": 6379, "ray_client_server_port": 10001}),
        ("worker", {"head": False, "address": "10.0.0.1:6379"}),
    ],
)
def test_the_machines_of_the_docs_start_ray_with_options_that_it_takes(who, has):
    from ray.scripts.scripts import start

    *_, line = launched()[f"{who}_start_ray_commands"]
    words = shlex.split(line)
    taken = start.make_context("start", words[words.index("start") + 1 :]).params
    assert {name: taken[name] for name in has} == has
    # Ray's launcher begins the head alone; from this file the head knows the others.
    assert taken["autoscaling_config"] == ("~/ray_bootstrap_config.yaml" if who == "head" else None)


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    crops(tmp_path / "in", 1)
    planned = batch.plan(tmp_path / "in", TEMPLATE, side="left")
    with pytest.raises(ValueError, match=r"pip install 'voxcite\[ray\]'"):
        next(batch.run(planned, tmp_path / "out", cluster=Cluster()))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [{"cpus": 0}, {"gpus": -1.0}])
def test_a_worker_needs_a_core(wrong):
    with pytest.raises(ValueError, match="at least 1 core"):
        replace(Cluster(), **wrong)


def test_options_of_ray_need_ray(tmp_path, capsys):
    crops(tmp_path / "in", 1)
    command = ["batch", str(tmp_path / "in"), str(tmp_path / "out"), "--crop", "--side", "left"]
    assert main([*command, "--writer", "template", "--gpus", "1"]) == REFUSED
    assert "add --engine ray" in capsys.readouterr().err
