"""Where the scan of a report lies. Knows nothing of what is in it."""

from dataclasses import dataclass, field
from pathlib import Path

from assistant.folder import ENTROPY
from segment.reading.pseudonym import Pseudonyms


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

    @property
    def entropy(self) -> Path:
        """Where the disagreement of the networks lies: beside the labels."""
        return self.labels.with_name(ENTROPY)
