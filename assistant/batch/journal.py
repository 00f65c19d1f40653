"""What is done, a line a study, on the disk before anybody is told. Knows nothing of studies.

A line is whole when it ends: what a kill or a full disk leaves of one is cut off before the next.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from segment.errors import Refusal, ScanError
from segment.resume import replacing

Row = Mapping[str, Any]


class Journal:
    """An append-only file of JSON lines, open for writing; each line is synced to the disk."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def append(self, row: Row) -> None:
        """Add a row, whole or not at all; raises OSError where the disk does not take it."""
        rest = memoryview(_line(row))
        while rest:  # a disk that is nearly full takes a part and refuses the next
            rest = rest[os.write(self._descriptor, rest) :]
        os.fsync(self._descriptor)


def rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a journal, one in memory at a time; none where there is no file."""
    for _, row in _placed(path):
        yield row


def rows_by(path: Path, key: Callable[[Row], str], order: Iterable[str]) -> Iterator[Row]:
    """Yield the rows whose keys are given, in that order; in memory are their places alone."""
    places = {key(row): place for place, row in _placed(path)}
    if not places:
        return
    with path.open("rb") as stream:
        for wanted in order:
            if wanted in places:
                stream.seek(places[wanted])
                yield json.loads(stream.readline())


def _placed(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield each whole row with the place at which its line begins."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        place = 0
        for line in stream:
            if not line.endswith(b"\n"):
                return
            try:
                yield place, json.loads(line)
            except ValueError as error:
                msg = (
                    f"{path.name}: expected a row at byte {place}, found a damaged one;"
                    " begin again in another folder"
                )
                raise ScanError(Refusal.OUTPUT, msg) from error
            place += len(line)


def mend(path: Path, holds: Callable[[Row], bool]) -> None:
    """Keep the whole rows that hold.

    What a kill left of a last row is cut off, for which a full disk has room. Only where a whole
    row does not hold is the file written anew and replaced at once.
    """
    if not path.exists():
        return
    if all(map(holds, rows(path))):
        end = max((place + len(_line(row)) for place, row in _placed(path)), default=0)
        os.truncate(path, end)
        return
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.writelines(_line(row) for row in rows(path) if holds(row))
        stream.flush()
        os.fsync(stream.fileno())


def _line(row: Row) -> bytes:
    text = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"{text}\n".encode()
