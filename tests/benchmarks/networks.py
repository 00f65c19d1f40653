"""Every network at the same number of steps, on validation subjects that none of them has seen.

    python -m tests.benchmarks.networks [--output DIR] [--epochs 2] [--seeds 3] [--jobs 1]
    python -m tests.benchmarks.networks --times [--output DIR] [--epochs 2]
    python -m tests.benchmarks.networks --table [--write]

Each network and each seed is a process of its own, on one thread and on a GPU where torch sees one;
``--jobs`` of them run at once. One that was interrupted goes on from its last epoch, one that is
finished is left alone. ``--times`` times each network on the processor, one after the other.
``--table`` prints what is finished so far; ``--write`` puts the networks that have all their seeds
into docs/networks.md.

The plan is the default network's, cut short; only the number of epochs differs. The time of a step
is the processor's, each beside a step of ``unet`` in the same process. Memory is what a process
grew by in the first of these steps, before it knew of ``unet``.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from segment.evaluate import compare
from segment.models import Box, describe, load
from segment.models.training.plan import Run, TrainingPlan, case_name, subject_of
from segment.reading import read_nifti
from segment.resume import replacing
from tests.benchmarks.documents import put_between
from tests.benchmarks.jobs import NO_CHANGES, Job, run_jobs
from tests.shared_data import shared_data

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "networks.md"
BEGIN, END = "<!-- printed by tests.benchmarks.networks -->", "<!-- end of what was printed -->"
STRUCTURES = {"whole": [1, 2], "anterior": [1], "posterior": [2]}
PAIRS = 7  # of steps that are timed, the first of which is not counted
STEADY = 1


@dataclass(frozen=True)
class Row:
    """One row of the table: a network, or one without the block that it is named for."""

    name: str
    network: str
    changes: Mapping[str, Any]

    @property
    def slug(self) -> str:
        """Name the row in a path."""
        return self.name.replace(" ", "-").replace(",", "")


ROWS = (
    Row("unet", "unet", {}),
    Row("unetr", "unetr", {}),
    Row("unetr without its transformer", "unetr", {"has_transformer": False}),
    Row("transunet", "transunet", {}),
    Row("mamba", "mamba", {}),
    Row("transunet or mamba without its block", "mamba", {"blocks": 0}),
)


# What each network is compared with, to say what does not help.
BESIDE = (
    ("unetr", "unetr without its transformer"),
    ("transunet", "transunet or mamba without its block"),
    ("mamba", "transunet or mamba without its block"),
    ("unetr", "unet"),
    ("transunet", "unet"),
    ("mamba", "unet"),
)


def plan_of(row: Row, epochs: int) -> TrainingPlan:
    """Cut the shipped plan short; a checkpoint an epoch."""
    shipped = Path(str(files("segment.models.training").joinpath("train.toml")))
    return replace(
        TrainingPlan.read(shipped),
        network=row.network,
        sizes=row.changes,
        epochs=epochs,
        settling_epochs=0,
        checkpoint_every_epochs=1,
    )


def trained(row: Row, seed: int, epochs: int, output: Path) -> dict[str, Any]:
    """Train one network, or the rest of it, and compare it with the expert."""
    import torch
    from safetensors.torch import load_file

    from segment.models.devices import device_here, device_name, placed
    from segment.models.network import build_network, load_state, parameters_of
    from segment.models.training.run import train_run

    torch.set_num_threads(1)
    data = shared_data("hippocampus").parent
    plan = plan_of(row, epochs)
    split = json.loads((data / plan.split).read_text())
    run = Run(f"{row.slug}-{seed}", seed, None, epochs, tuple(split["train"]), tuple(split["val"]))
    began = time.monotonic()
    for step in train_run(plan, run, data, output):
        print(f"{step.run} epoch {step.epoch}/{step.epochs} loss {step.loss:.4f}", flush=True)
    training_s = round(time.monotonic() - began, 1)
    network = build_network(row.network, plan.patch, len(plan.structures), row.changes)
    load_state(network, load_file(output / run.name / "weights.safetensors"))
    on_device = placed(network.eval(), device_here())
    return {
        "row": row.name,
        "seed": seed,
        "device": device_name(),
        "training_s": training_s,
        "steps": epochs * (len(run.train) // plan.batch),
        "batch": plan.batch,
        "parameters": parameters_of(network),
        "agreements": judged(row.network, on_device, run.held_out, data / "hippocampus"),
    }


def judged(name: str, network: Any, cases: Sequence[int], data: Path) -> list[dict[str, Any]]:
    """Compare one network's masks with the expert's, as an ensemble of one."""
    from segment.models.ensemble import Ensemble

    structures = tuple(describe(name)["structures"])
    alone = Ensemble(name, structures, (network,), np.ones(3, np.float32), (0,), "", "torch")
    return compared(lambda box: alone([box])[0].mean(axis=0).argmax(axis=0), cases, data)


def compared(
    labels_of: Callable[[Box], Any], cases: Sequence[int], data: Path
) -> list[dict[str, Any]]:
    """Compare what finds labels in a box with the expert's labels, case by case."""
    found = []
    for case in cases:
        image, label = (read_nifti(data / kind / case_name(case)) for kind in ("images", "labels"))
        labels = labels_of(Box(image.array, np.ones(image.array.shape, bool)))
        expert = label.array.astype(np.int64)
        for agreement in compare(labels, expert, label.geometry, STRUCTURES):
            found.append({"case": case, **asdict(agreement)})
    return found


