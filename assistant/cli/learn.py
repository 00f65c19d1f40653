"""The commands ``voxcite train`` and ``voxcite calibrate``. Decides nothing."""

import argparse
import os
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.localise import add_own_scans, is_of_own_scans, run_own_scans
from assistant.cli.terminal import OK, add_grouping, bar_of
from segment.intervals import POOLED, SIZE

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands
    from assistant.draft import Statement
    from assistant.ledger import Ledger
    from assistant.writers.vlm.own import Measured
    from assistant.writers.vlm.plan import TrainingPlan as WriterPlan
    from assistant.writers.vlm.train import Material, Progress
    from prompts import Phrasebook
    from segment.models.training.plan import TrainingPlan
    from segment.models.training.run import Progress as Epoch
    from segment.models.training.start import Fit

DATA = "VOXCITE_DATA"
USUAL_PLAN, OWN_PLAN = "train.toml", "train-own.toml"


def add_train(commands: "Commands") -> None:
    """Describe the command."""
    train = commands.add_parser("train", help="train a network")
    parts = train.add_subparsers(required=True, metavar="PART")
    segmenter = parts.add_parser("segmenter", help="the ensemble and its out-of-fold twins")
    segmenter.add_argument("--config", type=Path, help="TOML; the default is the shipped plan")
    _add_network(segmenter)
    segmenter.add_argument(
        "--init",
        type=Path,
        metavar="CHECKPOINT",
        help="weights.safetensors to begin with: what fits is read, the rest begins anew",
    )
    segmenter.add_argument(
        "--schedule",
        metavar="NAME",
        help="scratch, gentle or head-first; default: gentle with --init, else scratch",
    )
    segmenter.add_argument(
        "--share", type=_share, default=(1, 1), help="K/N: every Nth run, from the Kth on"
    )
    _add_folders(segmenter)
    segmenter.set_defaults(run=run_train, runs=None)
    reader = parts.add_parser("reader", help="the vision tower and what it tells of a picture")
    reader.add_argument("--config", type=Path, help="TOML; the default is the shipped plan")
    _add_folders(reader)
    reader.set_defaults(run=run_train_reader, runs=Path("runs/reader"))
    writer = parts.add_parser("writer", help="projector and adapter of the language model")
    writer.add_argument(
        "--config",
        type=Path,
        help="TOML; the default is the shipped plan, with reports of your own the one for these",
    )
    writer.add_argument("--resume", action="store_true", help="go on with the run in --runs")
    _add_folders(writer)
    writer.set_defaults(run=run_train_writer, runs=Path("runs/writer"))
    questions = parts.add_parser("questions", help="what tells topics of questions apart")
    questions.add_argument(
        "-o", "--output", type=Path, default=Path("runs/questions"), metavar="DIR"
    )
    questions.set_defaults(run=run_train_questions)


def add_calibrate(commands: "Commands") -> None:
    """Describe the command."""
    calibrate = commands.add_parser(
        "calibrate", help="fit the intervals on out-of-fold cases, or on labelled scans of yours"
    )
    calibrate.add_argument("--config", type=Path, help="the plan that was trained")
    _add_network(calibrate)
    calibrate.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: runs/NETWORK/calibrated"
    )
    _add_folders(calibrate)
    add_grouping(calibrate, (POOLED, SIZE))
    add_own_scans(calibrate)
    calibrate.set_defaults(run=run_calibrate, runs=None)


def _add_network(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--network", metavar="NAME", help="one that `voxcite list` names; the default is the plan's"
    )


def _add_folders(command: argparse.ArgumentParser) -> None:
    data = os.environ.get(DATA, "../shared/data")
    command.add_argument("--data", type=Path, default=Path(data), metavar="DIR", help=f"or {DATA}")
    command.add_argument("--runs", type=Path, metavar="DIR", help="default: runs/NETWORK")


