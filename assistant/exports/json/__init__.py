"""The report as report.json. Pictures stay beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.report import Report, report_bytes


@dataclass(frozen=True)
class Json:
    """Writes every record and every line with its citations."""

    suffix: str = ".json"

    def __call__(self, report: Report, pictures: Sequence[Path], created: str) -> bytes:
        """Write what ``report_from_json`` reads."""
        del pictures
        return report_bytes(report, created)
