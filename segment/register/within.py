"""Two series of one examination brought onto each other, whatever their contrast.

Each is registered rigidly to the other by mutual information, and both results are averaged, as
scans of two dates are. Knows nothing of roles, of what a series shows, or of heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float64
from scipy import ndimage

from segment.measurement import Reason
from segment.register.optimise import MEDIUM_MM, information_of, matrix_of, refine_rigid
from segment.register.pair import mean_rigid
from segment.register.targets import FINE_MM, Target, isotropic
from segment.volume import Volume

# Printed by tests/benchmarks/roles.py: MR series of one head share 0.17 or more, of slices of 5 mm
# too, and those of two heads 0.12 or less. No CT or PET of a head was at hand.
LEAST_INFORMATION = 0.14
LEAST_INSIDE = 0.5
LARGEST_DISAGREEMENT_MM = 2.0
DARK_SHARE = 0.1  # of the range of grey values, below which nothing is looked at
AROUND_MM = 6.0
REACH_MM = 70.0  # of the points at which two maps are held against each other


@dataclass(frozen=True, eq=False)
class Within:
    """A rigid map from the millimetres of one series to those of another, and how well it fits.

    ``information`` is the share of what both hold that is the same, 0 to 1, the lower of both
    directions; ``inside`` the share of the first that the field of the second holds;
    ``disagreement_mm`` how far apart both directions put a point 70 mm from the middle at most.
    """

    matrix: Float64[np.ndarray, "4 4"]
    information: float
    inside: float
    disagreement_mm: float


def align_within(measured: Volume, other: Volume) -> Within:
    """Bring one series onto another of the same examination.

    Tried are where the scanner put them, which is right unless somebody moved, and their middles
    on each other, for files that share no coordinates.
    """
    first, second = (_Bright.of(volume) for volume in (measured, other))
    starts = [np.eye(4), _shift(second.middle_mm - first.middle_mm)]
    there = _refined(first, second, starts)
    back = _refined(second, first, [np.linalg.inv(start) for start in starts])
    returned = np.linalg.inv(back)
    corners = np.array([[x, y, z, 0.0] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    points = REACH_MM * corners + np.array([*first.middle_mm, 1.0])
    apart = np.linalg.norm((points @ (returned - there).T)[:, :3], axis=1)
    matrix = mean_rigid_around([there, returned], first.middle_mm)
    shared, inside = information_of(first.target, second.image, matrix, FINE_MM)
    other_way, _ = information_of(second.target, first.image, np.linalg.inv(matrix), FINE_MM)
    return Within(matrix, min(shared, other_way), inside, float(apart.max()))


def doubt(within: Within) -> Reason | None:
    """Return why two series cannot be taken as aligned; None if they can."""
    is_fit = (
        within.information >= LEAST_INFORMATION
        and within.inside >= LEAST_INSIDE
        and within.disagreement_mm <= LARGEST_DISAGREEMENT_MM
    )
    return None if is_fit else Reason.NOT_ALIGNED


def mean_rigid_around(
    matrices: Sequence[Float64[np.ndarray, "4 4"]], middle_mm: Float64[np.ndarray, " 3"]
) -> Float64[np.ndarray, "4 4"]:
    """Average rigid maps around a point, so that where the origin lies changes nothing."""
    to, back = _shift(middle_mm), _shift(-middle_mm)
    return np.asarray(mean_rigid([matrix @ to for matrix in matrices]) @ back)


@dataclass(frozen=True, eq=False)
class _Bright:
    """A series as cubes, and where it is bright."""

    image: sitk.Image
    target: Target
    middle_mm: Float64[np.ndarray, " 3"]

    @classmethod
    def of(cls, volume: Volume) -> "_Bright":
        image = isotropic(volume, FINE_MM)
        array = sitk.GetArrayFromImage(image)
        low, high = float(array.min()), float(array.max())
        bright = array > low + DARK_SHARE * (high - low)
        around = ndimage.binary_dilation(bright, iterations=round(AROUND_MM / FINE_MM))
        mask = sitk.GetImageFromArray(around.astype(np.uint8))
        mask.CopyInformation(image)
        centre = np.argwhere(bright).mean(axis=0)[::-1] if bright.any() else np.zeros(3)
        middle_mm = np.array(image.TransformContinuousIndexToPhysicalPoint(centre.tolist()))
        return cls(image, Target(image, mask), middle_mm)


def _refined(
    fixed: _Bright, moving: _Bright, starts: Sequence[Float64[np.ndarray, "4 4"]]
) -> Float64[np.ndarray, "4 4"]:
    """Refine rigid starts at 4 mm, and the one that tells most at 2 mm."""
    coarse = [_step(fixed, moving, start, MEDIUM_MM) for start in starts]
    best = max(coarse, key=lambda one: information_of(fixed.target, moving.image, one, MEDIUM_MM))
    return _step(fixed, moving, best, FINE_MM)


def _step(
    fixed: _Bright, moving: _Bright, start: Float64[np.ndarray, "4 4"], spacing_mm: float
) -> Float64[np.ndarray, "4 4"]:
    centre_mm = fixed.middle_mm
    found = refine_rigid(
        fixed.target, moving.image, start, centre_mm, spacing_mm, metric="information"
    )
    return matrix_of(found)


def _shift(by_mm: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, "4 4"]:
    matrix = np.eye(4)
    matrix[:3, 3] = by_mm
    return matrix
