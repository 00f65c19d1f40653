"""Lesions that were marked in studies of several dates: found, placed and matched.

Knows nothing of how a mask was drawn, nor of sentences.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from assistant.followup import Placed, visit_of
from assistant.provenance import of_mask
from assistant.study import Study
from segment.errors import Refusal, ScanError
from segment.geometry import MM3_PER_ML
from segment.lesion_change import LesionChanges, compare_lesions
from segment.lesion_place import carried
from segment.lesion_records import Seen, largest, listed
from segment.masks import Mask
from segment.masks.pieces import Piece, alone
from segment.measurement import Measurement, Reason, Reliability
from segment.objects import Lesion, Lesions, lesions_in_mask
from segment.organs import Organ

LESIONS = "lesions"


def marked(study: Study, priors: Sequence[Study]) -> tuple[Lesions, ...]:
    """Find the lesions of a study and of its priors; raises ScanError where one has no mask."""
    found: list[Lesions] = []
    for one in (study, *priors):
        if one.mask is None:
            which = "the study" if one is study else "the prior study"
            msg = (
                f"{which}: expected a segmentation of its lesions, found none; give"
                " --segmentation once for the study and once for each prior, in their order"
            )
            raise ScanError(Refusal.NO_SEGMENTATION, msg)
        found.append(lesions_in_mask(one.mask.labels > 0, one.mask.geometry))
    return tuple(found)


def pieces(mask: Mask, organ: Organ) -> tuple[Piece, ...]:
    """Return all lesions of a study as the one piece that is written and drawn."""
    return (alone(mask, organ, organ.structures[0], LESIONS),)


def blank(organ: Organ, study: Study) -> Measurement:
    """Return a record of which nothing is known but where its lesions lie."""
    return Measurement(
        id="m0",
        structure=organ.structures[0].name,
        code=organ.code,
        side=organ.sides[0],
        quantity="",
        unit="",
        value=None,
        interval=None,
        reliability=Reliability.NOT_ASSESSED,
        reason=Reason.NOT_ALIGNED,
        method="",
        date=study.volume.date,
    )


def seen(study: Study, found: Lesions, placed: Placed | None = None) -> Seen:
    """Gather what is compared of a study."""
    if placed is None:
        return Seen(found, visit_of(study, ()))
    made_from = dict(placed.described())
    if study.mask is not None:
        made_from["segmentation"] = of_mask(study.mask)
        made_from["segmentation_sha256"] = study.mask.sha256
    return Seen(found, visit_of(study, (), placed.doubt, made_from))


def seen_before(placed: Sequence[Placed], found: Sequence[Lesions]) -> tuple[Seen, ...]:
    """Gather what is compared of earlier studies, the oldest first."""
    pairs = zip(placed, found, strict=True)
    return tuple(seen(one.study, lesions, one) for one, lesions in pairs)


def changes(now: Seen, before: Seen, placed: Placed) -> LesionChanges | None:
    """Match the lesions of two dates on the grid of the later one; None if they do not align."""
    if placed.doubt is not None or placed.alignment is None:
        return None
    there = carried(before.lesions, now.lesions.geometry, placed.alignment.matrix)
    return compare_lesions(there, now.lesions)


def described(changes: LesionChanges) -> tuple[Mapping[str, Any], ...]:
    """Say where each lesion lies that is told by itself, and how long it is, for a provenance."""
    return tuple(
        {
            "lesion": one.letter,
            "fate": str(one.change.fate),
            "before": [_place(lesion) for lesion in one.change.before],
            "now": [_place(lesion) for lesion in one.change.after],
        }
        for one in listed(changes)
    )


def described_largest(found: Lesions) -> tuple[Mapping[str, Any], ...]:
    """Say where each of the largest lesions lies and how far its box goes, for a provenance.

    The box is told in voxels of the scan, both ends within it, and in mm of the world.
    """
    return tuple(
        {
            "lesion": letter,
            **_place(lesion),
            "box_voxels": [list(lesion.first), list(lesion.last)],
            "box_mm": [np.round(edge, 1).tolist() for edge in (lesion.lower_mm, lesion.upper_mm)],
        }
        for letter, lesion in largest(found)
    )


def _place(lesion: Lesion) -> Mapping[str, Any]:
    """Describe one lesion; places are in mm of its own scan."""
    return {
        "centre_mm": np.round(lesion.centre_mm, 1).tolist(),
        "volume_mm3": round(MM3_PER_ML * lesion.volume_ml, 1),
        "longest_diameter_mm": round(lesion.longest_diameter_mm, 1),
    }
