"""Answers on their way: how much of each was told before it ended or was stopped.

Knows nothing of pages, and of where an answer is kept.
"""

import threading
from dataclasses import dataclass, field

from assistant.report import Line


@dataclass(eq=False)
class Telling:
    """One answer; whoever closes it first, its writer or who stops it, keeps it."""

    lines: tuple[Line, ...] = ()
    _is_closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, line: Line) -> tuple[Line, ...]:
        """Add a line that was told, unless the answer is closed; return all there are."""
        with self._lock:
            if not self._is_closed:
                self.lines += (line,)
            return self.lines

    def close(self) -> bool:
        """Let no more be told; returns whether it was still open."""
        with self._lock:
            was_open = not self._is_closed
            self._is_closed = True
            return was_open


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
        return telling.lines if telling is not None and telling.close() else None

    def forget(self, study: str) -> None:
        """Stop whatever is being told of a study."""
        for name, question in tuple(self._open):
            if name == study:
                self.stop(study, question)