def baseline(output: Path) -> dict[str, Any]:
    """Compare Otsu's threshold with the expert; it has no seed, and no parts to tell apart."""
    path = output / "threshold.json"
    if not path.exists():
        data = shared_data("hippocampus")
        cases = json.loads((data / "split.json").read_text())["val"]
        otsu = load("threshold")
        found = compared(lambda box: otsu([box])[0][0].argmax(axis=0), cases, data)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"agreements": found}), encoding="utf-8")
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def timed(row: Row, plan: TrainingPlan) -> dict[str, Any]:
    """Time steps of a network and of ``unet`` in turn, in seconds of the processor."""
    import torch

    torch.set_num_threads(1)
    from segment.models.training.processes import Crew
    from segment.models.training.run import Trainer

    alone = Crew.gather(is_sharded=False)
    windows = torch.rand(plan.batch, 1, *plan.patch)
    labels = torch.randint(0, 3, windows.shape).float()
    windows = windows.to(memory_format=torch.channels_last_3d)
    run = Run("timed", 0, None, 1, (), ())
    nothing = [{"image": windows[0], "label": labels[0]}] * plan.batch * PAIRS
    before = resident_mb()
    own = Trainer(plan, run, nothing, alone)
    for _ in range(STEADY):
        own.step(windows, labels)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    plain = Trainer(replace(plan, network="unet", sizes={}), run, nothing, alone)
    spent: dict[str, list[float]] = {"own": [], "plain": [], "own_seen": [], "plain_seen": []}
    for _ in range(PAIRS):
        for kind, trainer in (("own", own), ("plain", plain)):
            trainer.network.train()
            spent[kind].append(cpu_s(lambda trained=trainer: trained.step(windows, labels)))
            trainer.network.eval()
            with torch.inference_mode():
                spent[f"{kind}_seen"].append(cpu_s(lambda net=trainer.network: net(windows)))
    median = {kind: statistics.median(times[STEADY:]) for kind, times in spent.items()}
    return {
        "row": row.name,
        "memory_mb": grown,
        "step_ratio": median["own"] / median["plain"],
        "window_ratio": median["own_seen"] / median["plain_seen"],
    }


def cpu_s(work: Callable[[], object]) -> float:
    """Return the processor's seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def resident_mb() -> float:
    """Return what this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def finished(output: Path, row: Row) -> list[dict[str, Any]]:
    """Read the results of a row, whichever seeds are done."""
    paths = sorted(output.glob(f"{row.slug}-[0-9]*.json"))
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return [result for result in results if result["row"] == row.name]


