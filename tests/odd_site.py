"""A site's command whose training goes wrong in a named way; all else is voxcite's own.

As ``python -m tests.odd_site KIND federated learn SITE --round N``.
"""

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from assistant.cli import OK, main
from segment.federated.site import LEARNT, SENT, Site
from segment.federated.training import greeting_of

LONG_S = 130  # longer than any round of the tests


def nan(learnt, _):
    return {name: tensor * np.float32(np.nan) for name, tensor in learnt.items()}


def misshapen(learnt, _):
    return {name: tensor[:1] for name, tensor in learnt.items()}


def scaled(learnt, sent):
    return {name: sent[name] + 1000 * (tensor - sent[name]) for name, tensor in learnt.items()}


KINDS = {"nan": nan, "misshapen": misshapen, "scaled": scaled}


def spoil(kind, settings, number):
    """Put something else in the place of what was learnt."""
    folder = Site.read(Path(settings)).round_folder(int(number))
    learnt, sent = load_file(folder / LEARNT), load_file(folder / SENT)
    save_file(KINDS[kind](learnt, sent), folder / LEARNT)


def run(kind, arguments):
    if arguments[1] == "greet" and kind == "old":
        greeting = replace(greeting_of(Site.read(Path(arguments[2]))), code_sha256="0" * 64)
        sys.stdout.write(json.dumps(greeting.table()))
        return OK
    if arguments[1] != "learn":
        return main(arguments)
    if kind == "slow":
        time.sleep(LONG_S)
    if kind == "dead":
        os.kill(os.getppid(), signal.SIGKILL)
        return OK
    code = main(arguments)
    spoil(kind, arguments[2], arguments[4])
    return code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
