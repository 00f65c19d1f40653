"""The command ``voxcite pretrain``: learns from scans without labels. Decides nothing."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import OK

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands


def add_pretrain(commands: "Commands") -> None:
    """Describe the command."""
    pretrain = commands.add_parser("pretrain", help="learn from scans without labels")
    parts = pretrain.add_subparsers(required=True, metavar="PART")
    segmenter = parts.add_parser("segmenter", help="weights for `voxcite train segmenter --init`")
    segmenter.add_argument(
        "--images", type=Path, nargs="+", default=[], metavar="DIR", help="NIfTI, any scans"
    )
    segmenter.add_argument(
        "--template", action="store_true", help="also learn from the MNI152 template"
    )
    segmenter.add_argument(
        "--pretext", default="masked", metavar="NAME", help="masked (default) or contrastive"
    )
    segmenter.add_argument(
        "--network", metavar="NAME", help="one that `voxcite list` names; the default is the plan's"
    )
    segmenter.add_argument("--config", type=Path, help="TOML; the default is the shipped plan")
    segmenter.add_argument("--runs", type=Path, metavar="DIR", help="default: runs/PRETEXT-NETWORK")
    segmenter.set_defaults(run=run_pretrain)


def run_pretrain(chosen: argparse.Namespace) -> int:
    """Pretrain a network, or go on where it was interrupted."""
    from dataclasses import replace
    from importlib.resources import files

    from segment.models.pretraining.plan import PretrainingPlan
    from segment.models.pretraining.run import WEIGHTS, pretrain
    from segment.register import template

    shipped = Path(str(files("segment.models.pretraining").joinpath("pretrain.toml")))
    plan = PretrainingPlan.read(chosen.config or shipped)
    plan = replace(plan, network=chosen.network or plan.network)
    runs = chosen.runs or Path("runs") / f"{chosen.pretext}-{plan.network}"
    others = [template()] if chosen.template else []
    done = "finished before:"
    for step in pretrain(plan, chosen.pretext, chosen.images, runs, others):
        print(f"{chosen.pretext} step {step.step}/{step.steps} loss {step.loss:.4f}", flush=True)
        done = "wrote"
    print(f"{done} {runs / WEIGHTS}")
    print(f"now: voxcite train segmenter --network {plan.network} --init {runs / WEIGHTS}")
    return OK
