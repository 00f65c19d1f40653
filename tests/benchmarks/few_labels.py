"""The learning curve: how many labelled subjects it takes, from scratch and after a pretraining.

    python -m tests.benchmarks.few_labels [--output runs/few-labels] [--sizes 3,5,10,20,50,0]
        [--starts scratch,masked,contrastive] [--seeds 3] [--cells N] [--jobs 1]
    python -m tests.benchmarks.few_labels --table [--figure curve.svg]

A size is a number of training subjects, 0 all of them; those of a seed are the first of one order,
so that a larger size holds the smaller ones. A cell (size, start, seed) that is finished is a line
of ``cells.jsonl`` and left alone; one that was interrupted goes on from its checkpoints. Cells of
other settings (--steps, --pretraining-steps, --members, --precision, --schedule, --coverage,
--without-heads) stay apart, and have a table of their own. ``--cells`` stops after so many.
``--jobs`` runs so many at once, each in a process on one thread; the pretrainings begin first,
beside the cells from scratch. The networks are judged on the validation subjects, whom neither a
training nor a pretraining sees. Intervals come from out-of-fold twins of the same subjects; where
these are too few, no twins are trained and the table says how many an interval needs.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from segment import organs
from segment.adapt.plan import AdaptPlan
from segment.crossfit import crossfit
from segment.models.devices import device_name
from segment.models.ensemble import pack
from segment.models.pretraining.plan import PretrainingPlan
from segment.models.pretraining.run import pretrain
from segment.models.training.plan import PRECISIONS, TrainingPlan, case_name, plan_runs, subject_of
from segment.models.training.run import train_run
from segment.models.training.schedules import SCRATCH
from segment.models.training.start import Start
from segment.quantiles import cases_needed
from segment.resume import replacing
from segment.volume import Volume
from tests.benchmarks.few_labels_curve import COVERAGE, WHOLE, figure, table
from tests.benchmarks.few_labels_judged import STRUCTURES, judged
from tests.benchmarks.jobs import Job, run_jobs
from tests.benchmarks.lines import add_line, digest_of, finished_in
from tests.shared_data import shared_data

SIZES, STARTS = (3, 5, 10, 20, 50, 0), (SCRATCH, "masked", "contrastive")
HEADS = ("mr_t1_whole_head_120slices", "mr_t1_head_2mm_jpeg_lossless_fragments")
MODULE = "tests.benchmarks.few_labels"


@dataclass(frozen=True)
class Settings:
    """Every number of the curve: the plans of a training and of a pretraining, and a schedule."""

    training: AdaptPlan
    pretraining: PretrainingPlan
    schedule: str = "gentle"
    coverage: float = COVERAGE
    has_heads: bool = True

    @property
    def slug(self) -> str:
        """Name the settings in a path and in a line."""
        return digest_of(asdict(self))

    @property
    def told(self) -> str:
        """Say what sets them apart."""
        steps = f"{self.training.steps} steps, {self.pretraining.steps} of a pretraining"
        seen = "crops, whole heads and the template" if self.has_heads else "crops alone"
        members = f"{self.training.members} members in {self.training.precision}"
        return f"Settings {self.slug}: schedule {self.schedule}, {members}, {steps} on {seen}."


@dataclass(frozen=True)
class Cell:
    """One point of the curve."""

    size: int
    start: str
    seed: int

    @property
    def slug(self) -> str:
        """Name the cell in a path."""
        return f"{self.start}-{self.size or 'all'}-{self.seed}"


def shipped_settings() -> Settings:
    """Take the shipped plans; a cell has two members, and where it has twins two folds of two."""

    def plan(package: str, name: str) -> Path:
        return Path(str(files(package).joinpath(name)))

    training = AdaptPlan.read(plan("segment.adapt", "adapt.toml"))
    pretraining = PretrainingPlan.read(plan("segment.models.pretraining", "pretrain.toml"))
    return Settings(replace(training, members=2, folds=2, fold_members=2), pretraining)


def run_cells(
    cells: Sequence[Cell], settings: Settings, data: Path, output: Path
) -> Iterator[Mapping[str, Any]]:
    """Run the cells that are not finished, and write a line for each."""
    output.mkdir(parents=True, exist_ok=True)
    done = {(row["size"], row["start"], row["seed"]) for row in finished(output, settings)}
    for cell in cells:
        if (cell.size, cell.start, cell.seed) in done:
            continue
        row = run_cell(cell, settings, data, output)
        add_line(output / "cells.jsonl", row)
        yield row


def run_beside(
    cells: Sequence[Cell], settings: Settings, output: Path, words: Sequence[str], at_once: int
) -> Iterator[Mapping[str, Any]]:
    """Run the cells that are not finished in processes; only this one writes lines.

    ``words`` are what gives a process the same settings and the same output.
    """
    output.mkdir(parents=True, exist_ok=True)
    done = {(row["size"], row["start"], row["seed"]) for row in finished(output, settings)}
    missing = {c.slug: c for c in cells if (c.size, c.start, c.seed) not in done}
    starts = dict.fromkeys(cell.start for cell in missing.values() if cell.start != SCRATCH)
    jobs = [Job(start, (MODULE, "--pretrain", start, *words)) for start in starts]
    for cell in missing.values():
        told = f"{cell.size},{cell.start},{cell.seed}"
        jobs.append(Job(cell.slug, (MODULE, "--one", told, *words), cell.start))
    for job in run_jobs(jobs, at_once):
        if job.name in missing:
            row = json.loads(row_path(missing[job.name], settings, output).read_text("utf-8"))
            add_line(output / "cells.jsonl", row)
            yield row


def row_path(cell: Cell, settings: Settings, output: Path) -> Path:
    """Say where a process leaves the row of its cell."""
    return output / settings.slug / cell.slug / "row.json"


def run_cell(cell: Cell, settings: Settings, data: Path, output: Path) -> dict[str, Any]:
    """Train, calibrate where there are subjects enough, and judge one cell."""
    begun = time.monotonic()
    folder = output / settings.slug / cell.slug
    folder.mkdir(parents=True, exist_ok=True)
    whole = _split(data)
    chosen = chosen_cases(whole["train"], cell)
    subjects = sorted({subject_of(case) for case in chosen})
    has_twins = len(subjects) >= cases_needed(settings.coverage, is_two_sided=True)
    plan = _plan(settings, chosen, folder, has_twins=has_twins)
    folds = [
        [c for c in chosen if subjects.index(subject_of(c)) % plan.folds == fold]
        for fold in range(plan.folds)
    ]
    split = {"train": chosen, "val": whole["val"], **({"folds": folds} if has_twins else {})}
    with replacing(Path(plan.split)) as temporary:
        temporary.write_text(json.dumps(split), encoding="utf-8")
    start = _start(cell, settings, data, output)
    runs = plan_runs(plan, split)
    trained_from = time.monotonic()
    for run in runs:
        seeded = replace(run, seed=run.seed + 10_000 * cell.seed)
        for step in train_run(plan, seeded, data, folder, start):
            print(f"{cell.slug} {step.run} epoch {step.epoch}/{step.epochs} loss {step.loss:.4f}")
    trained_s = time.monotonic() - trained_from
    fitted = folder / "calibrated"
    if has_twins:
        organ, coverage = organs.load(WHOLE), settings.coverage
        for _ in crossfit(plan, organ, data, folder, fitted, coverage, is_by_subject=True):
            pass
    else:
        fitted.mkdir(exist_ok=True)
        members = {run.seed: folder / run.name / "weights.safetensors" for run in runs}
        pack(members, np.ones(len(STRUCTURES), np.float32), fitted / "weights.safetensors")
    return {
        "settings": settings.slug,
        "size": cell.size,
        "start": cell.start,
        "seed": cell.seed,
        "subjects": len(subjects),
        "crops": len(chosen),
        "steps": sum(run.epochs * (len(run.train) // plan.batch) for run in runs),
        "training_s": round(trained_s, 1),
        "seconds": round(time.monotonic() - begun, 1),
        "device": device_name(),
        "cases": judged(fitted, whole["val"], data, settings.coverage),
    }


def chosen_cases(train: Sequence[int], cell: Cell) -> list[int]:
    """Choose the crops of a cell's subjects, the first of its seed's order."""
    subjects = sorted({subject_of(case) for case in train})
    order = np.random.default_rng(cell.seed).permutation(subjects).tolist()
    kept = set(order[: cell.size or len(order)])
    return [case for case in train if subject_of(case) in kept]


def _plan(
    settings: Settings, chosen: Sequence[int], folder: Path, *, has_twins: bool
) -> TrainingPlan:
    """Return the plan of one cell; where there are too few subjects, without twins."""
    plan = settings.training.training(
        "unet", "hippocampus_{:03d}.nii.gz", STRUCTURES[1:], len(chosen)
    )
    return replace(
        plan,
        sizes=settings.pretraining.sizes,
        patch=settings.pretraining.patch,
        images="hippocampus/images",
        labels="hippocampus/labels",
        split=str((folder / "split.json").resolve()),
        folds=plan.folds if has_twins else 0,
    )


def _start(cell: Cell, settings: Settings, data: Path, output: Path) -> Start:
    """Return what a cell begins with."""
    if cell.start == SCRATCH:
        return Start()
    return Start(pretrained(cell.start, settings, data, output), settings.schedule)


def pretrained(start: str, settings: Settings, data: Path, output: Path) -> Path:
    """Return the weights of a pretraining, which is run once, on crops of training subjects."""
    plan, train = settings.pretraining, _split(data)["train"]
    told = digest_of({**asdict(plan), "has_heads": settings.has_heads})
    folder = output / "pretrained" / f"{start}-{told}"
    images = output / "pretrained" / "images"
    images.mkdir(parents=True, exist_ok=True)
    for case in train:
        with suppress(FileExistsError):  # of an earlier start, or of a pretraining beside this one
            (images / case_name(case)).symlink_to(
                (data / WHOLE / "images" / case_name(case)).resolve()
            )
    heads = _heads(data) if settings.has_heads else ()
    for step in pretrain(plan, start, [images], folder, heads):
        print(f"{start} step {step.step}/{step.steps} loss {step.loss:.4f}", flush=True)
    return folder / "weights.safetensors"


def _split(data: Path) -> dict[str, list[int]]:
    """Read which cases are for training, and which judge."""
    found: dict[str, list[int]] = json.loads((data / WHOLE / "split.json").read_text("utf-8"))
    return found


def _heads(data: Path) -> Iterator[Volume]:
    """Read the whole heads at hand, and the template."""
    from assistant.study import read_sample, read_study

    yield read_sample().volume
    for name in HEADS:
        if (data / "dicom" / name).is_dir():
            yield read_study(str(data / "dicom" / name)).volume


def finished(output: Path, settings: Settings) -> list[dict[str, Any]]:
    """Read the cells of some settings that are done."""
    return finished_in(output / "cells.jsonl", settings.slug)


def chosen_settings(chosen: argparse.Namespace) -> Settings:
    """Change the shipped settings as the options say."""
    settings = replace(
        shipped_settings(),
        schedule=chosen.schedule,
        coverage=chosen.coverage,
        has_heads=not chosen.without_heads,
    )
    if chosen.steps is not None:
        steps = {"steps": chosen.steps, "fold_steps": chosen.steps, "least_epochs": 1}
        settings = replace(settings, training=replace(settings.training, **steps))
    for name in ("members", "precision"):
        if (value := getattr(chosen, name)) is not None:
            training = replace(settings.training, **{name: value})
            settings = replace(settings, training=training)
    if chosen.pretraining_steps is not None:
        plan = replace(settings.pretraining, steps=chosen.pretraining_steps)
        settings = replace(settings, pretraining=plan)
    return settings


def chosen_words(chosen: argparse.Namespace) -> list[str]:
    """Write the options that make the settings and the output, for another process."""
    words = ["--output", str(chosen.output), "--schedule", chosen.schedule]
    words += ["--coverage", str(chosen.coverage)]
    for name in ("steps", "pretraining_steps", "members", "precision"):
        if (value := getattr(chosen, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return [*words, "--without-heads"] if chosen.without_heads else words


def parser() -> argparse.ArgumentParser:
    """Return what reads the options."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--output", type=Path, default=Path("runs/few-labels"))
    arguments.add_argument("--sizes", default=",".join(map(str, SIZES)))
    arguments.add_argument("--starts", default=",".join(STARTS))
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--cells", type=int)
    arguments.add_argument("--jobs", type=int, default=1, help="cells at once")
    arguments.add_argument("--steps", type=int, help="of a member and of a twin")
    arguments.add_argument("--pretraining-steps", type=int)
    arguments.add_argument("--members", type=int, help="of a cell")
    arguments.add_argument("--precision", choices=PRECISIONS)
    arguments.add_argument("--schedule", default="gentle")
    arguments.add_argument(
        "--coverage",
        type=float,
        default=COVERAGE,
        help="one that asks for more subjects than a cell has, such as 0.99, trains no twins",
    )
    arguments.add_argument(
        "--without-heads", action="store_true", help="pretrain on crops of the training alone"
    )
    arguments.add_argument("--table", action="store_true")
    arguments.add_argument("--figure", type=Path, metavar="SVG")
    arguments.add_argument("--one", help=argparse.SUPPRESS)
    arguments.add_argument("--pretrain", choices=STARTS[1:], help=argparse.SUPPRESS)
    return arguments


