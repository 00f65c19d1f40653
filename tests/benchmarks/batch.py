"""Studies a second in a batch and one by one, and what the batch itself costs a study.

    python -m tests.benchmarks.batch [--data DIR] [--crops 200] [--toys 1000] [--workers N]
        [--runtimes torch openvino]

The crops are measured by the shipped networks, in each runtime that is named, and written by the
template. One by one is the inner call of `voxcite draft`, with its files, in this process and with
all cores. The same with a worker's share of the cores, times the workers, is the most that a batch
can win, however little it costs itself. The batch's time is counted from its first outcome, since
starting workers is paid once, and that is printed as well.
The toys are studies that take some milliseconds: what they take in the batch beyond the same calls
in a loop, before and after it, is its own, by this machine's processes and, where it is installed,
by a Ray that is started on this machine. Run it from the root of the repository: Ray's workers
import this file.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch

from assistant import Settings, batch, read_study
from assistant.batch import Cluster, Outcome
from assistant.batch.cluster import check_installed
from assistant.batch.pool import cores
from assistant.batch.work import Recipe
from assistant.output import write_draft
from assistant.pipeline import Assistant
from assistant.written import now, written_whole
from segment.runtime import Runtime
from tests.batches import written
from tests.phantoms import head
from tests.shared_data import shared_data
from tests.test_batch_kill import nowhere

WRITTEN = Settings(writer="template", reader="none")


def links(scans: list[Path], count: int, folder: Path) -> None:
    """Give a folder so many studies, the same scans again where there are fewer."""
    folder.mkdir()
    for number in range(count):
        (folder / f"s{number:05}.nii.gz").symlink_to(scans[number % len(scans)].resolve())


def one_by_one(
    folder: Path, output: Path, recipe: Recipe, side: str | None, settings: Settings = WRITTEN
) -> float:
    """Draft studies in a loop as single drafts are; return seconds, the first study apart."""
    assistant = recipe(settings)
    paths = sorted(folder.iterdir())
    for number, path in enumerate(paths):
        if number == 1:
            began = time.perf_counter()
        study = read_study(path)
        if side is None:
            _, _, segmented, *_, report = assistant.steps(study)
        else:
            segmented = assistant.crop(study, side)
            *_, report = assistant.report(study, segmented)
        with written_whole(output / path.name) as whole:
            write_draft(whole, study, segmented, report, now())
    return time.perf_counter() - began


def batched(
    folder: Path,
    output: Path,
    recipe: Recipe,
    side: str | None,
    workers: int,
    cluster: Cluster | None = None,
    settings: Settings = WRITTEN,
) -> tuple[float, float]:
    """Draft the same studies as a batch; return seconds after the first outcome and before it."""
    began = time.perf_counter()
    planned = batch.plan(folder, settings, side=side)
    drafting = batch.run(planned, output, workers=workers, recipe=recipe, cluster=cluster)
    moments = list(_moments(drafting))
    return moments[-1] - moments[0], moments[0] - began


def _moments(drafting: Iterator[Outcome]) -> Iterator[float]:
    for _ in drafting:
        yield time.perf_counter()
    yield time.perf_counter()  # manifest and summary are written


def print_row(
    name: str,
    count: int,
    alone_s: float,
    batch_s: float,
    start_s: float,
    most: float | None = None,
) -> None:
    """Print both rates, their ratio and the most it can be; the first study is left out."""
    alone, together = (count - 1) / alone_s, (count - 1) / batch_s
    limit = "-" if most is None else f"{most:.2f}"
    rates = f"{alone:.2f} | {together:.2f} | {together / alone:.2f} | {limit}"
    print(f"| {name} | {count} | {rates} | {start_s:.1f} |", flush=True)


def print_crops(folder: Path, output: Path, runtime: Runtime, workers: int) -> None:
    """Print the rates of crops that are measured in a runtime."""
    settings, recipe = replace(WRITTEN, runtime=runtime), Assistant.from_settings
    alone_s = one_by_one(folder, output / "alone", recipe, "left", settings)
    batch_s, start_s = batched(folder, output / "batch", recipe, "left", workers, settings=settings)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, cores() // workers))
    worker_s = one_by_one(folder, output / "worker", recipe, "left", settings)
    torch.set_num_threads(threads)
    count, most = len(list(folder.iterdir())), workers * alone_s / worker_s
    print_row(f"hippocampus crops, {runtime}", count, alone_s, batch_s, start_s, most)


def print_overhead(count: int, scratch: Path) -> None:
    """Print what a study costs in a batch of one worker beyond the same calls in a loop."""
    volume = head((6.0, 6.0, 6.0), field_mm=110).volume
    scan = written(scratch / "toy.nii.gz", volume.array, volume.geometry.affine)
    links([scan], count, scratch / "toys")
    own_ms = {}
    alone_s = one_by_one(scratch / "toys", scratch / "toys_alone", nowhere, None)
    for name, cluster in engines().items():
        output = scratch / f"toys_{name}"
        batch_s, start_s = batched(scratch / "toys", output, nowhere, None, 1, cluster)
        before_s = alone_s
        alone_s = one_by_one(scratch / "toys", scratch / f"toys_after_{name}", nowhere, None)
        between_s = (before_s + alone_s) / 2
        print_row(f"toys, one worker, {name}", count, between_s, batch_s, start_s)
        own_ms[name] = 1000 * (batch_s - between_s) / (count - 1)
    print()
    for name, cost_ms in own_ms.items():
        print(f"{name}: {cost_ms:.1f} ms a study over {count} studies, start-up apart")


def engines() -> dict[str, Cluster | None]:
    """Name the engines that are installed; a worker has all cores with each, as the loop has."""
    try:
        check_installed()
    except ValueError as error:
        print(error)
        return {"local": None}
    return {"local": None, "ray": Cluster(cpus=cores())}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="default: VOXCITE_DATA or ../shared/data")
    parser.add_argument("--crops", type=int, default=200)
    parser.add_argument("--toys", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--runtimes", nargs="+", default=["torch"], choices=get_args(Runtime))
    asked = parser.parse_args()
    if asked.data is not None:
        os.environ["VOXCITE_DATA"] = str(asked.data)
    scans = sorted(shared_data("hippocampus", "images").glob("*.nii.gz"))
    print(f"{cores()} cores, {asked.workers} workers\n")
    print("| studies | n | one by one, 1/s | batch, 1/s | ratio | at most | start-up, s |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        links(scans, asked.crops, scratch / "crops")
        for runtime in asked.runtimes:
            print_crops(scratch / "crops", scratch / runtime, runtime, asked.workers)
        print_overhead(asked.toys, scratch)


if __name__ == "__main__":
    main()
