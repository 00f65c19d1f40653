"""Answers on their way: how much of each was told before it ended or was stopped.

Knows nothing of pages, and of where an answer is kept.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from assistant.report import Line


@dataclass(eq=False)
class Telling:
    """One answer; whoever closes it first, its writer or who stops it, keeps it."""

    question: str = ""
    lines: tuple[Line, ...] = ()
    failure: ValueError | None = None
    is_closed: bool = False
    is_stopped: bool = False
    _told: threading.Condition = field(default_factory=threading.Condition)

    def add(self, line: Line) -> bool:
        """Tell one more line; returns whether somebody still wants it."""
        with self._told:
            if not self.is_closed:
                self.lines += (line,)
            self._told.notify_all()
            return not self.is_closed

    def end(self, lines: tuple[Line, ...], keep: Callable[[], None]) -> bool:
        """Keep the whole answer, then say that it is there; False once it was stopped."""
        with self._told:
            if self.is_closed:
                return False
            keep()
            self.lines = lines
            self._close()
            return True

    def fail(self, failure: ValueError) -> None:
        """Say why there is no answer."""
        with self._told:
            self.failure = failure
            self._close()

    def stop(self) -> bool:
        """Let no more be told; False for an answer that had ended."""
        with self._told:
            if self.is_closed:
                return False
            self.is_stopped = True
            self._close()
            return True

    def news(self, seen: int, timeout_s: float) -> tuple[Line, ...]:
        """Wait for lines after the first ``seen`` or for the end; return all there are."""
        with self._told:
            self._told.wait_for(lambda: len(self.lines) > seen or self.is_closed, timeout_s)
            return self.lines

    def _close(self) -> None:
        self.is_closed = True
        self._told.notify_all()


@dataclass(eq=False)
class Tellings:
    """The answers that are on their way: one of each study at a time."""

    _open: dict[str, Telling] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, study: str, question: str) -> Telling | None:
        """Begin an answer; None while another one of the study is on its way."""
        with self._lock:
            before = self._open.get(study)
            if before is not None and not before.is_closed:
                return None
            telling = self._open[study] = Telling(question.strip())
            return telling

    def end(self, study: str, telling: Telling) -> None:
        """Forget an answer that was told to its end."""
        with self._lock:
            if self._open.get(study) is telling:
                del self._open[study]

    def stop(self, study: str) -> Telling | None:
        """Stop the answer of a study and return it; None where none is on its way."""
        with self._lock:
            telling = self._open.pop(study, None)
        return telling if telling is not None and telling.stop() else None
