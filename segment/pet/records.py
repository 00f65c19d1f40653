"""Uptake as measurements: each number with its unit, its method and what speaks against it.

Knows nothing of files or words. No record has an interval: nothing was calibrated on PET.
"""

from collections.abc import Iterator
from dataclasses import replace

from segment.measurement import Measurement, Reason, Reliability
from segment.pet.grid import Uptake
from segment.pet.lesions import SHARE, Method, Outlined
from segment.pet.organs import OrganUptake, inside_organ
from segment.segmentation import sha256_of

SUV_MAX, SUV_PEAK, SUV_MEAN = "SUVmax", "SUVpeak", "SUVmean"
MTV, TLG = "metabolic tumour volume", "total lesion glycolysis"
UNITS = {SUV_MAX: "g/mL", SUV_PEAK: "g/mL", SUV_MEAN: "g/mL", MTV: "mL", TLG: "g"}  # UCUM
LESION_CODE = "52988006"  # SNOMED CT, lesion
ALL = "all lesions"


def pet_records(
    uptake: Uptake,
    outlined: tuple[Outlined, ...],
    organs: tuple[OrganUptake, ...],
    date: str | None,
) -> tuple[Measurement, ...]:
    """Write everything that was measured in a PET as records; ids run m1, m2, ..."""
    found = [
        *(record for one in outlined for record in _of_method(one, uptake)),
        *(record for organ in organs for record in _of_organ(organ, uptake, outlined)),
    ]
    return tuple(
        replace(record, id=f"m{number}", date=date) for number, record in enumerate(found, start=1)
    )


def method_of(outlined: Outlined) -> str:
    """Say how lesions were outlined, in one phrase."""
    wordings: dict[Method, str] = {
        "share": f"{SHARE:.0%} of its own SUVmax, grown from objects at {outlined.level:g} g/mL",
        "fixed": f"uptake of at least {outlined.level:g} g/mL",
        "liver": f"uptake of at least 1.5 x mean + 2 SD of the liver, {outlined.level:.3f} g/mL",
    }
    return wordings[outlined.method]


def _of_method(outlined: Outlined, uptake: Uptake) -> Iterator[Measurement]:
    """Write the lesions of one method, those that it cannot outline, and the sums."""
    how = method_of(outlined)
    for one in outlined.uptakes:
        name = f"lesion {one.lesion.label}"
        reason = Reason.TRUNCATED if one.is_cut else Reason.NO_INTERVAL
        numbers = {
            SUV_MAX: one.suv_max, SUV_PEAK: one.suv_peak, SUV_MEAN: one.suv_mean,
            MTV: one.mtv_ml, TLG: one.tlg_g,
        }  # fmt: skip
        for quantity, value in numbers.items():
            record = _record(name, LESION_CODE, quantity, value, reason, how)
            yield replace(
                record,
                mask_sha256=one.mask_sha256,
                voxels=one.lesion.voxels,
                voxel_volume_mm3=uptake.geometry.voxel_volume_mm3,
            )
    for number, spot in enumerate(outlined.unclear, start=len(outlined.uptakes) + 1):
        name = f"lesion {number}"
        yield _record(name, LESION_CODE, SUV_MAX, spot.suv_max, Reason.NO_INTERVAL, how)
        for quantity in (SUV_PEAK, SUV_MEAN, MTV, TLG):
            yield _record(name, LESION_CODE, quantity, None, spot.reason, how)
    reason = Reason.DEPENDS_ON_UNRELIABLE if outlined.is_partial else Reason.NO_INTERVAL
    for quantity, value in ((MTV, outlined.mtv_ml), (TLG, outlined.tlg_g)):
        yield _record(ALL, LESION_CODE, quantity, value, reason, how)


def _of_organ(
    organ: OrganUptake, uptake: Uptake, outlined: tuple[Outlined, ...]
) -> Iterator[Measurement]:
    """Write the uptake in an organ, and the lesions of each method inside of it."""
    reason = organ.doubt or Reason.NO_INTERVAL
    digest = sha256_of(organ.mask)
    for quantity, value in ((SUV_MEAN, organ.suv_mean), (SUV_MAX, organ.suv_max)):
        record = _record(
            organ.structure, organ.code, quantity, value, reason, "voxels of the organ"
        )
        yield replace(
            record,
            side=organ.side,
            mask_sha256=digest,
            voxels=int(organ.mask.sum()),
            voxel_volume_mm3=uptake.geometry.voxel_volume_mm3,
        )
    for one in outlined:
        volume_ml, glycolysis_g = inside_organ(organ, uptake, one.lesions)
        how = f"{method_of(one)}, inside the organ"
        for quantity, value in ((MTV, volume_ml), (TLG, glycolysis_g)):
            known = None if organ.suv_mean is None else value
            record = _record(organ.structure, organ.code, quantity, known, reason, how)
            yield replace(record, side=organ.side)


def _record(
    structure: str, code: str, quantity: str, value: float | None, reason: Reason, how: str
) -> Measurement:
    """Return one record; a number that nothing but its interval is missing of may stand alone."""
    states = {Reason.NO_INTERVAL: Reliability.WITHOUT_INTERVAL}
    state = states.get(reason, Reliability.NOT_RELIABLE)
    return Measurement(
        id="m0",
        structure=structure,
        code=code,
        side="none",
        quantity=quantity,
        unit=UNITS[quantity],
        value=value,
        interval=None,
        reliability=Reliability.NOT_ASSESSED if value is None else state,
        reason=reason,
        method=how,
    )
