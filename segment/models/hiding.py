"""Imports a library without one that it would import too. Knows nothing of networks."""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from types import ModuleType


@contextmanager
def hidden(package: str) -> Iterator[None]:
    """Let a package look, to this thread alone, as if it were not installed.

    MONAI imports all of transformers, for seconds, where it can; this network needs none of it. A
    writer that needs it is read by another thread meanwhile. A package that was imported already
    stays visible.
    """
    absent = _Absent(package)
    # Lists are replaced and not changed: another thread may be going through them.
    sys.meta_path = [absent, *sys.meta_path]
    try:
        yield
    finally:
        sys.meta_path = [finder for finder in sys.meta_path if finder is not absent]


class _Absent(MetaPathFinder):
    """Finds nothing of one package in the thread that made it, and leaves the rest to others."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._thread = threading.get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Raise ModuleNotFoundError for the hidden package."""
        is_hidden = fullname.partition(".")[0] == self._package
        if is_hidden and threading.get_ident() == self._thread:
            msg = f"{fullname} is hidden"
            raise ModuleNotFoundError(msg, name=fullname)
