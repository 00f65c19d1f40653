"""The plan for a million studies holds what its script prints, and each rate has a source."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from assistant import Settings, batch
from tests.batches import written
from tests.benchmarks.queueing import Outcome, simulate_long
from tests.benchmarks.rates import numbers, read_rates
from tests.benchmarks.scale import (
    BLOCK,
    MACHINES,
    ON_GPUS,
    SHARDED,
    SHARDS,
    STORAGES,
    STUDIES,
    WRITERS,
    Cluster,
    bill,
    blocks,
    shard_of,
)
from tests.phantoms import head

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
CODE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RATES = read_rates()
VALUES = numbers(RATES)


def test_the_page_holds_what_the_script_prints():
    shown = {
        name: body
        for _, name, body in re.findall(
            r"(<!-- output:(\w+) -->\n)(.*?)\n<!-- /output", PAGE, re.DOTALL
        )
    }
    assert shown == blocks()


def test_no_number_of_the_page_stands_outside_of_what_is_printed():
    prose = CODE.sub("", BLOCK.sub("", PAGE))
    lines = [line for line in prose.splitlines() if not line.startswith("    ")]
    assert not [line for line in lines if re.search(r"\d", line)]


@pytest.mark.parametrize("rate", RATES.values(), ids=RATES.keys())
def test_a_rate_says_where_it_comes_from(rate):
    if rate.kind == "assumed":
        ends = (min(rate.best, rate.worst), max(rate.best, rate.worst))
        assert ends == pytest.approx((rate.value / 3, rate.value * 3), rel=0.01)
    if rate.kind == "published":
        assert "https://" in rate.source or "the same" in rate.source
    scripts = re.findall(r"\b(?:tests|assistant)/[\w/]+\.(?:py|md)", rate.source)
    assert all((ROOT / script).exists() for script in scripts)


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("README.md", "--writer template` {measure_s:g} s and {worker_gb:g} GB"),
        ("README.md", "warm, {crop_s:g} s"),
        ("assistant/writers/vlm/CARD.md", "{tokens_a_s:g} tokens a second"),
        ("assistant/writers/vlm/CARD.md", "a report in {text_s:g} s"),
        ("assistant/writers/vlm/CARD.md", "{writer_gb:g} GB at most"),
    ],
)
def test_a_rate_measured_here_is_the_one_that_its_page_states(page, told):
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    assert told.format(**VALUES) in text


@pytest.mark.parametrize("change", [{"kind": "guessed"}, {"best": 9.0, "worst": 10.0}])
def test_a_rate_without_a_kind_or_outside_of_its_ends_is_refused(change):
    with pytest.raises(ValueError, match="expected"):
        replace(RATES["measure_s"], **change)


def test_one_machine_takes_at_least_the_time_of_its_cores():
    found = simulate_long(Cluster(1, "template", SHARDED).batch(VALUES), 0)
    least_s = STUDIES * VALUES["measure_s"] * VALUES["worker_cores"] / VALUES["machine_cores"]
    assert least_s <= found.wall_s < 1.02 * least_s


def test_one_file_server_bounds_many_machines_by_its_bytes():
    found = simulate_long(Cluster(64, "template", STORAGES[0]).batch(VALUES), 0)
    size = VALUES["series_bytes"] + VALUES["draft_bytes"]
    least_s = STUDIES * size / (VALUES["server_mb_a_s"] * 1e6)
    assert least_s <= found.wall_s < 1.02 * least_s


@pytest.mark.parametrize("machines", MACHINES)
@pytest.mark.parametrize("writer", WRITERS)
def test_no_part_of_a_cluster_is_busy_for_more_than_all_of_the_time(writer, machines):
    cluster = Cluster(machines, writer, SHARDED).batch(VALUES)
    assert max(simulate_long(cluster, 0).utilisation(cluster).values()) <= 1


def test_a_bill_is_hours_times_prices():
    cluster = Cluster(2, ON_GPUS, SHARDED)
    outcome = Outcome(7200.0, 0.0, 0.0, 0.0, 0.0, retried=0.0, lost=0.0)
    rates = VALUES | {"core_usd_an_hour": 0.5, "gpu_usd_an_hour": 3.0}
    paid = bill(cluster, rates, outcome)
    assert (paid.cores, paid.gpus) == (2 * 2 * 64 * 0.5, 2 * 2 * 3.0)
    assert paid.requests == pytest.approx(1000 * (121 * 0.0004 + 7 * 0.005))
    assert paid.total == pytest.approx(paid.cores + paid.gpus + paid.requests + paid.stored)


def test_the_page_cuts_a_list_into_shards_that_a_batch_takes(tmp_path, monkeypatch):
    volume = head((6.0, 6.0, 6.0), field_mm=110).volume
    scan = written(tmp_path / "scan.nii.gz", volume.array, volume.geometry.affine)
    people = [f"p{number % 40}" for number in range(80)]
    with (tmp_path / "studies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "study", "person"])
        writer.writerows([f"s{n}", scan, person] for n, person in enumerate(people))
    monkeypatch.chdir(tmp_path)
    (snippet,) = [code for language, code in CODE.findall(PAGE) if language == "python"]
    exec(compile(snippet, "scale.md", "exec"), {})
    found = {
        row["id"]: path.stem
        for path in sorted(Path("shards").iterdir())
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    }
    assert found == {f"s{n}": f"{shard_of(person):02x}" for n, person in enumerate(people)}
    assert f"--array=0-{SHARDS - 1}\n" in PAGE
    planned = batch.plan(min(Path("shards").iterdir()), Settings(writer="template", reader="none"))
    assert planned.items
