"""A PET, and what comes with it, become lesions with their uptake. Knows nothing of words.

What cannot be measured together is refused here, each with one sentence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, get_args

import numpy as np

from assistant.provenance import of_volume
from assistant.study import Study, patient_ids
from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.masks import Mask
from segment.measurement import Measurement
from segment.objects import Point
from segment.pet.grid import Carried, Uptake, carried, uptake_of, uptake_on
from segment.pet.lesions import (
    LEVEL,
    SMALLEST_ML,
    Method,
    Outlined,
    outlined_at,
    outlined_at_share,
)
from segment.pet.liver import LiverReference, liver_centre, liver_reference
from segment.pet.organs import OrganUptake, organ_of, organ_uptakes
from segment.pet.records import method_of, pet_records

METHODS: tuple[Method, ...] = get_args(Method)
LIVER = "liver"


@dataclass(frozen=True)
class Wanted:
    """How lesions are outlined: by which methods, from which level in g/mL, how large at least."""

    methods: tuple[Method, ...] = METHODS
    level: float = LEVEL
    smallest_ml: float = SMALLEST_ML


@dataclass(frozen=True, eq=False)
class Placed:
    """A PET on the grid that it is measured on: its own, or that of a CT.

    ``is_frame_known`` says that both files name one frame of reference.
    """

    study: Study
    uptake: Uptake
    ct: Study | None = None
    carried: Carried | None = None
    is_frame_known: bool = True


@dataclass(frozen=True, eq=False)
class PetFindings:
    """Everything that was measured in a PET; without ``reference`` no liver was given."""

    placed: Placed
    wanted: Wanted
    reference: LiverReference | None
    outlined: tuple[Outlined, ...]
    mask: Mask | None
    organs: tuple[OrganUptake, ...]

    @property
    def records(self) -> tuple[Measurement, ...]:
        """Every number as a record; none has an interval."""
        date = self.placed.study.volume.date
        return pet_records(self.placed.uptake, self.outlined, self.organs, date)


def place_pet(
    pet: Study, ct: Study | None = None, *, is_suv: bool = False, is_same_patient: bool = False
) -> Placed:
    """Put a PET on the grid of a CT, else leave it on its own; raises ScanError.

    ``is_suv`` vouches that a file without units holds uptake by body weight, ``is_same_patient``
    that files of different patient identifiers are of one person.
    """
    _check_pet(pet, is_suv=is_suv)
    if ct is None:
        return Placed(pet, uptake_of(pet.volume))
    if ct.volume.modality not in {"CT", "unknown"}:
        msg = f"the CT: expected CT, found {ct.volume.modality}; give the CT of the same session"
        raise ScanError(Refusal.NOT_CT, msg)
    _check_person(pet, ct, is_same_patient=is_same_patient)
    is_known = _share_frame(pet, ct)
    uptake = uptake_on(pet.volume, ct.volume.geometry)
    return Placed(pet, uptake, ct, carried(pet.volume, uptake), is_known)


def measure_pet(
    placed: Placed,
    wanted: Wanted | None = None,
    *,
    mask: Mask | None = None,
    liver_mm: Point | None = None,
) -> PetFindings:
    """Outline lesions by each method and measure them, and the organs of a segmentation.

    The liver's place is ``liver_mm``, else the liver of ``mask``; where neither is there, its
    method is left out, and where that is not wanted no liver is looked at. Raises ScanError for a
    place that is none, and ValueError for levels that are none.
    """
    if mask is not None:
        mask.check_is_none_of(one.volume for one in (placed.study, placed.ct) if one is not None)
    wanted = wanted or Wanted()
    uptake, volume = placed.uptake, placed.study.volume
    is_wanted = LIVER in wanted.methods
    centre = (liver_mm or _liver_of(mask)) if is_wanted else None
    reference = None if centre is None else liver_reference(volume, centre)
    outlined: list[Outlined] = []
    for method in wanted.methods:
        if method == "share":
            found = outlined_at_share(uptake, level=wanted.level, smallest_ml=wanted.smallest_ml)
        elif method == "fixed":
            found = _fixed(uptake, wanted.level, method, wanted)
        elif reference is not None:
            found = _fixed(uptake, reference.threshold, method, wanted)
        else:
            continue
        outlined.append(found)
    organs = () if mask is None else organ_uptakes(uptake, mask)
    return PetFindings(placed, wanted, reference, tuple(outlined), mask, organs)


def liver_place(labels: np.ndarray, geometry: Geometry) -> Point:
    """Find the liver's place in a file of which every label is of the liver; raises ScanError."""
    return liver_centre(labels > 0, geometry)


