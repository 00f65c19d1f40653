"""Two scans of one head brought onto each other, and whether to trust it.

Each is registered rigidly to the other, and both results are averaged: which of the two came
first changes nothing. Knows nothing of organs, dates or networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from segment.measurement import Reason
from segment.register import Registration
from segment.register.optimise import MEDIUM_MM, matrix_of, refine_rigid, scale_of, similarity_of
from segment.register.targets import FINE_MM, Target, isotropic, targets
from segment.volume import Volume

# Printed by tests/benchmarks/followup.py: pairs of one head against pairs of two.
LEAST_SIMILARITY = 0.85
LARGEST_DISAGREEMENT_MM = 1.5
LARGEST_GROWTH = 1.03  # in volume, either way; printed by tests/benchmarks/head_size.py
MIDDLE = np.array([0.0, -20.0, 10.0, 1.0])  # of the template's brain


@dataclass(frozen=True, eq=False)
class Alignment:
    """A rigid map from the millimetres of one scan to those of another, and how well it fits.

    ``similarity`` is the correlation of both scans inside the brain, in -1..1, the lower of both
    directions; ``disagreement_mm`` how far apart both directions put a point of the brain at most.
    ``growth`` is the volume of the second scan's head over the first's, the one nearer to 1 of both
    directions: 1 where these say opposite things.
    """

    matrix: Float64[np.ndarray, "4 4"]
    similarity: float
    disagreement_mm: float
    growth: float = 1.0


def align(scans: tuple[Volume, Volume], found: tuple[Registration, Registration]) -> Alignment:
    """Bring the first of two scans onto the second, from where the template says they lie."""
    images = [isotropic(scan, FINE_MM) for scan in scans]
    start = _start(*found)
    there, fit_there = _refined(images[0], images[1], found[0], start)
    back, fit_back = _refined(images[1], images[0], found[1], np.linalg.inv(start))
    returned = np.linalg.inv(back)
    points = _brain_points(found[0])
    apart = np.linalg.norm((points @ (returned - there).T)[:, :3], axis=1)
    matrix = mean_rigid([there, returned])
    growth = _growth(
        _grown(images[0], images[1], found[0], matrix),
        1 / _grown(images[1], images[0], found[1], np.linalg.inv(matrix)),
    )
    return Alignment(matrix, min(fit_there, fit_back), float(apart.max()), growth)


def doubt(alignment: Alignment) -> Reason | None:
    """Return why an alignment cannot be trusted; None if it can."""
    is_fit = alignment.similarity >= LEAST_SIMILARITY
    is_agreed = alignment.disagreement_mm <= LARGEST_DISAGREEMENT_MM
    if not (is_fit and is_agreed):
        return Reason.NOT_ALIGNED
    is_alike = max(alignment.growth, 1 / alignment.growth) <= LARGEST_GROWTH
    return None if is_alike else Reason.OTHER_SIZE


def halfway(
    found: Sequence[Registration], to_scan: Sequence[Float64[np.ndarray, "4 4"]]
) -> tuple[Registration, ...]:
    """Place the template in the same way in all scans of one head, half-way between them.

    ``to_scan`` are the rigid maps from the first scan to each, itself included. The mean of where
    each scan by itself puts the template is carried to every scan: boxes laid by it hold the same
    tissue on every date, and each scan is still read once, on its own grid.
    """
    seen = [
        np.linalg.inv(matrix) @ one.template_to_scan
        for matrix, one in zip(to_scan, found, strict=True)
    ]
    middle = np.mean(seen, axis=0)
    return tuple(
        replace(one, template_to_scan=matrix @ middle)
        for matrix, one in zip(to_scan, found, strict=True)
    )


def mean_rigid(matrices: Sequence[Float64[np.ndarray, "4 4"]]) -> Float64[np.ndarray, "4 4"]:
    """Average rigid maps: their rotations on the sphere, their shifts in the middle of the head."""
    mean = np.eye(4)
    turns = Rotation.from_matrix(np.stack([matrix[:3, :3] for matrix in matrices]))
    mean[:3, :3] = turns.mean().as_matrix()
    mean[:3, 3] = np.mean([matrix[:3, 3] for matrix in matrices], axis=0)
    return mean


def _start(one: Registration, other: Registration) -> Float64[np.ndarray, "4 4"]:
    """Return the rigid map that puts the template's middle and axes of one scan on the other's."""
    start = np.eye(4)
    start[:3, :3] = other.rotation @ one.rotation.T
    here, there = ((found.template_to_scan @ MIDDLE)[:3] for found in (one, other))
    start[:3, 3] = there - start[:3, :3] @ here
    return start


def _brain_points(found: Registration) -> Float64[np.ndarray, "n 4"]:
    """List the corners of a box around the brain of a scan."""
    corners = [[x, y, z, 1.0] for x in (-60, 60) for y in (-90, 60) for z in (-40, 70)]
    return np.asarray(np.asarray(corners) @ found.template_to_scan.T)


def _refined(
    fixed: sitk.Image,
    moving: sitk.Image,
    found: Registration,
    start: Float64[np.ndarray, "4 4"],
) -> tuple[Float64[np.ndarray, "4 4"], float]:
    """Refine a rigid start inside the brain of the fixed scan; return it and how well it fits."""
    target = Target(fixed, _brain_mask(fixed, found))
    centre = (found.template_to_scan @ MIDDLE)[:3]
    for spacing_mm in (MEDIUM_MM, FINE_MM):
        transform = refine_rigid(target, moving, start, centre, spacing_mm)
        start = matrix_of(transform)
    return start, similarity_of(target, moving, transform, FINE_MM)[0]


def _grown(
    fixed: sitk.Image,
    moving: sitk.Image,
    found: Registration,
    matrix: Float64[np.ndarray, "4 4"],
) -> float:
    """Return the volume of the moving head over that of the fixed one."""
    target = Target(fixed, _brain_mask(fixed, found))
    centre = (found.template_to_scan @ MIDDLE)[:3]
    return scale_of(target, moving, matrix, centre, FINE_MM) ** 3


def _growth(one: float, other: float) -> float:
    """Return the growth that both directions agree on."""
    if (one - 1) * (other - 1) <= 0:
        return 1.0
    return min(one, other, key=lambda growth: abs(np.log(growth)))


def _brain_mask(fixed: sitk.Image, found: Registration) -> sitk.Image:
    """Carry the template's brain to a scan."""
    to_template = sitk.AffineTransform(3)
    inverse = np.linalg.inv(found.template_to_scan)
    to_template.SetMatrix(inverse[:3, :3].ravel())
    to_template.SetTranslation(inverse[:3, 3])
    return sitk.Resample(targets()[0].mask, fixed, to_template, sitk.sitkNearestNeighbor, 0)
