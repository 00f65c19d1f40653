"""The report as Markdown. Pictures stay beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.report import Report


@dataclass(frozen=True)
class Markdown:
    """Writes the text that a draft prints."""

    suffix: str = ".md"

    def __call__(self, report: Report, pictures: Sequence[Path], created: str) -> bytes:
        """Write the report's own Markdown."""
        del pictures, created
        return report.markdown().encode()
