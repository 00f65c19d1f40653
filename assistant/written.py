"""What is written is there whole or not at all, and when it was. Knows nothing of what it is."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from segment.errors import Refusal, ScanError


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Give a temporary folder whose files move into ``folder`` when everything is written.

    Raises ScanError before any work when the folder cannot be written. Folders that were made for
    nothing are removed.
    """
    name = folder.name or "the folder"
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".voxcite-", dir=folder))
    except OSError as error:
        msg = f"{name}: expected a folder to write to, found {error.strerror}; give another"
        raise ScanError(Refusal.OUTPUT, msg) from error
    try:
        yield temporary
        for path in sorted(temporary.iterdir()):
            os.replace(path, folder / path.name)  # noqa: PTH105  replaces what is there in one step
    except OSError as error:
        msg = f"{name}: the output was not written ({error.strerror}); free or change it"
        raise ScanError(Refusal.OUTPUT, msg) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for path in made:
            with suppress(OSError):
                path.rmdir()


def now() -> str:
    """Return the time for a report's ``created`` field, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
