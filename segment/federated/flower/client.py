"""A site's side of Flower: writes what was sent, starts voxcite, sends what it wrote.

Scans and labels are never opened here. Started by a SuperNode whose ``--node-config`` names the
site's own settings.
"""

import json
import subprocess
from collections.abc import Callable
from logging import getLogger
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from segment.federated.flower.masks import masked
from segment.federated.flower.records import (
    CONFIG,
    FAILED,
    GREET,
    GREETING,
    LEARN,
    PART,
    ROUND,
    SCORE,
    SCORES,
    WEIGHTS,
    arrays_of,
    record_of,
)
from segment.federated.flower.secure import answer_of, sent_in
from segment.federated.plan import FederationPlan
from segment.federated.site import LOG, Site
from segment.federated.together import change_of
from segment.federated.updates import Weights

TOLD = getLogger("flwr")


def greet(message: Message, context: Context) -> Message:
    """Say who this site is and what it runs."""
    return _answer(message, context, GREET, _greeting)


def learn(message: Message, context: Context) -> Message:
    """Train one round, unless that was done already, and send the weights."""
    return _answer(message, context, LEARN, _learnt)


def score(message: Message, context: Context) -> Message:
    """Judge the final weights on held-out cases, and send counts."""
    return _answer(message, context, SCORE, _scored)


def _answer(
    message: Message, context: Context, part: str, make: Callable[[Message, Path], RecordDict]
) -> Message:
    """Answer with what was made, or with which part failed and nothing of why.

    Words of an error may quote a name of a file, and Flower would send them to the server.
    """
    try:
        content = make(message, Path(str(context.node_config["site"])).resolve())
    except Exception:
        TOLD.exception("%s failed", part)
        content = RecordDict({FAILED: ConfigRecord({PART: part})})
    return Message(content, reply_to=message)


def _greeting(_: Message, file: Path) -> RecordDict:
    told = _voxcite(Site.read(file), "greet", str(file))
    return RecordDict({GREETING: ConfigRecord(json.loads(told))})


def _learnt(message: Message, file: Path) -> RecordDict:
    site, number = Site.read(file), int(message.content.config_records[CONFIG][ROUND])
    plan = FederationPlan.read(site.plan)
    if plan.secure:
        msg = "expected the server to ask for a sum, as the plan says, found it asks for weights"
        raise ValueError(f"{msg}; ask whoever runs it")
    learnt = _trained(site, file, number, arrays_of(message.content.array_records[WEIGHTS]))
    return RecordDict({WEIGHTS: record_of(learnt, plan.sent)})


def _scored(message: Message, file: Path) -> RecordDict:
    site = Site.read(file)
    site.keep_final(arrays_of(message.content.array_records[WEIGHTS]))
    return RecordDict({SCORES: ConfigRecord({SCORES: _voxcite(site, "score", str(file))})})


def learn_together(message: Message, context: Context) -> Message:
    """Train one round, and give what changed to what masks it.

    Where that fails the site drops out, and its words stay here.
    """
    try:
        content = _changed(message, Path(str(context.node_config["site"])).resolve())
    except Exception:
        TOLD.exception("%s failed", LEARN)
        raise RuntimeError(LEARN) from None
    return Message(content, reply_to=message)


def _changed(message: Message, file: Path) -> RecordDict:
    site, (number, sent) = Site.read(file), sent_in(message.content)
    change = change_of(_trained(site, file, number, sent), sent)
    cases = int(json.loads(_voxcite(site, "greet", str(file)))["cases"])
    return answer_of(change, cases)


def _trained(site: Site, file: Path, number: int, sent: Weights) -> Weights:
    """Train a round by voxcite, unless that was done."""
    return site.learnt(
        number, sent, lambda: _voxcite(site, "learn", str(file), "--round", str(number))
    )


def _voxcite(site: Site, *arguments: str) -> str:
    """Run a command of voxcite and return what it prints; its complaints stay in the site's log."""
    site.work.mkdir(parents=True, exist_ok=True)
    with (site.work / LOG).open("a", encoding="utf-8") as log:
        done = subprocess.run(
            [*site.command, "federated", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            check=True,
        )
    return done.stdout


app = ClientApp()
app.query(GREET.partition(".")[2])(greet)
app.query(SCORE.partition(".")[2])(score)
app.train(LEARN.partition(".")[2])(learn)
app.train(mods=[masked])(learn_together)
