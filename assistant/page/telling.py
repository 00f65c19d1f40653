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
    """The answers that are on their way, by study and question."""

    _open: dict[tuple[str, str], Telling] = field(default_factory=dict)

    def begin(self, study: str, question: str) -> Telling:
        """Begin an answer."""
        telling = self._open[study, question.strip()] = Telling()
        return telling

    def end(self, study: str, question: str) -> None:
        """Forget an answer that was told to its end."""
        self._open.pop((study, question.strip()), None)

    def stop(self, study: str, question: str) -> tuple[Line, ...] | None:
        """Stop an answer and return what was told of it; None for one that had ended."""
        telling = self._open.pop((study, question.strip()), None)
        return telling.lines if telling is not None and telling.stop() else None

    def forget(self, study: str) -> None:
        """Stop whatever is being told of a study."""
        for name, question in tuple(self._open):
            if name == study:
                self.stop(study, question)
