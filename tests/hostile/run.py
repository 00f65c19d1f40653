"""Gives hostile inputs to the command line, each in a process of its own, and says what came of it.

A fork of a warm process starts at once, and what it takes is counted by the system.
"""

import os
import re
import resource
import signal
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from tests.hostile.case import ANY

REFUSED, HELD, DOES_NOT_HOLD = 2, 0, 1
CPU_S, HANGS_S, MEMORY_MIB = 10.0, 120, 1024  # a busy machine is slow by the clock alone
SENTENCE = re.compile(r"voxcite: [^\n]+ \[([a-z-]+)\]\n")


@dataclass(frozen=True)
class Outcome:
    """What came of one input; ``wrong`` says in words what should not have, or nothing."""

    case: object
    is_refused: bool
    seconds: float
    mebibytes: float
    wrong: str = ""


def outcome(case):
    """Give one input to its command; nothing outlives this call."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as scratch:
        folder = Path(scratch) / "Quetzal_Rare"
        out = Path(scratch) / "Oriole" / "out"
        folder.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = case.path(folder)
        before = set(Path(scratch).rglob("*"))
        status, said, seconds, used = _in_a_fork(case, path, out, Path(scratch) / "said")
        left = set(Path(scratch).rglob("*")) - before - {Path(scratch) / "said"}
        wrong = [*_wrong(case, status, said, seconds, used), *_left(case, left)]
    is_refused = status in (REFUSED, DOES_NOT_HOLD)
    return Outcome(case, is_refused, seconds, used, "; ".join(wrong))


def _in_a_fork(case, path, out, log):
    """Return the exit status, what was said, CPU seconds, and MiB above an idle process."""
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    process = os.fork()
    if process == 0:
        signal.alarm(HANGS_S)
        with log.open("w", errors="backslashreplace") as stream:
            sys.stdout = sys.stderr = stream
            status = 99
            try:
                status = _given(case, path, out)
            finally:
                stream.flush()
                os._exit(status)
    _, waited, usage = os.wait4(process, 0)
    status = os.waitstatus_to_exitcode(waited)
    used = max(0, usage.ru_maxrss - idle) / 1024
    return status, log.read_text(errors="replace"), usage.ru_utime + usage.ru_stime, used


def _given(case, path, out):
    """Run the command that a case is for; one that is to be read is read alone."""
    from assistant.cli import main
    from assistant.study import read_study

    if case.command == "verify":
        return main(["verify", str(path)])
    if case.command == "deidentify":
        return main(["deidentify", str(path), "-o", str(out)])
    if case.code is None:
        sys.stdout.write(repr(read_study(path)))
        return HELD
    return main(["draft", "--writer", "template", "-o", str(out), "--", str(path)])


def _wrong(case, status, said, seconds, used):
    """Say what should not have come of it."""
    expected = (HELD,) if case.code is None else (REFUSED,)
    expected = (REFUSED, DOES_NOT_HOLD) if case.command == "verify" else expected
    if status not in expected:
        yield f"exit {status}"
    if "Traceback" in said or "Quetzal" in said or "Oriole" in said or "\x1b" in said:
        yield "said what it should not"
    if status == REFUSED:
        found = SENTENCE.fullmatch(said)
        if found is None or case.code not in (ANY, found[1]):
            yield f"said {said[:200]!r}, expected {case.code}"
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
    """Count what came of each kind, as rows of Markdown."""
    kinds = list(dict.fromkeys(found.case.kind for found in outcomes))
    rows = ["| kind | inputs | refused | accepted rightly | crashed or wrong |"]
    rows += ["| --- | ---: | ---: | ---: | ---: |"]
    for kind in (*kinds, None):
        mine = [found for found in outcomes if kind is None or found.case.kind == kind]
        good = [found for found in mine if not found.wrong]
        refused = sum(found.is_refused for found in good)
        counts = (len(mine), refused, len(good) - refused, len(mine) - len(good))
        rows.append(f"| {kind or 'all'} | {' | '.join(map(str, counts))} |")
    return "\n".join(rows)
