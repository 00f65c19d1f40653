"""A plan for a million studies: bytes, hours, wall time, cost, bottleneck and layout of storage.

    python -m tests.benchmarks.scale [--write]

Nothing is measured: the rates of scale.toml are counted with, and queues are simulated
(queueing.py). ``--write`` puts what is printed into docs/scale.md.
"""

import argparse
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from tests.benchmarks.queueing import Batch, Outcome, simulate_long
from tests.benchmarks.rates import Rate, numbers, read_rates

DOCUMENT = Path(__file__).parents[2] / "docs" / "scale.md"
BLOCK = re.compile(r"(<!-- output:(\w+) -->\n).*?(<!-- /output -->)", re.DOTALL)
STUDIES, MACHINES, SHARDS, SEED = 1_000_000, (1, 8, 64), 256, 0
MIDDLE = 8  # machines, where one number of them is shown
HOUR_S, GB, TB = 3600, 1e9, 1e12

Count = Callable[[Mapping[str, float]], float]
Writer = Literal["template", "embedded model", "4B model on GPUs"]
Storage = Literal["one file server", "object store, one prefix", "object store, a prefix a shard"]
WRITERS: tuple[Writer, ...] = ("template", "embedded model", "4B model on GPUs")
STORAGES: tuple[Storage, ...] = (
    "one file server",
    "object store, one prefix",
    "object store, a prefix a shard",
)
ON_GPUS, SHARDED = WRITERS[2], STORAGES[2]


@dataclass(frozen=True)
class Cluster:
    """Machines, what writes on them, and where the studies lie."""

    machines: int
    writer: Writer
    storage: Storage

    def batch(self, rates: Mapping[str, float]) -> Batch:
        """Say how long each part of a study takes each part of the cluster."""
        on_gpus = self.writer == ON_GPUS
        embedded_s = rates["text_s"] if self.writer == "embedded model" else 0.0
        return Batch(
            studies=STUDIES,
            workers=int(self.machines * rates["machine_cores"] / rates["worker_cores"]),
            read_s=self._moving_s(rates, "series", "reads"),
            save_s=self._moving_s(rates, "draft", "writes"),
            compute_s=rates["measure_s"] + embedded_s,
            spread=rates["spread"],
            slots=int(self.gpus(rates) * rates["gpu_texts"]) if on_gpus else 0,
            text_s=report_tokens(rates) * rates["gpu_texts"] / rates["gpu_tokens_a_s"],
            failing=rates["failing"],
            restart_s=rates["restart_s"],
        )

    def gpus(self, rates: Mapping[str, float]) -> float:
        """Count GPUs, of which there may be fewer than machines."""
        return self.machines * rates["machine_gpus"] if self.writer == ON_GPUS else 0.0

    def _moving_s(self, rates: Mapping[str, float], what: str, how: str) -> float:
        """Return what a study's bytes or its files take the storage, whichever is more."""
        size, files = rates[f"{what}_bytes"], rates[f"{what}_files"]
        if self.storage == "one file server":
            return size / (rates["server_mb_a_s"] * 1e6)
        prefixes = SHARDS if self.storage == SHARDED else 1
        by_bytes_s = size / (self.machines * rates["object_mb_a_s"] * 1e6)
        return max(by_bytes_s, files / (prefixes * rates[f"prefix_{how}_a_s"]))


@dataclass(frozen=True)
class Bill:
    """What a run costs, in USD: machines as long as it lasts, and a month of its drafts."""

    cores: float
    gpus: float
    requests: float
    stored: float

    @property
    def total(self) -> float:
        """Add it up."""
        return self.cores + self.gpus + self.requests + self.stored


def report_tokens(rates: Mapping[str, float]) -> float:
    """Return the tokens of a report, at most: those of all the time that one takes here."""
    return rates["tokens_a_s"] * rates["text_s"]


def bill(cluster: Cluster, rates: Mapping[str, float], outcome: Outcome) -> Bill:
    """Pay a cluster that was rented as long as the run lasts, idle or not."""
    hours = outcome.wall_s / HOUR_S
    reads = (STUDIES + outcome.retried) * rates["series_files"] * rates["read_usd_a_thousand"]
    writes = STUDIES * rates["draft_files"] * rates["write_usd_a_thousand"]
    return Bill(
        cores=hours * cluster.machines * rates["machine_cores"] * rates["core_usd_an_hour"],
        gpus=hours * cluster.gpus(rates) * rates["gpu_usd_an_hour"],
        requests=(reads + writes) / 1000,
        stored=STUDIES * rates["draft_bytes"] / GB * rates["stored_usd_a_gb"],
    )


