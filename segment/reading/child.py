"""The process in which strangers' files are parsed and decoded. Decides nothing.

It is started by ``segment.reading.sandbox``, is asked once and answers item after item: a line of
JSON, and as many bytes as that line announces. It limits itself before it opens a file.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

if __name__ == "__main__":
    sys.modules["requests"] = None  # type: ignore[assignment]  # pydicom would load it; no network here

from segment.reading.parse import UnreadableError, describe, list_directory


def main() -> None:
    """Answer the one request that stands on standard input."""
    request = json.loads(sys.stdin.buffer.readline())
    out = take_standard_output()
    if request["job"] == "decode":
        import segment.reading.decode  # noqa: F401  its memory and time count before the limits
    _limit(**request["limits"])
    for item in request["items"]:
        answer, content = _answer(request, item)
        out.write(json.dumps({**answer, "bytes": len(content)}).encode() + b"\n" + content)
        out.flush()


def _answer(
    request: dict[str, Any], item: str | dict[str, int | str]
) -> tuple[dict[str, Any], bytes]:
    """Do the job for one item; what goes wrong becomes one word."""
    try:
        if isinstance(item, dict):
            return _made(request, item)
        if request["job"] == "describe":
            return describe(Path(item), request["asked"]), b""
        return {"files": list_directory(Path(item))}, b""
    except UnreadableError as problem:
        return {"problem": str(problem)}, b""
    except MemoryError:
        return {"problem": "costly"}, b""
    except Exception:  # of many types, RecursionError on nested sequences among them
        return {"problem": "damaged"}, b""


def _made(request: dict[str, Any], item: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Do a job whose answer is bytes."""
    if request["job"] == "decode":
        from segment.reading.decode import decode

        return {}, decode(item, Path(request["scratch"]))
    if request["job"] == "segments":
        from segment.reading.segments import segments

        return segments(Path(item["path"]))
    from segment.reading.deidentify import deidentify
    from segment.reading.pseudonym import Pseudonyms

    secret = bytes.fromhex(item["secret"])
    is_clear, content = deidentify(Path(item["path"]), Pseudonyms(secret))
    return {"is_clear": is_clear}, content


def take_standard_output() -> BinaryIO:
    """Keep standard output for answers: decoders write warnings there, which quote the file."""
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return out


def _limit(memory_bytes: int, cpu_s: int, wall_s: int) -> None:
    """Limit what this process may take from here on; the system ends it if it takes more."""
    try:
        import resource
        import signal
    except ImportError:  # Windows has no such limits
        return
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(wall_s)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the patient's pixels
    limit_memory(memory_bytes)


def limit_memory(more_bytes: int) -> None:
    """Limit the memory of this process to what it has now and some bytes more."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    with contextlib.suppress(OSError):  # where there is no /proc the memory stays unlimited
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + more_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main()