def run_train(chosen: argparse.Namespace) -> int:
    """Train every network of a plan, or go on where it was interrupted."""
    plan = _plan(chosen)
    from segment.models.training.run import fit_of, parameters, train
    from segment.models.training.schedules import GENTLE, SCRATCH
    from segment.models.training.start import Start

    share, shares = chosen.share
    runs = chosen.runs or Path("runs") / plan.network
    usual = SCRATCH if chosen.init is None else GENTLE
    start = Start(chosen.init, chosen.schedule or usual)
    if chosen.init is not None and _is_first():
        print(f"{chosen.init.name}: {told_of(fit_of(plan, start))}; schedule {start.schedule}")
    progress = train(plan, chosen.data, runs, start=start, share=share - 1, shares=shares)
    for number, step in enumerate(progress):
        if number == 0:
            print(f"{plan.network}: {parameters(plan):,} parameters a member")
        print(line_of_epoch(step), flush=True)
    return OK


def line_of_epoch(step: "Epoch") -> str:
    """Say how far a segmenter's training is, and how fast."""
    told = f"{step.run} epoch {step.epoch}/{step.epochs} loss {step.loss:.4f}"
    return told + _speed(step.samples_per_s, step.processes)


def told_of(fit: "Fit") -> str:
    """Say how much of a network was read, and name what begins anew."""
    whole = len(fit.read) + len(fit.new)
    new = ", ".join(fit.new) or "nothing"
    return f"{len(fit.read)} of {whole} tensors read; new: {new}"


def run_train_reader(chosen: argparse.Namespace) -> int:
    """Train the reader's tower and heads, or go on where that was interrupted."""
    from assistant.readers.siglip.plan import TrainingPlan
    from assistant.readers.siglip.train import train

    plan = TrainingPlan.read(chosen.config or _shipped_plan("assistant.readers.siglip"))
    for step in train(plan, chosen.data, chosen.runs):
        loss = "" if step.loss is None else f" loss {step.loss:.4f}"
        print(f"{step.run} {step.stage} {step.done}/{step.of}{loss}", flush=True)
    return OK


def run_train_writer(chosen: argparse.Namespace) -> int:
    """Train a writer, or go on where that was interrupted."""
    from assistant.writers.vlm.own import is_own
    from assistant.writers.vlm.plan import TrainingPlan
    from assistant.writers.vlm.train import train

    name = OWN_PLAN if is_own(chosen.data) else USUAL_PLAN
    plan = TrainingPlan.read(chosen.config or _shipped_plan("assistant.writers.vlm", name))
    material = material_of(plan, chosen.data)
    for step in train(plan, material, chosen.runs, resume=chosen.resume):
        print(line_of(step), flush=True)
    return OK


def material_of(plan: "WriterPlan", data: Path) -> "Material":
    """Read what a writer is trained on: a user's own reports where there are any, or the crops."""
    from assistant import exams
    from assistant.writers.vlm.own import is_own, read_own
    from assistant.writers.vlm.train import Material, training_material

    if not is_own(data):
        return training_material(plan, data)
    own = read_own(data, exams.load("hippocampus"), _why_not, _measured)
    if _is_first():
        for piece in own.unbound:
            print(f"{piece.study}: {piece.text!r} {piece.reason}")
    return Material(own.views, own.shown)


def _is_first() -> bool:
    """Whether this is the only process, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def line_of(step: "Progress") -> str:
    """Say how far a writer's training is, and how fast: all its processes, and each of them."""
    told = f"{step.stage} step {step.step}/{step.steps}"
    if step.loss is not None:
        told += f" loss {step.loss:.4f}"
    if step.samples_per_s is not None:
        told += _speed(step.samples_per_s, step.processes)
    return told


def _speed(samples_per_s: float, processes: int) -> str:
    """Say how many samples all processes took in a second, and each of them."""
    return f", {samples_per_s:.2f} samples/s, {samples_per_s / processes:.2f} a process"