def shard_of(person: str, shards: int = SHARDS) -> int:
    """Return the shard of a person's studies, the same on every machine and in every run."""
    return int(hashlib.sha256(person.encode()).hexdigest(), 16) % shards


def rates_table(rates: Mapping[str, Rate]) -> str:
    """List every rate with its ends and its source."""
    rows = [
        f"| {_name(name)} | {r.value:,.10g} | {_span(r)} | {r.unit} | {r.kind}: {r.source} |"
        for name, r in rates.items()
    ]
    head = ["| rate | value | best to worst | unit | source |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def work_table(rates: Mapping[str, Rate]) -> str:
    """Print what must be moved, computed and kept, whatever the machines."""
    value = numbers(rates)
    lines = [
        f"{STUDIES:,} studies, whatever the number of machines; best to worst in brackets.",
        "",
        "| what | all studies |",
        "|---|---|",
        f"| bytes in | {_ends(rates, _terabytes_in)} TB |",
        f"| files in | {_ends(rates, lambda r: r['series_files'], 0)} million |",
        f"| bytes out | {STUDIES * value['draft_bytes'] / TB:.2f} TB |",
        f"| files out | {value['draft_files']:.0f} million |",
        f"| core hours, measuring heads | {_ends(rates, _core_hours('measure_s'), 0)} |",
        f"| core hours more, embedded model | {_ends(rates, _core_hours('text_s'), 0)} |",
        f"| core hours, if all were crops | {_ends(rates, _core_hours('crop_s'), 0)} |",
        f"| tokens of a report, at most | {report_tokens(value):.0f} |",
        f"| GPU hours, 4B model | {_ends(rates, _gpu_hours, 1)} |",
        f"| memory of a machine, template | {_memory_gb(value, 0.0):.0f} GB |",
        f"| memory of a machine, embedded model | {_memory_gb(value, value['writer_gb']):.0f} GB |",
        f"| studies that kill two workers | {STUDIES * value['failing'] ** 2:.0f}"
        f" ({STUDIES * rates['failing'].best ** 2:.1f}"
        f" to {STUDIES * rates['failing'].worst ** 2:.0f}) |",
    ]
    return "\n".join(lines)


def wall_table(rates: Mapping[str, Rate]) -> str:
    """Print the wall time of every cluster, and which part of it was busiest."""
    value = numbers(rates)
    heads = [f"{machines} machine{'s'[: machines - 1]}" for machines in MACHINES]
    lines = [f"| writer | storage | {' | '.join(heads)} |", "|---|---|---|---|---|"]
    for writer in WRITERS:
        for storage in STORAGES:
            cells = [_cell(Cluster(machines, writer, storage), value) for machines in MACHINES]
            lines.append(f"| {writer} | {storage} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cost_table(rates: Mapping[str, Rate]) -> str:
    """Print the bill of each writer with every rate at its value, its best and its worst."""
    lines = [
        f"{MIDDLE} machines, {SHARDED}; USD, every rate at its value (all best to all worst):",
        "",
        "| writer | wall | cores | GPUs | requests | drafts, a month | together |",
        "|---|---|---|---|---|---|---|",
    ]
    for writer in WRITERS:
        cluster = Cluster(MIDDLE, writer, SHARDED)
        found = [_run(cluster, numbers(rates, end)) for end in ("value", "best", "worst")]
        cells = [_among([_time(outcome.wall_s) for outcome, _ in found])]
        for part in ("cores", "gpus", "requests", "stored", "total"):
            cells.append(_among([f"{getattr(bill, part):,.0f}" for _, bill in found]))
        lines.append(f"| {writer} | {' | '.join(cells)} |")
    return "\n".join(lines)


def doubt_table(rates: Mapping[str, Rate]) -> str:
    """Print what one rate alone changes, where it changes anything."""
    cluster = Cluster(MIDDLE, ON_GPUS, SHARDED)
    outcome, paid = _run(cluster, numbers(rates))
    usual = (_time(outcome.wall_s), f"{paid.total:,.0f}")
    lines = [
        f"{MIDDLE} machines, {ON_GPUS}, {SHARDED}: {usual[0]}, {usual[1]} USD. With one rate",
        "at its best or its worst:",
        "",
        "| rate | kind | wall, best | wall, worst | USD, best | USD, worst |",
        "|---|---|---|---|---|---|",
    ]
    unmoved = []
    for name, rate in rates.items():
        if rate.best == rate.worst:
            continue
        ends = [_run(cluster, numbers(rates, end, only=[name])) for end in ("best", "worst")]
        walls, paids = [_time(o.wall_s) for o, _ in ends], [f"{b.total:,.0f}" for _, b in ends]
        if {*walls} == {usual[0]} and {*paids} == {usual[1]}:
            unmoved.append(_name(name))
            continue
        lines.append(f"| {_name(name)} | {rate.kind} | {' | '.join(walls + paids)} |")
    return "\n".join([*lines, "", f"Nothing there: {', '.join(unmoved)}."])


def layout_table(rates: Mapping[str, Rate]) -> str:
    """Print what lies in each shard."""
    value = numbers(rates)
    counts = Counter(shard_of(f"p{number:07}") for number in range(STUDIES))
    mean, fewest, most = STUDIES / SHARDS, min(counts.values()), max(counts.values())
    lines = [
        f"| {STUDIES:,} studies, one a person, in {SHARDS} shards | |",
        "|---|---|",
        f"| studies of a shard | {mean:,.0f} ({fewest:,} to {most:,}) |",
        f"| folders in its `studies/` | {mean:,.0f} |",
        f"| files of a draft's folder | {value['draft_files']:.0f} |",
        f"| files of a shard | {mean * value['draft_files']:,.0f} |",
        f"| bytes of a shard | {mean * value['draft_bytes'] / GB:.1f} GB |",
        f"| rows of its manifest and of its journal | {mean:,.0f} |",
        f"| core hours of a shard, template | {_core_hours('measure_s')(value) / SHARDS:.1f} |",
    ]
    return "\n".join(lines)


def blocks() -> dict[str, str]:
    """Print every block of the page, by name."""
    rates = read_rates()
    return {
        "rates": rates_table(rates),
        "work": work_table(rates),
        "wall": wall_table(rates),
        "cost": cost_table(rates),
        "doubt": doubt_table(rates),
        "layout": layout_table(rates),
    }


def _run(cluster: Cluster, rates: Mapping[str, float]) -> tuple[Outcome, Bill]:
    outcome = _simulated(cluster.batch(rates))
    return outcome, bill(cluster, rates, outcome)


@cache
def _simulated(batch: Batch) -> Outcome:
    return simulate_long(batch, SEED)


def _cell(cluster: Cluster, rates: Mapping[str, float]) -> str:
    outcome, _ = _run(cluster, rates)
    busy = outcome.utilisation(cluster.batch(rates))
    busiest = max(busy, key=lambda part: busy[part])
    return f"{_time(outcome.wall_s)}; {busiest} {busy[busiest]:.0%}"


def _time(seconds: float) -> str:
    hours = seconds / HOUR_S
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


def _name(key: str) -> str:
    return f"`{key}`"


def _span(rate: Rate) -> str:
    return "-" if rate.best == rate.worst else f"{rate.best:,.8g} to {rate.worst:,.8g}"


def _among(cells: list[str]) -> str:
    value, best, worst = cells
    return value if value == best == worst else f"{value} ({best} to {worst})"


def _ends(rates: Mapping[str, Rate], count: Count, digits: int = 1) -> str:
    return _among([f"{count(numbers(rates, e)):,.{digits}f}" for e in ("value", "best", "worst")])


def _terabytes_in(rates: Mapping[str, float]) -> float:
    return STUDIES * rates["series_bytes"] / TB


def _core_hours(name: str) -> Count:
    return lambda rates: STUDIES * rates[name] * rates["worker_cores"] / HOUR_S


def _gpu_hours(rates: Mapping[str, float]) -> float:
    return STUDIES * report_tokens(rates) / rates["gpu_tokens_a_s"] / HOUR_S


def _memory_gb(rates: Mapping[str, float], writer_gb: float) -> float:
    """Add up workers; a writer's figure is that of the whole process that writes."""
    workers = rates["machine_cores"] / rates["worker_cores"]
    return workers * max(rates["worker_gb"], writer_gb)


def main() -> None:
    """Print the blocks, or put them into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    found = blocks()
    if parser.parse_args().write:
        page = DOCUMENT.read_text(encoding="utf-8")
        filled = BLOCK.sub(lambda match: f"{match[1]}{found[match[2]]}\n{match[3]}", page)
        DOCUMENT.write_text(filled, encoding="utf-8")
        return
    for name, block in found.items():
        print(f"\n{name}\n\n{block}")


if __name__ == "__main__":
    main()
