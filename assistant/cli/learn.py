"""The commands ``voxcite train`` and ``voxcite calibrate``. Decides nothing."""

import argparse
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import OK, bar_of

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands

DATA = "VOXCITE_DATA"


def add_train(commands: "Commands") -> None:
    """Describe the command."""
    train = commands.add_parser("train", help="train a network")
    parts = train.add_subparsers(required=True, metavar="PART")
    segmenter = parts.add_parser("segmenter", help="the ensemble and its out-of-fold twins")
    segmenter.add_argument("--config", type=Path, help="TOML; the default is the shipped plan")
    segmenter.add_argument(
        "--share", type=_share, default=(1, 1), help="K/N: every Nth run, from the Kth on"
    )
    _add_folders(segmenter)
    segmenter.set_defaults(run=run_train)


def add_calibrate(commands: "Commands") -> None:
    """Describe the command."""
    calibrate = commands.add_parser("calibrate", help="fit the intervals on out-of-fold cases")
    calibrate.add_argument("--config", type=Path, help="the plan that was trained")
    calibrate.add_argument("-o", "--output", type=Path, default=Path("runs/shipped"), metavar="DIR")
    _add_folders(calibrate)
    calibrate.set_defaults(run=run_calibrate)


def _add_folders(command: argparse.ArgumentParser) -> None:
    data = os.environ.get(DATA, "../shared/data")
    command.add_argument("--data", type=Path, default=Path(data), metavar="DIR", help=f"or {DATA}")
    command.add_argument("--runs", type=Path, default=Path("runs/unet"), metavar="DIR")


def run_train(chosen: argparse.Namespace) -> int:
    """Train every network of a plan, or go on where it was interrupted."""
    from segment.models.unet.train import TrainingPlan, train

    share, shares = chosen.share
    plan = TrainingPlan.read(chosen.config or _shipped_plan())
    progress = train(plan, chosen.data, chosen.runs, share=share - 1, shares=shares)
    for step in progress:
        print(f"{step.run} epoch {step.epoch}/{step.epochs} loss {step.loss:.4f}", flush=True)
    return OK


def run_calibrate(chosen: argparse.Namespace) -> int:
    """Fit temperature and intervals on cases that the networks never saw."""
    from segment import organs
    from segment.crossfit import crossfit
    from segment.models.unet.train import TrainingPlan

    plan = TrainingPlan.read(chosen.config or _shipped_plan())
    steps = crossfit(plan, organs.load("hippocampus"), chosen.data, chosen.runs, chosen.output)
    with ExitStack() as bars:
        shown = ""
        for step in steps:
            if step.step != shown:
                bars.close()
                bar = bars.enter_context(bar_of(step.of, step.step))
                shown = step.step
            bar.update()
    print(f"wrote {chosen.output}")
    return OK


def _share(text: str) -> tuple[int, int]:
    """Read K/N; raises argparse's error where it is not that."""
    share, _, shares = text.partition("/")
    if share.isdecimal() and shares.isdecimal() and 1 <= int(share) <= int(shares):
        return int(share), int(shares)
    msg = f"a share is K/N with K from 1 to N, such as 1/2, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _shipped_plan() -> Path:
    from importlib.resources import files

    return Path(str(files("segment.models.unet").joinpath("train.toml")))
