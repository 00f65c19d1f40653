"""A stranger's files: which are opened at all, and how they are named. Knows no format's inside."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Literal

from segment.errors import Refusal, ScanError

# The longest series in use (512 x 512 x 2048) is exactly this; float32 makes 2 GiB of it.
MOST_VOXELS = 2**29
MOST_FILE_BYTES = 2**33
MOST_FILES = 20_000
LONGEST_NAME = 80

FileKind = Literal["nifti", "dicom", "dicomdir", "zip", "other"]
# The class of a DICOMDIR and the element after it: PS3.10 7.1 and PS3.4 B.5.
DIRECTORY_STORAGE = b"1.2.840.10008.1.3.10\x02\x00"


def file_name(path: Path) -> str:
    """Return the file's or folder's own name, safe to print and without the folders above it."""
    name = Path(os.path.abspath(path)).name or "folder"  # noqa: PTH100  keeps a link's own name
    return "".join(c if c.isprintable() else "?" for c in name)[:LONGEST_NAME]


def file_bytes(path: Path) -> int:
    """Return the size of a regular file; refuse what is missing, empty, too large or no file."""
    name = file_name(path)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"{name}: expected a file, found nothing of this name; check the spelling"
        raise ScanError(Refusal.MISSING, msg) from error
    except (OSError, ValueError) as error:
        msg = f"{name}: expected a readable file, found none; check its name and permissions"
        raise ScanError(Refusal.UNREADABLE, msg) from error
    if not stat.S_ISREG(status.st_mode):
        msg = f"{name}: expected a regular file, found a folder, pipe or device; give a file"
        raise ScanError(Refusal.UNREADABLE, msg)
    if not os.access(path, os.R_OK):
        msg = f"{name}: expected a readable file, found no permission to read it; grant it"
        raise ScanError(Refusal.UNREADABLE, msg)
    if status.st_size == 0:
        msg = f"{name}: expected a scan, found an empty file; copy it again"
        raise ScanError(Refusal.UNREADABLE, msg)
    if status.st_size > MOST_FILE_BYTES:
        msg = (
            f"{name}: expected at most {MOST_FILE_BYTES / 2**30:.0f} GiB,"
            f" found {status.st_size / 2**30:.0f} GiB; give one scan"
        )
        raise ScanError(Refusal.TOO_LARGE, msg)
    return status.st_size


def file_kind(path: Path) -> FileKind:
    """Tell a file's format from its first bytes, whatever its name; gzip counts as NIfTI."""
    try:
        with path.open("rb") as stream:
            start = stream.read(348)
    except OSError as error:
        msg = f"{file_name(path)}: expected a readable file, found none; check its permissions"
        raise ScanError(Refusal.UNREADABLE, msg) from error
    if start[128:132] == b"DICM":
        return "dicomdir" if DIRECTORY_STORAGE in start else "dicom"
    if start[:4] in {b"PK\x03\x04", b"PK\x05\x06"}:
        return "zip"
    is_nifti = start[344:347] in {b"n+1", b"ni1"} or start[4:7] in {b"n+2", b"ni2"}
    return "nifti" if is_nifti or start[:2] == b"\x1f\x8b" else "other"


def list_files(folder: Path) -> tuple[Path, ...]:
    """List the regular files below a folder in a stable order; links to folders aren't followed."""
    found: list[Path] = []
    for above, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders.sort()
        found += [Path(above, name) for name in sorted(names)]
        if len(found) > MOST_FILES:
            msg = (
                f"{file_name(folder)}: expected at most {MOST_FILES} files,"
                " found more; give the folder of one series"
            )
            raise ScanError(Refusal.TOO_LARGE, msg)
    return tuple(path for path in found if path.is_file() and path.stat().st_size > 0)


def _refuse_folder(error: OSError) -> None:
    name = file_name(Path(error.filename))
    msg = f"{name}: expected a readable folder, found none; check its name and permissions"
    raise ScanError(Refusal.UNREADABLE, msg) from error


def sha256(path: Path) -> str:
    """Hash the bytes of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_voxel_budget(shape: tuple[int, ...], name: str) -> None:
    """Refuse more voxels than any scan has, before memory is taken for them."""
    count = 1
    for length in shape:
        count *= length
    if count > MOST_VOXELS:
        msg = (
            f"{name}: expected at most {MOST_VOXELS:.2g} voxels,"
            f" found a header that claims {count:.2g}; export the scan again"
        )
        raise ScanError(Refusal.TOO_LARGE, msg)
