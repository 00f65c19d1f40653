"""The process that fetches a study and writes its objects as files. Decides nothing.

It is asked once, on standard input, and answers in one line of JSON. Parsing what a server sends
may take any memory: it takes what ``segment.reading.child`` allows and no more.
"""

import json
import sys
from pathlib import Path
from typing import Any

from assistant.dicomweb.connection import connect, explained
from segment.errors import Refusal, ScanError
from segment.reading.archive import MOST_EXTRACTED_BYTES
from segment.reading.child import limit_memory, take_standard_output
from segment.reading.source import MOST_FILES

AS_IT_IS = (("application/dicom", "*"),)  # in the transfer syntax that it is kept in
MEMORY_BYTES = 2**31


def main() -> None:
    """Answer the one request that stands on standard input."""
    request = json.loads(sys.stdin.buffer.readline())
    out = take_standard_output()
    limit_memory(MEMORY_BYTES)
    answer = {"count": 0, "code": "", "sentence": ""}
    try:
        with explained():
            answer["count"] = _fetch(request)
    except ScanError as error:
        answer |= {"code": str(error.code), "sentence": str(error)}
    out.write(json.dumps(answer).encode())
    out.flush()


def _fetch(request: dict[str, Any]) -> int:
    """Write each object of a study or series under a number."""
    client, folder = connect(request["root"]), Path(request["folder"])
    if request["series"] is None:
        objects = client.iter_study(request["study"], media_types=AS_IT_IS)
    else:
        objects = client.iter_series(request["study"], request["series"], media_types=AS_IT_IS)
    count, size = 0, 0
    for count, one in enumerate(objects, start=1):
        path = folder / f"{count:06d}.dcm"
        one.save_as(path, enforce_file_format=True)
        size += path.stat().st_size
        if count > MOST_FILES or size > MOST_EXTRACTED_BYTES:
            msg = (
                f"expected at most {MOST_FILES} objects and {MOST_EXTRACTED_BYTES / 2**30:.0f} GiB,"
                " found more; fetch a single series"
            )
            raise ScanError(Refusal.TOO_LARGE, msg)
    return count


if __name__ == "__main__":
    main()
