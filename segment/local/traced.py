"""A user's labelled scan as a calibration needs it: what the expert counted, on which voxels.

Knows nothing of networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segment.adapt.scans import MOST_SHOWN, Scan, read_scan
from segment.errors import Refusal, ScanError
from segment.geometry import MM3_PER_ML
from segment.masks.place import held_labels
from segment.organs import Organ, label_numbers
from segment.segmentation import Side

MOST_APART = 1.5  # times: scans with thicker slices than that beside others are another protocol


@dataclass(frozen=True)
class Traced:
    """One scan, the hashes of its file and of its picture, its voxels and the expert's volumes.

    ``expert_ml`` is by side and structure; a side that nobody traced has none.
    """

    scan: Scan
    sha256: str
    picture: str
    spacing_mm: tuple[float, ...]
    expert_ml: Mapping[tuple[Side, str], float]

    @property
    def untraced(self) -> tuple[Side, ...]:
        """The sides that were looked for and hold no label."""
        held = {side for (side, _), volume in self.expert_ml.items() if volume > 0}
        return tuple(dict.fromkeys(side for side, _ in self.expert_ml if side not in held))


def traced(scan: Scan, organ: Organ, sides: Sequence[Side], *, resample: bool) -> Traced:
    """Read a scan and count its labels, numbered as ``voxcite segment`` writes them.

    Raises ScanError for labels on other voxels, none at all, others than the organ's, and for a
    side of which only a part is traced.
    """
    labelled = read_scan(scan, resample=resample)
    numbers = label_numbers(organ, sides)
    held = held_labels(labelled.labels)
    known = ", ".join(f"{n} = {_told(side, label)}" for (side, label), n in numbers.items())
    if not held:
        msg = f"{scan.name}: expected labels of the {organ.name}, found none; draw it or take the"
        raise ScanError(Refusal.WRONG_LABELS, f"{msg} scan away")
    if unknown := sorted(held - set(numbers.values())):
        shown = ", ".join(map(str, unknown[:MOST_SHOWN]))
        msg = f"{scan.name}: expected the labels {known}, found {shown}; number them so"
        raise ScanError(Refusal.WRONG_LABELS, msg)
    for side in sides:
        own = {number: label for (of, label), number in numbers.items() if of == side}
        if held & own.keys() and (missing := sorted(own.keys() - held)):
            msg = f"{scan.name}: expected every part of a side that is traced, found no voxel of"
            msg += f" label {missing[0]}, {_told(side, own[missing[0]])}; draw it too"
            raise ScanError(Refusal.WRONG_LABELS, msg)
    voxels = np.bincount(labelled.labels.ravel(), minlength=max(numbers.values()) + 1)
    voxel_ml = labelled.volume.geometry.voxel_volume_mm3 / MM3_PER_ML
    expert = {
        (side, s.name): sum(int(voxels[numbers[side, label]]) for label in s.labels) * voxel_ml
        for side in sides
        for s in organ.structures
    }
    volume = labelled.volume
    return Traced(scan, volume.sha256, labelled.picture, volume.geometry.spacing_mm, expert)


def thickest_mm(scans: Sequence[Traced]) -> float:
    """Return the thickest slice of scans of one protocol; raises ScanError for several."""
    thickness = sorted(max(scan.spacing_mm) for scan in scans)
    if thickness[-1] > MOST_APART * thickness[0]:
        msg = f"expected scans of one protocol, found slices of {thickness[0]:.3g} to"
        msg += f" {thickness[-1]:.3g} mm; calibrate each thickness by itself"
        raise ScanError(Refusal.UNEVEN_SLICES, msg)
    return thickness[-1]


def _told(side: Side, label: str) -> str:
    return label if side == "none" else f"{side} {label}"
