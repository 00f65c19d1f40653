"""Writes the parts of a multipart answer as files while it arrives. Knows nothing of DICOM's tags.

A part is kept byte for byte: a library that parses it writes something else back.
"""

from collections.abc import Iterable, Iterator
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from segment.errors import Refusal, ScanError
from segment.reading.archive import MOST_EXTRACTED_BYTES
from segment.reading.source import MOST_FILES

LONGEST_HEADER = 2**16
PREAMBLE, MAGIC = 128, b"DICM"


def boundary_of(content_type: str) -> bytes:
    """Find what parts an answer; raises ValueError for one that is not multipart."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_maintype() != "multipart" or not boundary:
        msg = "expected an answer in parts"
        raise ValueError(msg)
    return boundary.encode()


def write_parts(chunks: Iterable[bytes], boundary: bytes, folder: Path) -> int:
    """Write each part under a number and say how many there were.

    Raises ValueError for an answer that breaks off or holds another thing than DICOM files, and
    ScanError for too many or too large ones.
    """
    stream = _Stream(iter(chunks), b"\r\n--" + boundary)
    for _ in stream.until_delimiter():
        pass  # what stands before the first part
    count = size = 0
    while not stream.is_over():
        count += 1
        path = folder / f"{count:06d}.dcm"
        with path.open("xb") as file:
            stream.skip_header()
            for piece in stream.until_delimiter():
                size += len(piece)
                _check(count, size)
                file.write(piece)
        with path.open("rb") as file:
            _check_kind(file)
    return count


def _check(count: int, size: int) -> None:
    if count > MOST_FILES or size > MOST_EXTRACTED_BYTES:
        msg = (
            f"expected at most {MOST_FILES} objects and {MOST_EXTRACTED_BYTES / 2**30:.0f} GiB,"
            " found more; fetch a single series"
        )
        raise ScanError(Refusal.TOO_LARGE, msg)


def _check_kind(file: BinaryIO) -> None:
    if file.read(PREAMBLE + len(MAGIC))[PREAMBLE:] != MAGIC:
        msg = "expected a DICOM file in each part"
        raise ValueError(msg)


class _Stream:
    """Bytes that arrive in chunks, cut at a delimiter."""

    def __init__(self, chunks: Iterator[bytes], delimiter: bytes) -> None:
        self.chunks, self.delimiter = chunks, delimiter
        self.held = b"\r\n"  # the first delimiter may stand at the very start

    def until_delimiter(self) -> Iterator[bytes]:
        """Yield what stands before the next delimiter, which is taken away."""
        while (at := self.held.find(self.delimiter)) < 0:
            kept = len(self.delimiter) - 1  # the delimiter may have begun
            ready, self.held = self.held[:-kept], self.held[-kept:]
            if ready:
                yield ready
            self._more()
        yield self.held[:at]
        self.held = self.held[at + len(self.delimiter) :]

    def is_over(self) -> bool:
        """Tell whether the delimiter that was taken away was the last one."""
        while len(self.held) < len(b"--"):
            self._more()
        return self.held.startswith(b"--")

    def skip_header(self) -> None:
        """Take away the lines between a delimiter and its part."""
        while (at := self.held.find(b"\r\n\r\n")) < 0:
            if len(self.held) > LONGEST_HEADER:
                msg = "expected a header of some lines"
                raise ValueError(msg)
            self._more()
        self.held = self.held[at + len(b"\r\n\r\n") :]

    def _more(self) -> None:
        chunk = next(self.chunks, None)
        if chunk is None:
            msg = "expected the last delimiter, found the end"
            raise ValueError(msg)
        self.held += chunk
