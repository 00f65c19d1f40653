"""What each window of a browser shows now: what began last, and nothing of what it showed before.

Knows nothing of studies.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

POLL_S = 0.4  # between two looks of a window at what it waits for
MOST_WINDOWS = 10_000  # remembered; the oldest is forgotten first, and then shows nothing more


@dataclass(eq=False)
class Windows:
    """Tells whoever shows something for a while whether its window shows it yet."""

    _shown: dict[str, object] = field(default_factory=dict)

    def show(self, window: str) -> Callable[[], bool]:
        """Begin to show something in a window; returns what tells whether it still is."""
        self._shown.pop(window, None)
        self._shown[window] = object()
        if len(self._shown) > MOST_WINDOWS:
            self._shown.pop(next(iter(self._shown)))
        return self.still(window)

    def first(self, window: str) -> Callable[[], bool]:
        """Begin to show something in a window unless it shows something already."""
        return (lambda: False) if window in self._shown else self.show(window)

    def still(self, window: str) -> Callable[[], bool]:
        """Return what tells whether a window shows what it shows now."""
        mark = self._shown.get(window)
        return lambda: self._shown.get(window) is mark
