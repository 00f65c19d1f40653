"""Where the scan of a report lies. Knows nothing of what is in it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from assistant.folder import ENTROPY
from segment.reading.pseudonym import Pseudonyms

Read = TypeVar("Read")


@dataclass(frozen=True)
class Source:
    """The DICOM series of a report (a folder or a zip of one) and the labels drawn in it.

    Who the patient is stands in the series alone: it is read when an export is written, and kept
    nowhere. The paths are not shown, since a folder's name can be a patient's. With ``pseudonyms``
    no patient is read, and files refer to the series that was de-identified by the same key.
    """

    series: Path = field(repr=False)
    labels: Path = field(repr=False)
    pseudonyms: Pseudonyms | None = None
    _kept: list[tuple[Any, Any]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def once(self, owner: object, read: Callable[[], Read]) -> Read:
        """Return what was read for ``owner``, such as a report, reading it the first time."""
        for known, found in self._kept:
            if known is owner:
                kept: Read = found
                return kept
        found = read()
        self._kept.append((owner, found))
        return found

    @property
    def entropy(self) -> Path:
        """Where the entropy of the networks lies: beside the labels."""
        return self.labels.with_name(ENTROPY)
