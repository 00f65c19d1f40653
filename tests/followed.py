"""Heads of several dates, and how far their repeats lie apart. Knows of no comparison."""

from dataclasses import replace

from assistant.study import Identifiers, Study
from segment.repeatability import Repeatability, RepeatLevel, Within
from tests.ledgers import RANGES
from tests.phantoms import head

REPEATABILITY = Repeatability(
    "repeats",
    "tests",
    tuple(
        RepeatLevel(mm, dict.fromkeys(RANGES, Within(0.011, 0.97, 17, 224))) for mm in (2.0, 3.0)
    ),
)


def study_of(sha256, day, *, semi_axes_mm=(6.0, 14.0, 8.0), patient=None, **options):
    phantom = head(field_mm=110, semi_axes_mm=semi_axes_mm, **options)
    volume = replace(phantom.volume, sha256=sha256 * 64, date=day)
    who = None if patient is None else Identifiers(patient_id=patient)
    return Study(volume, f"{sha256}.nii.gz", who)