def pet_provenance(findings: PetFindings) -> Mapping[str, Any]:
    """Say what was measured and how, and where each lesion lies; names no patient and no path."""
    placed, reference = findings.placed, findings.reference
    made: dict[str, Any] = {
        "voxcite": version("voxcite"),
        "input_sha256": placed.study.volume.sha256,
        "pet": of_volume(placed.study.volume),
        "smallest_ml": findings.wanted.smallest_ml,
        "lesions": [row for one in findings.outlined for row in _lesion_rows(findings, one)],
    }
    if placed.ct is not None and placed.carried is not None:
        made["ct_sha256"], made["ct"] = placed.ct.volume.sha256, of_volume(placed.ct.volume)
        made["carried"] = {"interpolation": "linear", **vars(placed.carried)}
        made["is_frame_known"] = placed.is_frame_known
    if reference is not None:
        made["liver"] = {**vars(reference), "threshold": reference.threshold}
    if findings.mask is not None:
        made["segmentation_sha256"] = findings.mask.sha256
    return made


def _lesion_rows(findings: PetFindings, outlined: Outlined) -> list[dict[str, Any]]:
    """Say where each lesion of one method lies."""
    rows: list[dict[str, Any]] = []
    for one in outlined.uptakes:
        row: dict[str, Any] = {
            "method": method_of(outlined),
            "structure": f"lesion {one.lesion.label}",
            "centre_mm": list(one.lesion.centre_mm),
            "longest_diameter_mm": one.lesion.longest_diameter_mm,
        }
        if held := organ_of(one, outlined.lesions, findings.organs):
            row |= {"organ": held[0].structure, "side": held[0].side, "share_in_organ": held[1]}
        rows.append(row)
    for number, spot in enumerate(outlined.unclear, start=len(outlined.uptakes) + 1):
        at = {"structure": f"lesion {number}", "maximum_mm": list(spot.at_mm)}
        rows.append({"method": method_of(outlined), **at})
    return rows


def _fixed(uptake: Uptake, level: float, method: Method, wanted: Wanted) -> Outlined:
    return outlined_at(uptake, level, method=method, smallest_ml=wanted.smallest_ml)


def _liver_of(mask: Mask | None) -> Point | None:
    """Find the liver's place in a segmentation; None where it labels no liver."""
    if mask is None:
        return None
    values = [label.value for label in mask.table.labels if label.structure == LIVER]
    if mask.held.isdisjoint(values):
        return None
    return liver_place(np.isin(mask.labels, values), mask.geometry)


def _check_pet(pet: Study, *, is_suv: bool) -> None:
    """Refuse what is no PET, and a file without units that nobody vouches for."""
    modality = pet.volume.modality
    if modality == "PT" or (modality == "unknown" and is_suv):
        return
    if modality == "unknown":
        msg = (
            "the PET: expected uptake by body weight, found a file that does not say its unit; give"
            " the DICOM series, or add --suv if its values are SUV"
        )
        raise ScanError(Refusal.NO_SUV, msg)
    msg = f"the PET: expected PET, found {modality}; give the attenuation-corrected PET series"
    raise ScanError(Refusal.NOT_PET, msg)


def _check_person(pet: Study, ct: Study, *, is_same_patient: bool) -> None:
    """Refuse identifiers that differ; a file without one may be anybody's."""
    if len(patient_ids((pet, ct))) > 1 and not is_same_patient:
        msg = (
            "the CT: expected one of the same patient, found another patient identifier; give the"
            " CT of the same session, or --same-patient if both are one person's"
        )
        raise ScanError(Refusal.OTHER_PATIENT, msg)


def _share_frame(pet: Study, ct: Study) -> bool:
    """Tell whether both files name the same frame of reference; refuse two different ones."""
    frames = [s.identifiers.frame_of_reference_uid if s.identifiers else "" for s in (pet, ct)]
    if "" in frames:
        return False
    if frames[0] != frames[1]:
        msg = (
            "the CT: expected the frame of reference of the PET, found another one, so places do"
            " not agree; give the CT of the same session, or leave --ct out"
        )
        raise ScanError(Refusal.OTHER_FRAME, msg)
    return True
