"""What every instance states of itself: identifiers, times, maker, patient. Knows no content.

Equal reports of one series give equal bytes: nothing here is random and no clock is read.
"""

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

from pydicom import config
from pydicom.dataset import Dataset

from assistant.exports.dicom.series import NOBODY, SourceSeries
from assistant.exports.dicom.text import short
from assistant.exports.sheet import Sheet, moment
from assistant.report import Report, report_bytes

MAKER = "voxcite"
UTF_8 = "ISO_IR 192"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Uids:
    """Identifiers that follow from the report and its series, so that SR and SEG agree on them."""

    digest: str

    @classmethod
    def of(cls, report: Report, created: str, series: SourceSeries) -> "Uids":
        """Derive them from the bytes of report.json and from the series."""
        return cls(sha256(report_bytes(report, created) + series.uid.encode()).hexdigest())

    def uid(self, key: str) -> str:
        """Return one identifier, a UUID as PS3.5 B.2 has it."""
        return f"2.25.{uuid5(NAMESPACE_URL, f'urn:voxcite:{self.digest}:{key}').int}"


@contextmanager
def quietly() -> Iterator[None]:
    """Let no warning out: those of pydicom quote a value, which can be a patient's."""
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def stated(report: Report, key: str) -> str:
    """Return what a report was made with, in one short line."""
    return short(str(report.provenance.get(key) or UNKNOWN))


def version(report: Report) -> str:
    """Return the version of this software that made a report."""
    versions = report.provenance.get("versions")
    return short(str(versions.get(MAKER, UNKNOWN))) if isinstance(versions, Mapping) else UNKNOWN


def parameters(report: Report) -> dict[str, str]:
    """Name what the segmenter is known by beside its name."""
    keys = {"weights sha256": "model_sha256", "input sha256": "input_sha256"}
    return {name: stated(report, key) for name, key in keys.items()}


def described(shown: Sheet) -> str:
    """Describe a series: the mark first, so that a list of series shows it."""
    return short(f"{shown.mark} · {shown.title}")


def called(
    kind: Literal["sr", "seg", "pm"], number: int, report: Report, shown: Sheet, uids: Uids
) -> dict[str, Any]:
    """Say how an instance and its series are called and who made them, for its constructor."""
    return {
        "series_instance_uid": uids.uid(f"{kind} series"),
        "series_number": number,
        "series_description": described(shown),
        "sop_instance_uid": uids.uid(kind),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "software_versions": version(report),
        "specific_character_set": UTF_8,
    }


def labelled(report: Report, shown: Sheet) -> dict[str, Any]:
    """Say what an instance of pictures shows and what made it, for its constructor."""
    return {
        "device_serial_number": stated(report, "model_sha256"),
        "content_label": "DRAFT" if shown.is_draft else "SIGNED",
        "content_description": described(shown),
    }


def marked(instance: Dataset, shown: Sheet, dimensions: str) -> None:
    """Put the mark into an instance of frames, and name their organisation: not at random."""
    instance.ImageComments = f"{shown.mark}\n{shown.disclaimer}"
    for item in (*instance.DimensionOrganizationSequence, *instance.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions


def finished(instance: Dataset, series: SourceSeries, created: str) -> bytes:
    """Put in patient, study and times, and return the bytes of the file."""
    time = moment(created)
    instance.ContentDate = instance.InstanceCreationDate = time.strftime("%Y%m%d")
    instance.ContentTime = instance.InstanceCreationTime = time.strftime("%H%M%S")
    for item in instance.ContributingEquipmentSequence:
        item.ContributionDateTime = time.strftime("%Y%m%d%H%M%S%z")
    for tag in (*NOBODY, *series.patient_and_study):
        setattr(instance, tag, series.patient_and_study.get(tag))
    buffer = io.BytesIO()
    instance.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
