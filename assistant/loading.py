"""Something large that is read in the background. Knows nothing of what it is."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


_AT_WORK = Lock()


class Loading(Generic[T]):
    """What is read from the moment somebody will need it, once.

    One at a time in a process: while transformers builds a model, torch's default type is that
    model's for every thread.
    """

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._lock = Lock()
        self._future: Future[T] | None = None

    @classmethod
    def of(cls, ready: T) -> "Loading[T]":
        """Hold what is there already, a test's for example."""
        made = cls(lambda: ready)
        made._future = Future()
        made._future.set_result(ready)
        return made

    def start(self) -> "Future[T]":
        """Begin to read, once; where reading failed, begin again."""
        with self._lock:
            if self._future is None or self._has_failed(self._future):
                pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
                self._future = pool.submit(self._alone)
                pool.shutdown(wait=False)
            return self._future

    def result(self) -> T:
        """Return it, waiting for it; raises what reading it raised."""
        future = self._future or self.start()
        return future.result()

    def check(self) -> None:
        """Raise what reading raised, if it has failed by now."""
        if self._future is not None and self._has_failed(self._future):
            self._future.result()

    def _alone(self) -> T:
        """Read while nothing else is read."""
        with _AT_WORK:
            return self._read()

    @staticmethod
    def _has_failed(future: "Future[T]") -> bool:
        return future.done() and future.exception() is not None