def run_train_questions(chosen: argparse.Namespace) -> int:
    """Fit what tells topics of questions apart."""
    import prompts
    from assistant.writers.questions.fit import examples, fit
    from assistant.writers.questions.ngrams import WEIGHTS

    chosen.output.mkdir(parents=True, exist_ok=True)
    known = examples(prompts.languages())
    written = fit(known, chosen.output / WEIGHTS)
    print(f"wrote {written.name}: {len(known)} questions")
    return OK


def _why_not(statement: "Statement", ledger: "Ledger", words: "Phrasebook") -> tuple[str, ...]:
    """Say why a sentence of a reference report may not stand in a report."""
    from assistant.render import SlotError, render
    from assistant.report import Line
    from assistant.verify import verify_line

    try:
        text = render(statement, ledger, words)
        line = Line(statement.section, text, statement.cites, "measured")
    except (SlotError, ValueError) as error:
        return (str(error),)
    return verify_line(line, {record.id: record for record in ledger.records}, words)


def _measured(path: Path) -> "Measured":
    """Measure a scan that has no masks, as a draft does."""
    from assistant.ledger import Ledger
    from assistant.pipeline import Assistant
    from assistant.settings import Settings
    from assistant.steps import Segmented
    from assistant.study import read_study
    from assistant.writers.vlm.own import Measured
    from segment.infer import Found
    from segment.segmentation import Segmentation

    study = read_study(path)
    sides: dict[str, Segmentation] = {}
    for step in Assistant.from_settings(Settings(writer="template", reader="none")).steps(study):
        if isinstance(step, Segmented):
            sides = {s.side: s.segmentation for s in step.sides if isinstance(s, Found)}
        if isinstance(step, Ledger):
            return Measured(study.volume, sides, step)
    raise AssertionError("the steps of a study hold its ledger")


def run_calibrate(chosen: argparse.Namespace) -> int:
    """Fit temperature and intervals on cases that the networks never saw."""
    if is_of_own_scans(chosen):
        return run_own_scans(chosen)
    from segment import organs
    from segment.calibration import Calibrated
    from segment.crossfit import crossfit
    from segment.gather import gather

    plan = _plan(chosen)
    runs = chosen.runs or Path("runs") / plan.network
    output = chosen.output or Path("runs") / plan.network / "calibrated"
    organ, intervals = organs.load("hippocampus"), chosen.intervals
    steps = crossfit(plan, organ, chosen.data, runs, output, intervals=intervals)
    gathering = gather(plan, chosen.data, output)
    with ExitStack() as bars:
        running = ""
        for step in chain(steps, gathering):
            if step.step != running:
                bars.close()
                bar = bars.enter_context(bar_of(step.of, step.step))
                running = step.step
            bar.update()
    print(f"wrote {output}")
    calibrated = Calibrated.from_json((output / "calibration.json").read_text(encoding="utf-8"))
    if not any(calibrated.levels[0].volume.values()):
        print("too few subjects for an interval of this coverage: volumes will stand without one")
    return OK


def _plan(chosen: argparse.Namespace) -> "TrainingPlan":
    """Read the plan that was given, of the network that was."""
    from dataclasses import replace

    from segment.models.training.plan import TrainingPlan

    plan = TrainingPlan.read(chosen.config or _shipped_plan())
    return replace(plan, network=chosen.network or plan.network)


def _share(text: str) -> tuple[int, int]:
    """Read K/N; raises argparse's error where it is not that."""
    share, _, shares = text.partition("/")
    if share.isdecimal() and shares.isdecimal() and 1 <= int(share) <= int(shares):
        return int(share), int(shares)
    msg = f"a share is K/N with K from 1 to N, such as 1/2, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _shipped_plan(package: str = "segment.models.training", name: str = USUAL_PLAN) -> Path:
    from importlib.resources import files

    return Path(str(files(package).joinpath(name)))
