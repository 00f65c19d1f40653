"""Files on their way from a browser into a study, kept apart by owner. Knows nothing of formats."""

import asyncio
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from assistant.denial import Denial, DeniedError
from segment.reading.source import file_name

KEPT_S = 3600.0  # what nobody opened is removed after so long
SWEPT_EVERY_S = 300.0
MOST_FILES = 20_000


class UploadError(DeniedError):
    """Files that are not taken; the sentence says why."""


@dataclass(eq=False)
class Uploads:
    """Folders of uploaded files, one a delivery; only its owner can claim one."""

    folder: Path
    _owners: dict[str, tuple[str, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700)

    def begin(self, owner: str) -> str:
        """Make a folder for a delivery and return its token."""
        self.sweep()
        token = secrets.token_hex(16)
        (self.folder / token).mkdir(mode=0o700)
        with self._lock:
            self._owners[token] = (owner, time.monotonic())
        return token

    def place(self, token: str, name: str, number: int) -> Path:
        """Say where a file goes: by its own name, in a folder of its own where that is taken."""
        if number >= MOST_FILES:
            msg = f"expected at most {MOST_FILES} files, found more; send one series"
            raise UploadError(Denial.TOO_MANY_FILES, msg)
        own = file_name(Path(name.replace("\\", "/").rpartition("/")[2] or "file"))
        own = own.replace("/", "_").lstrip(".") or "file"
        path = self.folder / token / own
        if path.exists():
            path = self.folder / token / str(number) / own
            path.parent.mkdir(mode=0o700)
        return path

    def drop(self, token: str) -> None:
        """Remove a delivery."""
        with self._lock:
            self._owners.pop(token, None)
        shutil.rmtree(self.folder / token, ignore_errors=True)

    def claim(self, token: str, owner: str, into: Path) -> Path:
        """Move a delivery into a study and return the file, or the folder of several.

        Raises UploadError for a token that is unknown or somebody else's.
        """
        with self._lock:
            kept = self._owners.get(token)
            if kept is None or kept[0] != owner:
                msg = "expected files that were sent before, found none; send them again"
                raise UploadError(Denial.NOT_SENT, msg)
            del self._owners[token]
        shutil.move(self.folder / token, into)
        files = list(into.iterdir())
        return files[0] if len(files) == 1 else into

    @asynccontextmanager
    async def swept(self) -> AsyncIterator[None]:
        """Remove what nobody opened every now and then, for as long as the server runs."""

        async def sweeping() -> None:
            while True:
                await asyncio.sleep(SWEPT_EVERY_S)
                await asyncio.to_thread(self.sweep)

        task = asyncio.create_task(sweeping())
        try:
            yield
        finally:
            task.cancel()

    def sweep(self) -> None:
        """Remove what nobody opened."""
        old = time.monotonic() - KEPT_S
        for token, (_, since) in tuple(self._owners.items()):
            if since < old:
                self.drop(token)
