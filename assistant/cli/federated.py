"""The commands ``voxcite federated``: what one hospital does of a federation. Decides nothing."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import OK

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands


def add_federated(commands: "Commands") -> None:
    """Describe the commands."""
    federated = commands.add_parser("federated", help="train with other hospitals; data stay")
    parts = federated.add_subparsers(required=True, metavar="PART")
    start = parts.add_parser("start", help="the weights that all sites begin with")
    start.add_argument("plan", type=Path, metavar="PLAN", help="TOML that all sites have")
    start.add_argument("--init", type=Path, metavar="CHECKPOINT", help="weights to begin with")
    start.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    start.set_defaults(run=run_start)
    greet = parts.add_parser("greet", help="what this site would take part with, as JSON")
    greet.add_argument("site", type=Path, metavar="SITE", help="TOML of this site")
    greet.add_argument("--server", metavar="HOST:PORT", help="also try to reach it")
    greet.add_argument("--authority", type=Path, metavar="FILE", help="who signed its certificate")
    greet.set_defaults(run=run_greet)
    learn = parts.add_parser("learn", help="one round; the SuperNode starts it")
    learn.add_argument("site", type=Path, metavar="SITE", help="TOML of this site")
    learn.add_argument("--round", type=int, required=True, metavar="N")
    learn.set_defaults(run=run_learn)


def run_start(chosen: argparse.Namespace) -> int:
    """Write the weights that a federation begins with."""
    from segment.federated.plan import FederationPlan
    from segment.federated.training import training_of
    from segment.models.training.local import write_start

    plan = FederationPlan.read(chosen.plan)
    write_start(training_of(plan), plan.seed, chosen.output, chosen.init)
    print(f"wrote {chosen.output.name}")
    return OK


def run_greet(chosen: argparse.Namespace) -> int:
    """Print what a site would say of itself, once its server is known to be the right one."""
    from segment.federated.site import Site
    from segment.federated.training import greeting_of
    from segment.federated.trust import check_server

    if (chosen.server is None) != (chosen.authority is None):
        msg = "expected --server and --authority together, found one; give both or none"
        raise ValueError(msg)
    if chosen.server is not None:
        check_server(chosen.server, chosen.authority)
    print(json.dumps(greeting_of(Site.read(chosen.site)).table()))
    return OK


def run_learn(chosen: argparse.Namespace) -> int:
    """Train one round from what was sent, beside which the result lies."""
    from segment.federated.plan import FederationPlan
    from segment.federated.site import LEARNT, SENT, Site
    from segment.federated.training import run_of, training_of
    from segment.models.training.local import learn_locally

    site = Site.read(chosen.site)
    plan = FederationPlan.read(site.plan)
    run, folder = run_of(site, plan, chosen.round), site.round_folder(chosen.round)
    epochs = learn_locally(
        training_of(plan), run, site.data, folder / SENT, folder / LEARNT, plan.proximal
    )
    for epoch, loss in enumerate(epochs, start=1):
        print(f"{site.name} {run.name} epoch {epoch}/{run.epochs} loss {loss:.4f}", flush=True)
    return OK
