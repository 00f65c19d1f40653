"""The command ``voxcite batch``: shows progress, prints the counts. Decides nothing."""

import argparse
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.cli.terminal import (
    NOTHING_MEASURED,
    OK,
    add_crop,
    add_reader,
    add_runtime,
    add_writer,
    bar_of,
    prepare,
    settings_of,
    side_of,
)
from assistant.settings import DEFAULT_EXAM
from segment.errors import Refusal, ScanError

if TYPE_CHECKING:
    from assistant.batch import Cluster, Outcome, Plan
    from assistant.cli.terminal import Commands

INPUT_HELP = "folder of scans, BIDS dataset, DICOM of many patients, or a manifest (CSV, Parquet)"
BAR = "{desc} |{bar}| {n_fmt} of {total_fmt}{postfix}, {remaining} left"
S_PER_HOUR = 3600.0


def add_batch(commands: "Commands") -> None:
    """Describe the command."""
    batch = commands.add_parser("batch", help="draft the reports of many studies")
    batch.add_argument("input", type=Path, metavar="INPUT", help=INPUT_HELP)
    batch.add_argument("output", type=Path, metavar="OUTPUT", help="an empty folder, or a new one")
    batch.add_argument("--exam", default=DEFAULT_EXAM)
    batch.add_argument("--language", default="en", help="en or zh")
    batch.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: one a core; 0: this one"
    )
    batch.add_argument(
        "--texts", type=int, metavar="N", help="how many a process writes together; default: 4"
    )
    batch.add_argument("--resume", action="store_true", help="go on with the run in OUTPUT")
    batch.add_argument("--dry-run", action="store_true", help="list what would be done, and end")
    batch.add_argument(
        "--parquet",
        action="store_true",
        default=None,
        help="insist on manifest.parquet; it is written anyway where pyarrow is installed",
    )
    batch.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="processes here, or Ray's"
    )
    batch.add_argument(
        "--address", metavar="A", help="of a Ray cluster, as ray://HOST:10001; default: one here"
    )
    batch.add_argument("--cpus", type=int, default=1, metavar="N", help="cores of a worker of Ray")
    batch.add_argument(
        "--gpus", type=float, default=0.0, metavar="N", help="GPUs of a worker of Ray, or a share"
    )
    add_crop(batch)
    add_writer(batch)
    add_runtime(batch)
    add_reader(batch)
    batch.set_defaults(run=run_batch)


def run_batch(chosen: argparse.Namespace) -> int:
    """Plan a batch, and list it or run it."""
    from assistant.batch import plan

    with _stopped_by_sigterm():
        settings = settings_of(chosen, chosen.exam, chosen.language, chosen.runtime)
        planned = plan(chosen.input, settings, side=side_of(chosen))
        if chosen.dry_run:
            _list(planned, _waiting(planned, chosen))
            return OK
        return _run(planned, chosen)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let the signal of SLURM and systemd stop a run as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _cluster(chosen: argparse.Namespace) -> "Cluster | None":
    """Say where Ray runs; raises ScanError for its options without it."""
    from assistant.batch import Cluster

    given = (chosen.address, chosen.cpus, chosen.gpus)
    if chosen.engine == "ray":
        return Cluster(*given)
    if given != (None, 1, 0.0):
        msg = "--address, --cpus and --gpus say where Ray works; add --engine ray"
        raise ScanError(Refusal.BAD_OPTION, msg)
    return None


def _options(chosen: argparse.Namespace) -> dict[str, Any]:
    """Gather what a run takes beside its plan and its folder."""
    return {
        "workers": chosen.workers,
        "texts": chosen.texts,
        "resume": chosen.resume,
        "as_parquet": chosen.parquet,
        "cluster": _cluster(chosen),
    }


def _waiting(planned: "Plan", chosen: argparse.Namespace) -> frozenset[str]:
    """Name the studies that the run would draft; raises what the run would."""
    from assistant.batch import waiting

    found = waiting(planned, chosen.output, **_options(chosen))
    return frozenset(item.id for item in found)


def _run(planned: "Plan", chosen: argparse.Namespace) -> int:
    """Run a batch behind a bar and print how its studies ended."""
    from assistant.batch import outcomes, run
    from assistant.pipeline import Assistant

    began = len(planned.items) - len(_waiting(planned, chosen))
    prepare(Assistant.from_settings(planned.settings))
    results = run(planned, chosen.output, **_options(chosen))
    with closing(results):
        for _ in counted(results, len(planned.items), began):
            pass
    statuses = Counter(outcome.status for outcome in outcomes(chosen.output))
    told = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    print(f"{told}; see summary.html and manifest.csv")
    return OK if statuses["drafted"] else NOTHING_MEASURED


def counted(
    results: "Iterator[Outcome]",
    total: int,
    began: int,
    clock: Callable[[], float] = time.monotonic,
) -> "Iterator[Outcome]":
    """Pass outcomes on; the bar counts them, with studies an hour and the time left.

    ``began`` studies were done before; they count as done and say nothing of the speed.
    """
    with bar_of(total, "Studies") as bar:
        bar.bar_format = BAR
        bar.initial = bar.n = began
        since = clock()
        for done, outcome in enumerate(results, start=1):
            hourly = done / max(clock() - since, 1e-9) * S_PER_HOUR
            bar.set_postfix_str(f"{hourly:.0f} an hour", refresh=False)
            bar.update()
            yield outcome


def _list(planned: "Plan", waiting: frozenset[str]) -> None:
    """Print what would be done, what is missing and what is set aside."""
    for item in planned.items:
        files = "" if len(item.paths) == 1 else f", {len(item.paths)} files"
        state = "to do" if item.id in waiting else "done"
        place = f", {planned.found[item.id]}" if item.id in planned.found else ""
        print(f"{item.id}: {state}, {item.exam}, {item.language}{files}{place}")
    for absent in planned.absent:
        print(f"missing: {absent}")
    for what, count in sorted(planned.aside.items()):
        print(f"set aside: {count} {what}")
    print(f"{len(planned.items)} studies, {len(waiting)} to do; nothing was written")