def times_of(output: Path, row: Row) -> dict[str, Any] | None:
    """Read what a row's network takes, or None where nobody timed it."""
    path = output / f"{row.slug}-times.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def table(output: Path, least: int = 1) -> str:
    """Write the networks that have so many seeds: the mean over seeds, and their range."""
    found = {row.name: finished(output, row) for row in ROWS}
    rows = {name: results for name, results in found.items() if len(results) >= least}
    if not rows:
        return "No network has finished yet."
    first = next(iter(rows.values()))[0]
    cases = {a["case"] for a in first["agreements"]}
    subjects = {subject_of(case) for case in cases}
    lines = [
        f"{first['steps']} steps of {first['batch']} crops; n = {len(cases)} validation crops of"
        f" {len(subjects)} subjects; the mean over seeds, and from the lowest to the highest seed.",
        "",
        "| network | seeds | Dice, whole | Dice, anterior | Dice, posterior |"
        " mean surface distance, mm | parameters | training step, of unet's |"
        " window, of unet's | memory, MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        if results := rows.get(row.name):
            shown = [*columns(results), *timed_columns(times_of(output, row))]
            lines.append(f"| {row.name} | {len(results)} | " + " | ".join(shown) + " |")
    otsu = baseline(output)
    dice = mean_of(otsu, "whole", "dice")
    distance = mean_of(otsu, "whole", "mean_surface_distance_mm")
    lines.append(f"| threshold, Otsu's | - | {dice:.3f} | - | - | {distance:.2f} | 0 | - | - | - |")
    pairs = [(a, b) for a, b in BESIDE if a in rows and b in rows]
    told = [f"- {verdict(a, rows[a], b, rows[b])}" for a, b in pairs]
    devices = sorted({r["device"] for results in rows.values() for r in results})
    where = f"Trained on: {', '.join(devices)}. Steps, windows and memory are the processor's."
    return "\n".join([*lines, "", where, "", *told])


def verdict(
    name: str, mine: Sequence[Mapping[str, Any]], other: str, theirs: Sequence[Mapping[str, Any]]
) -> str:
    """Say whether one network is better than another in every seed, worse in every, or neither."""
    one, two = ({r["seed"]: mean_of(r, "whole", "dice") for r in rows} for rows in (mine, theirs))
    gains = [one[seed] - two[seed] for seed in sorted(one.keys() & two.keys())]
    if not gains:
        return f"{name} and {other} have no seed in common yet."
    spread = f"{min(gains):+.3f} to {max(gains):+.3f}, {len(gains)} seeds"
    told = f"Dice of the whole {statistics.mean(gains):+.3f} ({spread})"
    if min(gains) > 0:
        return f"{name} is better than {other} in every seed: {told}."
    if max(gains) < 0:
        return f"{name} is worse than {other} in every seed: {told}."
    return f"{name} is not better than {other} in every seed, nor worse: {told}."


def columns(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write the columns of one row that its seeds give."""
    dice = [ranged([mean_of(r, part, "dice") for r in results], 3) for part in STRUCTURES]
    distance = ranged([mean_of(r, "whole", "mean_surface_distance_mm") for r in results], 2)
    return [*dice, distance, f"{results[0]['parameters']:,}"]


def timed_columns(times: Mapping[str, Any] | None) -> list[str]:
    """Write the columns of one row that were timed; dashes where nobody timed it."""
    if times is None:
        return ["-"] * 3
    ratios = [f"{times[kind]:.1f}" for kind in ("step_ratio", "window_ratio")]
    return [*ratios, f"{times['memory_mb']:.0f}"]


def mean_of(result: Mapping[str, Any], structure: str, quantity: str) -> float:
    """Average one quantity of one structure over the cases."""
    rows = [a[quantity] for a in result["agreements"] if a["structure"] == structure]
    return statistics.mean(rows)


def ranged(values: Sequence[float], digits: int) -> str:
    """Write a mean and, of several values, the lowest and the highest."""
    mean = f"{statistics.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def run_all(output: Path, epochs: int, seeds: int, jobs: int) -> None:
    """Run what is not finished, every network of a seed before the next seed."""
    told = {
        f"{row.slug}-{seed}.json": ("--one", row.name, "--seed", str(seed))
        for seed in range(seeds)
        for row in ROWS
    }
    run_missing(output, epochs, told, jobs)


def time_all(output: Path, epochs: int) -> None:
    """Time the networks that nobody timed, one after the other and on the processor alone."""
    told = {f"{row.slug}-times.json": ("--one", row.name, "--times") for row in ROWS}
    run_missing(output, epochs, told, 1, {"CUDA_VISIBLE_DEVICES": ""})


def run_missing(
    output: Path,
    epochs: int,
    told: Mapping[str, tuple[str, ...]],
    jobs: int,
    environment: Mapping[str, str] = NO_CHANGES,
) -> None:
    """Run a process for each file that is not there; raises CalledProcessError where one fails."""
    output.mkdir(parents=True, exist_ok=True)
    common = ("--epochs", str(epochs), "--output", str(output))
    missing = [
        Job(name, ("tests.benchmarks.networks", *words, *common))
        for name, words in told.items()
        if not (output / name).exists()
    ]
    for job in run_jobs(missing, jobs, environment):
        print(f"{job.name} is written", flush=True)


def run_one(chosen: argparse.Namespace) -> None:
    """Do what one process of a run or of a timing does."""
    row = next(row for row in ROWS if row.name == chosen.one)
    if chosen.times:
        path = chosen.output / f"{row.slug}-times.json"
        result = timed(row, plan_of(row, chosen.epochs))
    else:
        path = chosen.output / f"{row.slug}-{chosen.seed}.json"
        result = trained(row, chosen.seed, chosen.epochs, chosen.output)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(result), encoding="utf-8")


def main() -> None:
    """Run, time or print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--output", type=Path, default=Path("runs/networks"))
    arguments.add_argument("--epochs", type=int, default=2)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--jobs", type=int, default=1, help="trainings at once")
    arguments.add_argument("--times", action="store_true", help="time instead of training")
    arguments.add_argument("--table", action="store_true")
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--one", help=argparse.SUPPRESS)
    arguments.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.one:
        run_one(chosen)
        return
    output = chosen.output / f"{chosen.epochs}-epochs"
    if chosen.times:
        time_all(output, chosen.epochs)
    elif not chosen.table:
        run_all(output, chosen.epochs, chosen.seeds, chosen.jobs)
    print(table(output))
    if chosen.write:
        put_between(DOCUMENT, BEGIN, END, table(output, chosen.seeds))


if __name__ == "__main__":
    main()
