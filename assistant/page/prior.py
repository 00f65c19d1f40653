"""A prior scan beside the current one: its date, and where a place of one lies in the other.

It is shown for comparison by eye. Nothing is measured here, and no change is claimed of it.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from assistant.page import scene
from assistant.report import Report
from assistant.study import Study
from segment.register import Registration, doubt

SOURCE = "prior"  # below a study's folder: what was uploaded
SCAN = "prior.nii.gz"
PLACE, PRIOR = "place.json", "prior.json"
Matrix = list[list[float]]


@dataclass(frozen=True)
class Place:
    """What of a scan another is laid beside: where the head lies, if that is trusted, and whose."""

    template_to_scan: Matrix | None
    date: str | None
    patient: str
    sha256: str

    @classmethod
    def of(cls, study: Study, registration: Registration) -> "Place":
        """Take it from a study that was found; of the patient's identifier a digest alone."""
        is_trusted = doubt(registration) is None
        patient = study.identifiers.patient_id if study.identifiers is not None else ""
        return cls(
            registration.template_to_scan.tolist() if is_trusted else None,
            study.volume.date,
            hashlib.sha256(patient.encode()).hexdigest() if patient else "",
            study.volume.sha256,
        )


@dataclass(frozen=True)
class Prior:
    """A prior scan; ``to_prior`` takes millimetres of the current one to its own, if known.

    ``sha256`` tells it from another that is laid there later; ``doubts`` are keys of the page's
    words for what a reader must know before comparing.
    """

    sha256: str
    date: str | None
    current_date: str | None
    to_prior: Matrix | None
    doubts: tuple[str, ...]


def write_place(folder: Path, study: Study, registration: Registration) -> None:
    """Keep where the head of the current scan lies."""
    table = asdict(Place.of(study, registration))
    (folder / PLACE).write_text(json.dumps(table), encoding="utf-8")


def write_prior(folder: Path, study: Study, registration: Registration) -> None:
    """Keep a prior scan for the viewer, and how the two lie."""
    current = Place(**json.loads((folder / PLACE).read_text(encoding="utf-8")))
    table = asdict(beside(current, Place.of(study, registration)))
    scene.write_scan(folder, study.volume, SCAN)
    (folder / PRIOR).write_text(json.dumps(table), encoding="utf-8")


def read_prior(folder: Path) -> Prior | None:
    """Read what is known of the prior scan; None where there is none."""
    path = folder / PRIOR
    if not path.is_file():
        return None
    table = json.loads(path.read_text(encoding="utf-8"))
    return Prior(**{**table, "doubts": tuple(table["doubts"])})


def carry(folder: Path, into: Path) -> None:
    """Copy a prior scan, as it was sent and as it is shown, beside another reading of its study."""
    shutil.copytree(folder / SOURCE, into / SOURCE)
    for name in (PRIOR, SCAN):
        shutil.copy(folder / name, into / name)


def compared(report: Report) -> tuple[str, ...]:
    """Return the hashes of the scans that a report states a change from."""
    return tuple(one["input_sha256"] for one in report.provenance.get("prior", ()))


def forget(folder: Path) -> None:
    """Remove what is shown of a prior scan."""
    for name in (PRIOR, SCAN):
        (folder / name).unlink(missing_ok=True)


def beside(current: Place, prior: Place) -> Prior:
    """Lay a prior beside the current scan, through the template that both were brought to."""
    linked: Matrix | None = None
    if current.template_to_scan is not None and prior.template_to_scan is not None:
        to_template = np.linalg.inv(np.array(current.template_to_scan))
        linked = (np.array(prior.template_to_scan) @ to_template).tolist()
    doubts = tuple(_doubts(current, prior, is_linked=linked is not None))
    return Prior(prior.sha256, prior.date, current.date, linked, doubts)


def _doubts(current: Place, prior: Place, *, is_linked: bool) -> Iterator[str]:
    if current.patient and prior.patient and current.patient != prior.patient:
        yield "prior.other_patient"
    if current.sha256 == prior.sha256:
        yield "prior.same_scan"
    if current.date and prior.date and prior.date > current.date:
        yield "prior.later"
    if not is_linked:
        yield "prior.unlinked"