def run_chosen(chosen: argparse.Namespace, settings: Settings) -> None:
    """Run the chosen cells that are not finished."""
    cells = [
        Cell(int(size), start, seed)
        for seed in range(chosen.seeds)
        for size in chosen.sizes.split(",")
        for start in chosen.starts.split(",")
    ]
    if chosen.jobs > 1:
        words = chosen_words(chosen)
        rows = run_beside(cells, settings, chosen.output, words, chosen.jobs)
    else:
        data = shared_data(WHOLE).parent
        rows = run_cells(cells, settings, data, chosen.output)
    for number, row in enumerate(rows, start=1):
        print(f"{row['start']} {row['subjects']} subjects: {row['seconds']} s", flush=True)
        if number == chosen.cells:
            break


def run_part(chosen: argparse.Namespace, settings: Settings) -> None:
    """Do what one process does: a pretraining, or a cell whose row it leaves in a file."""
    data, output = shared_data(WHOLE).parent, chosen.output
    if chosen.pretrain:
        pretrained(chosen.pretrain, settings, data, output)
        return
    size, start, seed = chosen.one.split(",")
    cell = Cell(int(size), start, int(seed))
    row = run_cell(cell, settings, data, output)
    with replacing(row_path(cell, settings, output)) as temporary:
        temporary.write_text(json.dumps(row), encoding="utf-8")


def main() -> None:
    """Run what is not finished, or print the table."""
    chosen = parser().parse_args()
    settings = chosen_settings(chosen)
    if chosen.one or chosen.pretrain:
        run_part(chosen, settings)
        return
    if not chosen.table:
        run_chosen(chosen, settings)
    rows = finished(chosen.output, settings)
    print(f"{settings.told}\n\n{table(rows, settings.coverage)}")
    if chosen.figure is not None and rows:
        chosen.figure.write_text(figure(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
