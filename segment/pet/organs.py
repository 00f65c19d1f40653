"""Uptake inside the organs of a segmentation, and in which organ a lesion lies.

Knows nothing of who drew the organs, nor of whether the PET fits the CT that they were drawn on.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from segment import organs
from segment.masks import Mask
from segment.masks.pieces import bounds_of
from segment.masks.place import held_labels
from segment.measurement import Reason
from segment.objects import Lesions
from segment.pet.grid import Uptake
from segment.pet.lesions import LesionUptake, box_of
from segment.pet.peak import Box
from segment.segmentation import Side


@dataclass(frozen=True, eq=False)
class OrganUptake:
    """Uptake in one organ of one side, in g/mL; both values are None where it has no voxel.

    ``doubt`` says that a part may be missing, or that nothing is there; ``mask`` marks the organ in
    its ``box``.
    """

    structure: str
    code: str
    side: Side
    suv_mean: float | None
    suv_max: float | None
    doubt: Reason | None
    box: Box
    mask: Bool[np.ndarray, "i j k"]


def organ_uptakes(uptake: Uptake, mask: Mask) -> tuple[OrganUptake, ...]:
    """Measure each organ that a segmentation has a label of, on the grid of the uptake.

    What lies outside of the PET's field is left out, and makes the organ doubtful.
    """
    measured: list[OrganUptake] = []
    held = held_labels(mask.labels)
    for organ in map(organs.load, organs.available()):
        whole = organ.structures[0]
        for side in organ.sides:
            values = mask.table.values(whole, side)
            if not held.isdisjoint(values):
                where = np.isin(mask.labels, values)
                is_cut = not mask.cut.isdisjoint(values)
                measured.append(_measured(uptake, where, (whole.name, organ.code, side), is_cut))
    return tuple(measured)


def organ_of(
    lesion: LesionUptake, lesions: Lesions, found: tuple[OrganUptake, ...]
) -> tuple[OrganUptake, float] | None:
    """Return the organ that holds most of a lesion, and the share of the lesion that is in it."""
    shares = [
        (shared_voxels(organ, lesions, lesion.lesion.label) / lesion.lesion.voxels, organ)
        for organ in found
    ]
    share, organ = max(shares, key=lambda one: one[0], default=(0.0, None))
    return None if organ is None or not share else (organ, share)


def inside_organ(organ: OrganUptake, uptake: Uptake, lesions: Lesions) -> tuple[float, float]:
    """Return the volume of all lesions inside an organ, in mL, and their glycolysis, in g."""
    where = organ.mask & (lesions.labels[organ.box] > 0)
    volume_ml = int(where.sum()) * uptake.voxel_ml
    return volume_ml, float(uptake.suv[organ.box][where].sum(dtype=np.float64)) * uptake.voxel_ml


def shared_voxels(organ: OrganUptake, lesions: Lesions, label: int) -> int:
    """Count the voxels that an organ and one lesion have in common."""
    pairs = zip(box_of(lesions.found[label - 1]), organ.box, strict=True)
    i, j, k = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in pairs)
    if i.start >= i.stop or j.start >= j.stop or k.start >= k.stop:
        return 0
    local = tuple(
        slice(side.start - whole.start, side.stop - whole.start)
        for side, whole in zip((i, j, k), organ.box, strict=True)
    )
    return int((organ.mask[local] & (lesions.labels[i, j, k] == label)).sum())


def _measured(
    uptake: Uptake,
    where: Bool[np.ndarray, "i j k"],
    named: tuple[str, str, Side],
    is_cut: bool,
) -> OrganUptake:
    """Average an organ over the PET's field."""
    start, shape = bounds_of(where)
    i, j, k = (slice(s, s + n) for s, n in zip(start, shape, strict=True))
    mask = where[i, j, k] & uptake.inside[i, j, k]
    is_partial = is_cut or int(mask.sum()) < int(where[i, j, k].sum())
    values = uptake.suv[i, j, k][mask]
    if not values.size:
        return OrganUptake(*named, None, None, Reason.OUTSIDE_FIELD, (i, j, k), mask)
    mean, most = float(values.mean(dtype=np.float64)), float(values.max())
    doubt = Reason.TRUNCATED if is_partial else None
    return OrganUptake(*named, mean, most, doubt, (i, j, k), mask)
