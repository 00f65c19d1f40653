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
from safetensors.numpy import load_file, save

from segment.federated.flower.records import (
    CONFIG,
    FAILED,
    GREET,
    GREETING,
    LEARN,
    PART,
    ROUND,
    WEIGHTS,
    arrays_of,
    record_of,
)
from segment.federated.site import LEARNT, LOG, SENT, Site

TOLD = getLogger("flwr")


def greet(message: Message, context: Context) -> Message:
    """Say who this site is and what it runs."""
    return _answer(message, context, GREET, _greeting)


def learn(message: Message, context: Context) -> Message:
    """Train one round, unless that was done already, and send the weights."""
    return _answer(message, context, LEARN, _learnt)


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
    folder = site.round_folder(number)
    folder.mkdir(parents=True, exist_ok=True)
    sent, learnt = folder / SENT, folder / LEARNT
    content = save(dict(arrays_of(message.content.array_records[WEIGHTS])))
    if not (learnt.exists() and sent.exists() and sent.read_bytes() == content):
        learnt.unlink(missing_ok=True)
        sent.write_bytes(content)
        _voxcite(site, "learn", str(file), "--round", str(number))
    return RecordDict({WEIGHTS: record_of(load_file(learnt))})


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
app.train(LEARN.partition(".")[2])(learn)
