"""What a hostile input is: how it is made, who is given it, and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from segment.errors import Refusal


@dataclass(frozen=True)
class Case:
    """One input of a kind; ``code`` is what it is refused with, ANY for whichever fits.

    None means that it is read. ``command`` is who gets it: "draft", "deidentify", "verify".
    """

    kind: str
    name: str
    make: Callable[..., Path]
    code: Refusal | str | None
    command: str = "draft"
    arguments: dict = field(default_factory=dict)

    def path(self, folder):
        """Make it below a folder and return where it lies."""
        return self.make(folder, **self.arguments)


ANY = "any"
