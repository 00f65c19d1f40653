"""What a user may choose. Nothing else in the project reads configuration."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """One run of the assistant; everything else follows from the exam.

    ``segmenter`` overrides the exam's; ``coverage`` the exam's too.
    """

    exam: str = "hippocampus"
    language: str = "en"
    writer: str = "template"
    segmenter: str | None = None
    coverage: float | None = None

    def __post_init__(self) -> None:
        if self.coverage is not None and not 0 < self.coverage < 1:
            msg = f"coverage is a share between 0 and 1, not {self.coverage}"
            raise ValueError(msg)

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """Read settings from TOML; unknown keys are refused."""
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(cls)}
        if unknown := sorted(table.keys() - known):
            msg = f"{path.name}: unknown settings {unknown}; known are {sorted(known)}"
            raise ValueError(msg)
        return cls(**table)
