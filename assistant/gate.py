"""Whether a volume can be the picture an exam needs. Knows nothing of anatomy in it.

What passes here can still be no head: that is found out by the registration.
"""

import numpy as np

from segment.errors import Refusal, ScanError
from segment.volume import Volume

# A field that holds both hippocampi and enough of the head to find them: an adult brain is about
# 140 x 170 x 120 mm. The fields of real heads used here are 159 mm or more in every direction.
SMALLEST_HEAD_MM = 100.0
COARSEST_HEAD_MM = 6.0
# Boxes around one hippocampus: those of the training data are 24 to 59 mm long.
SMALLEST_CROP_MM = 20.0
LARGEST_CROP_MM = 100.0
COARSEST_CROP_MM = 3.0
# Hounsfield units are -1000 in air (PS3.3 C.11.1.1.2, HU), and a CT's field holds air around the
# patient. MR has no negative tissue: filters leave values a few percent of the maximum below zero.
AIR_HU = -500.0
LEAST_AIR_SHARE = 0.01


def check_head(volume: Volume) -> None:
    """Refuse what is no MR of a whole head: CT, a small field, coarse slices."""
    _check_mr(volume)
    extent_mm = field_mm(volume)
    if max(extent_mm) < SMALLEST_HEAD_MM:
        msg = (
            f"the scan: expected a whole head, at least {SMALLEST_HEAD_MM:g} mm each way, found"
            f" {_size(extent_mm)}; if it is the box around one hippocampus, add --crop and"
            " --side left or right"
        )
        raise ScanError(Refusal.FIELD_TOO_SMALL, msg)
    if min(extent_mm) < SMALLEST_HEAD_MM:
        msg = (
            f"the scan: expected a whole head, at least {SMALLEST_HEAD_MM:g} mm each way, found a"
            f" field of {_size(extent_mm)} that cuts it; give a scan of the whole head"
        )
        raise ScanError(Refusal.FIELD_TOO_SMALL, msg)
    _check_spacing(volume, COARSEST_HEAD_MM)


def check_crop(volume: Volume) -> None:
    """Refuse what is no MR box around one hippocampus: CT, a whole head, a sliver."""
    _check_mr(volume)
    extent_mm = field_mm(volume)
    if max(extent_mm) > LARGEST_CROP_MM:
        msg = (
            f"the scan: expected with --crop a box around one hippocampus, at most"
            f" {LARGEST_CROP_MM:g} mm each way, found {_size(extent_mm)}; leave --crop out"
        )
        raise ScanError(Refusal.BAD_OPTION, msg)
    if min(extent_mm) < SMALLEST_CROP_MM:
        msg = (
            f"the scan: expected with --crop a box around one hippocampus, at least"
            f" {SMALLEST_CROP_MM:g} mm each way, found {_size(extent_mm)}; cut a larger box"
        )
        raise ScanError(Refusal.FIELD_TOO_SMALL, msg)
    _check_spacing(volume, COARSEST_CROP_MM)


def field_mm(volume: Volume) -> tuple[float, float, float]:
    """Return the lengths of the field along i, j and k, from the outer faces of its voxels."""
    i, j, k = np.multiply(volume.geometry.shape, volume.geometry.spacing_mm)
    return float(i), float(j), float(k)


def has_hounsfield_air(volume: Volume) -> bool:
    """Whether so many values lie near those of air in CT that they can be nothing else."""
    return float(np.mean(volume.array <= AIR_HU)) >= LEAST_AIR_SHARE


def _check_mr(volume: Volume) -> None:
    if volume.modality not in {"MR", "unknown"}:
        msg = f"the scan: expected MR, found {volume.modality}; give a T1 MR of the head"
        raise ScanError(Refusal.NOT_MR, msg)
    if volume.modality == "unknown" and has_hounsfield_air(volume):
        msg = (
            f"the scan: expected MR, found the values of CT, down to {volume.array.min():.0f};"
            " give a T1 MR of the head"
        )
        raise ScanError(Refusal.NOT_MR, msg)


def _check_spacing(volume: Volume, coarsest_mm: float) -> None:
    coarse_mm = max(volume.geometry.spacing_mm)
    if coarse_mm > coarsest_mm:
        msg = (
            f"the scan: expected voxels of at most {coarsest_mm:g} mm, found {coarse_mm:.3g} mm;"
            " give a scan with thinner slices"
        )
        raise ScanError(Refusal.TOO_COARSE, msg)


def _size(extent_mm: tuple[float, float, float]) -> str:
    return " x ".join(f"{length:.0f}" for length in extent_mm) + " mm"
