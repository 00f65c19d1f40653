"""A zip becomes a private folder for as long as it is read. Knows nothing of what is inside.

Unsafe archives are refused whole, from their directory, before a byte is written.
"""

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from segment.errors import Refusal, ScanError
from segment.reading.source import MOST_FILES, file_bytes, file_name

MOST_EXTRACTED_BYTES = 2**31
ENCRYPTED = 0x1
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    UnicodeError,
)


@contextmanager
def extracted(path: Path) -> Iterator[Path]:
    """Extract a zip into a temporary folder only its owner can read; it is removed afterwards."""
    name = file_name(path)
    file_bytes(path)
    with TemporaryDirectory(prefix="voxcite-") as temporary:
        folder = Path(temporary)
        _extract(path, folder, name)
        yield folder


def _extract(path: Path, folder: Path, name: str) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check(members, name)
            for member in members:
                # zipfile reads no more of a member than the size checked above.
                archive.extract(member, folder)
    except DAMAGED as error:
        msg = (
            f"{name}: expected a whole zip, found one that cannot be extracted;"
            " copy it again and check the free space"
        )
        raise ScanError(Refusal.UNREADABLE, msg) from error


def _check(members: list[zipfile.ZipInfo], name: str) -> None:
    """Refuse an archive whose directory promises too much, or files outside the folder."""
    total = sum(member.file_size for member in members)
    if len(members) > MOST_FILES or total > MOST_EXTRACTED_BYTES:
        msg = (
            f"{name}: expected at most {MOST_FILES} files and {MOST_EXTRACTED_BYTES / 2**30:.0f}"
            f" GiB, found {len(members)} and {total / 2**30:.3g} GiB; zip one series"
        )
        raise ScanError(Refusal.TOO_LARGE, msg)
    for member in members:
        if problem := _problem(member):
            msg = f"{name}: expected plain files in the zip, found {problem}; zip the folder again"
            raise ScanError(Refusal.UNSAFE_ARCHIVE, msg)


def _problem(member: zipfile.ZipInfo) -> str | None:
    inside = PurePosixPath(member.filename.replace("\\", "/"))
    mode = stat.S_IFMT(member.external_attr >> 16)
    if not inside.parts:
        return "a file without a name"
    if inside.is_absolute() or ".." in inside.parts:
        return "a path that leads out of it"
    if mode not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "a link or device"
    return "an encrypted file" if member.flag_bits & ENCRYPTED else None
