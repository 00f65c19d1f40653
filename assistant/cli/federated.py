"""The commands ``voxcite federated``: what one hospital does of a federation. Decides nothing."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import OK

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands
    from segment.federated.site import Site


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
    score = parts.add_parser("score", help="judge the final weights; the SuperNode starts it")
    score.add_argument("site", type=Path, metavar="SITE", help="TOML of this site")
    score.set_defaults(run=run_score)
    simulate = parts.add_parser("simulate", help="all sites on this machine, without Flower")
    simulate.add_argument("plan", type=Path, metavar="PLAN", help="TOML that all sites have")
    simulate.add_argument("sites", type=Path, nargs="+", metavar="SITE", help="TOML of a site")
    simulate.add_argument("--start", type=Path, required=True, metavar="FILE", help="first weights")
    simulate.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    simulate.set_defaults(run=run_simulate)
    adapter = parts.add_parser("adapter", help="the folder of a writer, from federated weights")
    adapter.add_argument("plan", type=Path, metavar="PLAN", help="TOML that all sites have")
    adapter.add_argument("weights", type=Path, metavar="FILE", help="of the rounds' output folder")
    adapter.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    adapter.set_defaults(run=run_adapter)
    model = parts.add_parser("model", help="what drafts are made with, from the rounds' folder")
    model.add_argument("plan", type=Path, metavar="PLAN", help="TOML that all sites have")
    model.add_argument("rounds", type=Path, metavar="ROUNDS", help="the rounds' output folder")
    model.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    model.add_argument(
        "--coverage", type=float, default=0.9, help="of the intervals, a share; default: 0.9"
    )
    model.set_defaults(run=run_model)
    epsilon = parts.add_parser("epsilon", help="what a private plan gives away of a subject")
    epsilon.add_argument("plan", type=Path, metavar="PLAN", help="TOML that all sites have")
    epsilon.set_defaults(run=run_epsilon)


def run_start(chosen: argparse.Namespace) -> int:
    """Write the weights that a federation begins with."""
    from assistant.cli.learn import told_of
    from assistant.federating import write_first
    from segment.federated.plan import FederationPlan

    fit = write_first(FederationPlan.read(chosen.plan), chosen.output, chosen.init)
    if chosen.init is not None and fit is not None:
        print(f"{chosen.init.name}: {told_of(fit)}")
    print(f"wrote {chosen.output.name}")
    return OK


def run_greet(chosen: argparse.Namespace) -> int:
    """Print what a site would say of itself, once its server is known to be the right one."""
    from assistant.federating import greeting_of
    from segment.federated.site import Site
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
    from assistant.cli.learn import material_of
    from assistant.federating import learn_round
    from segment.federated.site import Site

    site = Site.read(chosen.site)
    for done, loss in enumerate(learn_round(site, chosen.round, material_of), start=1):
        print(f"{site.name} round {chosen.round} part {done} loss {loss:.4f}", flush=True)
    return OK


def run_score(chosen: argparse.Namespace) -> int:
    """Print how wrong the final weights are on this site's held-out cases, as counts in bins."""
    from segment.federated.scoring import score_held_out
    from segment.federated.site import Site

    print(json.dumps(score_held_out(Site.read(chosen.site)).table()))
    return OK


def run_simulate(chosen: argparse.Namespace) -> int:
    """Run every round with sites of this machine, and tell what became of each."""
    from collections import deque

    from assistant.cli.learn import material_of
    from assistant.federating import greeting_of, learn_round
    from segment.federated.intervals import gather_scores
    from segment.federated.scoring import score_held_out
    from segment.federated.server import federate
    from segment.federated.simulated import SimulatedSites

    def learn(site: "Site", number: int) -> None:
        deque(learn_round(site, number, material_of), maxlen=0)

    sites = SimulatedSites(chosen.sites, greeting_of, learn, score_held_out)
    for done in federate(chosen.plan, chosen.start, chosen.output, sites):
        for line in done.lines:
            told = f"sent {line.mebibytes:.2f} MB" if line.is_used else "left out"
            reason = f": {line.reason}" if line.reason else ""
            print(f"round {line.round} {line.site} {told}{reason}", flush=True)
    print("the sites judge what all learnt on the cases they held out", flush=True)
    gathered = gather_scores(chosen.plan, chosen.output, sites)
    for site in () if gathered is None else gathered.sites:
        print(f"intervals {site.site} {site.reason or f'scored {site.n} subjects'}")
    return OK


def run_adapter(chosen: argparse.Namespace) -> int:
    """Write a federated adapter as the folder of a writer."""
    from assistant.writers.vlm.federated import ship_adapter
    from segment.federated.plan import FederationPlan

    ship_adapter(FederationPlan.read(chosen.plan), chosen.weights, chosen.output)
    print(f"wrote {chosen.output.name}; now: voxcite draft STUDY --model {chosen.output}")
    return OK


def run_model(chosen: argparse.Namespace) -> int:
    """Write a federated network and its intervals as ``voxcite draft --weights`` takes them."""
    from segment.federated.model import ship_segmenter
    from segment.federated.plan import FederationPlan
    from segment.quantiles import cases_needed

    if not 0 < chosen.coverage < 1:
        msg = f"coverage is a share between 0 and 1, not {chosen.coverage:g}"
        raise ValueError(msg)
    plan = FederationPlan.read(chosen.plan)
    n = ship_segmenter(plan, chosen.rounds, chosen.output, chosen.coverage)
    needed = cases_needed(chosen.coverage, is_two_sided=True)
    if n < needed:
        print(
            f"No interval: one of {100 * chosen.coverage:g}% needs {needed} subjects, and all sites"
            f" held out {n}; hold {needed - n} more out and train anew."
        )
    print(f"wrote {chosen.output.name}; now: voxcite draft STUDY --weights {chosen.output}")
    return OK


def run_epsilon(chosen: argparse.Namespace) -> int:
    """Print what a private plan gives away of each subject by its last round."""
    from segment.federated.plan import FederationPlan
    from segment.privacy import told

    plan = FederationPlan.read(chosen.plan)
    if plan.privately is None:
        msg = f"{chosen.plan.name}: expected a plan with [private], found none; fill it in"
        raise ValueError(msg)
    print(told(plan.privately, plan.rounds))
    return OK
