"""Files of work that may be interrupted: whole or absent, and cut back to the last checkpoint.

Knows nothing of what is in them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name to write to; the file takes the place of ``path`` once it is whole.

    What was written is removed where writing it fails.
    """
    temporary = path.with_suffix(".part")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def cut_log(log: Path, lines: int) -> None:
    """Keep the first lines of a log: what comes after them is done again."""
    if log.exists():
        kept = log.read_text(encoding="utf-8").splitlines(keepends=True)[:lines]
        log.write_text("".join(kept), encoding="utf-8", newline="")
