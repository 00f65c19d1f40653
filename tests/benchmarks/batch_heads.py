"""Whole heads with the language model in a batch, beside single drafts with the model warm.

    python -m tests.benchmarks.batch_heads [--data DIR] [--heads 40] [--workers N] [--texts 1 4]

Single drafts are the inner call of `voxcite draft`, files included, in this process and with all
cores: one to warm up, half of the heads before the batches and half after them, so that a machine
that becomes slower spoils no ratio. A batch begins with more studies than are counted, a group for
each worker to read its models with; its clock runs from the end of the last of these to the
manifest. The same few heads come again and again; nothing is kept from one to the next.
"""

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant import Assistant, Settings, batch, read_study
from assistant.batch.pool import cores
from assistant.output import write_draft
from assistant.threads import spin_briefly
from assistant.written import now, written_whole
from tests.shared_data import shared_data

HEADS = (
    "dicom/mr_t1_whole_head_120slices",
    "ms_crosssectional/patient07/t1.nii.gz",
    "ms_crosssectional/patient26/t1.nii.gz",
)
WRITERS = Settings(writer="vlm")


@dataclass(frozen=True)
class Taken:
    """Heads that were drafted, and the seconds that they took."""

    count: int
    seconds: float

    def row(self, name: str, single: "Taken") -> str:
        """Write a row of the table."""
        each, one = self.seconds / self.count, single.seconds / single.count
        hourly = f"{3600 / each:.0f}"
        cells = (
            name,
            self.count,
            f"{self.seconds:.0f}",
            f"{each:.2f}",
            hourly,
            f"{each / one:.2f}",
        )
        return f"| {' | '.join(map(str, cells))} |"


def paths(count: int) -> list[Path]:
    """Name so many heads, the same ones again and again."""
    known = [shared_data(*name.split("/")).resolve() for name in HEADS]
    return [known[number % len(known)] for number in range(count)]


def single(assistant: Assistant, count: int, output: Path) -> Taken:
    """Draft heads one by one."""
    began = time.perf_counter()
    for number, path in enumerate(paths(count)):
        study = read_study(path)
        _, _, segmented, *_, report = assistant.steps(study)
        with written_whole(output / f"{number:03}") as whole:
            write_draft(whole, study, segmented, report, now())
    return Taken(count, time.perf_counter() - began)


def batched(count: int, folder: Path, workers: int, texts: int) -> Taken:
    """Draft heads in a batch; the first ones, a group a worker, are left out."""
    warming = workers * texts
    listed = folder / "heads.csv"
    with listed.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "study"])
        rows.writerows((f"h{n:03}", path) for n, path in enumerate(paths(warming + count)))
    planned = batch.plan(listed, WRITERS)
    for number, outcome in enumerate(
        batch.run(planned, folder / "out", workers=workers, texts=texts), start=1
    ):
        if outcome.status != "drafted":
            print(f"{outcome.id}: {outcome.status} {outcome.code or ''}")
        if number == warming:
            began = time.perf_counter()
    return Taken(count, time.perf_counter() - began)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="default: VOXCITE_DATA or ../shared/data")
    parser.add_argument("--heads", type=int, default=40)
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--texts", type=int, nargs="+", default=[1, 4])
    asked = parser.parse_args(arguments)
    spin_briefly()  # as the command does, before torch is imported
    if asked.data is not None:
        os.environ["VOXCITE_DATA"] = str(asked.data)
    print(f"{cores()} cores, {asked.workers} workers, load {os.getloadavg()[0]:.1f}", flush=True)
    assistant = Assistant.from_settings(WRITERS)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        single(assistant, 1, scratch / "warm")
        half = asked.heads // 2
        before = single(assistant, half, scratch / "before")
        print(f"one by one: {before.seconds / half:.1f} s a head", flush=True)
        found = {}
        for texts in asked.texts:
            (scratch / f"{texts}").mkdir()
            found[texts] = batched(asked.heads, scratch / f"{texts}", asked.workers, texts)
            print(f"{texts} at once: {found[texts].seconds / asked.heads:.1f} s a head", flush=True)
        after = single(assistant, asked.heads - half, scratch / "after")
    alone = Taken(asked.heads, before.seconds + after.seconds)
    print("\n| heads | n | seconds | a head | an hour | of a single draft |")
    print("|---|---|---|---|---|---|")
    print(alone.row("one by one", alone))
    for texts, taken in found.items():
        print(taken.row(f"batch, {texts} texts at once", alone))


if __name__ == "__main__":
    main()
