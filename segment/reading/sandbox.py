"""Asks a process with limits to parse and decode strangers' files. Knows nothing of DICOM.

The process answers in JSON and raw numbers, never in pickles: whatever took it over can lie about
a file, but runs nothing here.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

from segment.errors import Refusal, ScanError
from segment.reading.source import file_bytes, file_name

COMMAND = ("-m", "segment.reading.child")
Job = Literal["describe", "directory", "decode", "deidentify", "segments"]
MEMORY_BYTES = 2**30
LEAST_CPU_S = 8
FILES_PER_CPU_S = 50
BYTES_PER_CPU_S = 4e6  # the slowest decoder here, JPEG 2000, does five times as much
WALL_PER_CPU = 8  # a busy machine
MOST_ANSWER_BYTES = 2**26
# One thread: more take memory and time to start, and decoding is not faster with them.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
}
PROBLEMS = {
    "damaged": (Refusal.UNREADABLE, "a DICOM file, found a damaged one; copy or export it again"),
    "deflated": (Refusal.UNSUPPORTED_DICOM, "plain DICOM, found a deflated file; export again"),
    "frames": (
        Refusal.UNREADABLE,
        "as many frames as the header promises, found another number; export the series again",
    ),
    "no-picture": (
        Refusal.UNSUPPORTED_DICOM,
        "a grey picture of MR, CT or PET, found an object that can hold the patient anywhere;"
        " give the series of pictures alone",
    ),
    "burnt-in": (
        Refusal.BURNT_IN,
        "pixels without annotations, found a file that says some are burnt in; blank them first",
    ),
    "no-segmentation": (
        Refusal.WRONG_LABELS,
        "a DICOM segmentation, found another DICOM object; give the SEG of the scan",
    ),
    "fractional": (
        Refusal.WRONG_LABELS,
        "a segmentation of whole voxels, found fractions; export it as BINARY or LABELMAP",
    ),
    "compressed": (
        Refusal.WRONG_LABELS,
        "a segmentation without compression, found a compressed one; export it plainly",
    ),
    "costly": (
        Refusal.TOO_COSTLY,
        "a DICOM file that can be read in some seconds and 1 GiB, found one that takes more;"
        " export it again without compression",
    ),
}


class Answer(NamedTuple):
    """What was said of one item, and the numbers that came with it."""

    said: dict[str, Any]
    content: bytes


def answers(
    job: Job, items: Sequence[Any], files: Sequence[Path], *, asked: Sequence[str] = ()
) -> Iterator[Answer]:
    """Yield one answer an item, in order; ``files`` are theirs, one each, for limits and errors."""
    if not items:
        return
    with TemporaryDirectory(prefix="voxcite-") as scratch, _process() as process:
        request = {
            "job": job,
            "items": items,
            "asked": list(asked),
            "scratch": scratch,
            "limits": _limits(files),
        }
        _send(process, request)
        for path in files:
            yield _receive(process, file_name(path))


@contextmanager
def _process() -> Iterator[subprocess.Popen[bytes]]:
    """Start the process that parses, and end it whatever happens."""
    with subprocess.Popen(
        [sys.executable, "-P", *COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # decoders' warnings quote the file
        env=environment() | ENVIRONMENT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def environment() -> dict[str, str]:
    """Return this process's environment, in which one started with -P finds these packages."""
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": paths}


def _limits(files: Sequence[Path]) -> dict[str, int]:
    """Allow time by the number and size of files; one that is asked for often counts once."""
    sizes = [file_bytes(path) for path in set(files)]
    cpu_s = LEAST_CPU_S + int(sum(sizes) / BYTES_PER_CPU_S + len(files) / FILES_PER_CPU_S)
    return {"memory_bytes": MEMORY_BYTES, "cpu_s": cpu_s, "wall_s": cpu_s * WALL_PER_CPU}


def _send(process: subprocess.Popen[bytes], request: dict[str, Any]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it died; that is said when its answer is missing


def _receive(process: subprocess.Popen[bytes], name: str) -> Answer:
    """Read one answer; raises ScanError for what the process could not do, and if it died."""
    assert process.stdout is not None
    line = process.stdout.readline(MOST_ANSWER_BYTES)
    if not line.endswith(b"\n"):
        raise _refusal("costly" if _was_stopped(process) else "damaged", name)
    try:
        said = json.loads(line)
        announced = max(0, int(said["bytes"]))
    except (ValueError, TypeError, KeyError) as error:
        raise _refusal("damaged", name) from error
    if "problem" in said:
        raise _refusal(str(said["problem"]), name)
    content = process.stdout.read(announced)
    if len(content) != announced:
        raise _refusal("costly" if _was_stopped(process) else "damaged", name)
    return Answer(said, content)


def _was_stopped(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process was ended for what it took, and did not crash."""
    status = process.wait()
    return -status in {signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL}


def _refusal(problem: str, name: str) -> ScanError:
    code, words = PROBLEMS.get(problem, PROBLEMS["damaged"])
    return ScanError(code, f"{name}: expected {words}")
