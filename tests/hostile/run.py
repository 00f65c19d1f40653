"""Gives hostile inputs to a door, each in a process of its own, and says what came of it.

A fork of a warm process starts at once, and what it takes is counted by the system.
"""

import os
import re
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.case import ANY
from tests.hostile.doors import BROKEN, DOES_NOT_HOLD, DOORS, HELD, REFUSED

CPU_S, HANGS_S, MEMORY_MIB = 10.0, 300, 1024  # a busy machine is slow by the clock alone
SENTENCE = re.compile(r"voxcite: [^\n]+ \[([a-z-]+)\]\n")


@dataclass(frozen=True)
class Outcome:
    """What came of one input; ``wrong`` says in words what should not have, or nothing."""

    case: object
    door: str
    is_refused: bool
    seconds: float
    mebibytes: float
    wrong: str = ""


def outcome(case, name="command line"):
    """Give one input to a door; None where it cannot come through it. Nothing outlives this."""
    door = DOORS[name]
    with tempfile.TemporaryDirectory(prefix="hostile-") as scratch:
        folder = Path(scratch) / "Quetzal_Rare"
        out = Path(scratch) / "Oriole" / "out"
        folder.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = case.path(folder)
        if not door.takes(case, path):
            return None
        code = door.code(case, path)
        before = set(Path(scratch).rglob("*"))
        ran = _in_a_fork(door, case, path, out, Path(scratch) / "said")
        left = set(Path(scratch).rglob("*")) - before - {Path(scratch) / "said"}
        wrong = [*_wrong(case, code, *ran), *_left(case, left)]
    status, _, seconds, used = ran
    is_refused = status in (REFUSED, DOES_NOT_HOLD)
    return Outcome(case, name, is_refused, seconds, used, "; ".join(wrong))


def _in_a_fork(door, case, path, out, log):
    """Return the exit status, what was said, CPU seconds, and MiB above an idle process."""
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    process = os.fork()
    if process == 0:
        signal.alarm(HANGS_S)
        with log.open("w", errors="backslashreplace") as stream:
            sys.stdout = sys.stderr = stream
            status = BROKEN
            try:
                status = door.give(case, path, out)
            except Exception:
                traceback.print_exc()
            finally:
                stream.flush()
                os._exit(status)
    _, waited, usage = os.wait4(process, 0)
    status = os.waitstatus_to_exitcode(waited)
    used = max(0, usage.ru_maxrss - idle) / 1024
    return status, log.read_text(errors="replace"), usage.ru_utime + usage.ru_stime, used


def _wrong(case, code, status, said, seconds, used):
    """Say what should not have come of it."""
    expected = (HELD,) if code is None else (REFUSED,)
    expected = (REFUSED, DOES_NOT_HOLD) if case.command == "verify" else expected
    if status not in expected:
        yield f"exit {status}"
    if "Traceback" in said or "Quetzal" in said or "Oriole" in said or "\x1b" in said:
        yield f"said what it should not: {said[-200:]!r}"
    if status == REFUSED:
        found = SENTENCE.fullmatch(said)
        if found is None or code not in (ANY, found[1]):
            yield f"said {said[:200]!r}, expected {code}"
    if seconds > CPU_S or used > MEMORY_MIB:
        yield f"took {seconds:.1f} s and {used:.0f} MiB"


def _left(case, left):
    """Say what stays that should not: files, and in those that should the texts of the input."""
    if case.command != "deidentify":
        yield from (f"left {path.name}" for path in left)
        return
    texts = [text.encode() for text in case.arguments.values()]
    contents = [path.read_bytes() for path in left if path.is_file()]
    if not contents or any(text in content for text in texts for content in contents):
        yield "left no file, or one that holds the texts of the input"


def table(outcomes):
    """Count what came of each kind at each door, as Markdown: refused / accepted rightly."""
    kinds = list(dict.fromkeys(found.case.kind for found in outcomes))
    doors = list(dict.fromkeys(found.door for found in outcomes))
    rows = [f"| kind | inputs | {' | '.join(doors)} | crashed or wrong |"]
    rows += [f"| --- |{' ---: |' * (len(doors) + 2)}"]
    for kind in (*kinds, None):
        mine = [found for found in outcomes if kind is None or found.case.kind == kind]
        cells = [_cell([found for found in mine if found.door == door]) for door in doors]
        wrong = sum(bool(found.wrong) for found in mine)
        rows.append(f"| {kind or 'all'} | {_count(mine)} | {' | '.join(cells)} | {wrong} |")
    return "\n".join(rows)


def _count(outcomes):
    return len({(found.case.kind, found.case.name) for found in outcomes})


def _cell(outcomes):
    """Say how many of some inputs were refused and how many accepted, both rightly."""
    good = [found.is_refused for found in outcomes if not found.wrong]
    return f"{sum(good)} / {len(good) - sum(good)}" if outcomes else "–"
