"""Where a head lies: affine registration to the MNI152 template, and whether to trust it.

Knows nothing of organs or networks.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from segment.geometry import Geometry
from segment.measurement import Reason
from segment.register.optimise import (
    COARSE_MM,
    MEDIUM_MM,
    SEED,
    matrix_of,
    optimise,
    rigid,
    similarity_of,
)
from segment.register.search import ROTATIONS, search
from segment.register.targets import FINE_MM, isotropic, targets, template
from segment.volume import Volume

__all__ = ["SEED", "Registration", "doubt", "isotropic", "register", "template"]
RIVALS = 10
FAN_DEGREES = (-30.0, 30.0, -60.0, 60.0, -90.0, 90.0)
SAME_PLACE_MM = 10.0
GOOD_FIT = 0.55  # a start in the header's own orientation that fits so well needs no rival
# Below these a registration is not trusted. Right ones on six real heads (stripped, with contrast
# medium, slices of 4.8 mm, a side cut off) correlate at 0.59 or more; wrong ones and pictures of no
# head at 0.5 or less. tests/benchmarks/heads.py prints them.
LEAST_SIMILARITY = 0.52
DETERMINANTS = (0.4, 1.7)  # the MNI152 brain is large: 0.6 on two stripped heads of normal size
STRETCHES = (0.65, 1.35)
LARGEST_ANISOTROPY = 1.3  # right ones reach 1.15; a stripped brain fits itself askew at 1.7
LARGEST_ROTATION_DEGREES = 110.0  # lying on a side is 90; beyond, the header must be wrong


@dataclass(frozen=True, eq=False)
class Registration:
    """An affine map from template millimetres to scan millimetres, and how well it fits.

    ``similarity`` is the correlation of template and scan inside the template's brain and its
    rim, in -1..1; ``determinant`` the volume of the head relative to the template's;
    ``rotation_degrees`` the angle of the rigid part; ``inside`` the share of the template's brain
    that the scan's field holds.
    """

    template_to_scan: Float64[np.ndarray, "4 4"]
    similarity: float
    inside: float

    @property
    def determinant(self) -> float:
        """Volume of the template's brain in this head, relative to the template's."""
        return float(np.linalg.det(self.template_to_scan[:3, :3]))

    @property
    def stretch(self) -> Float64[np.ndarray, " 3"]:
        """The three principal scales of the affine, largest first."""
        return np.linalg.svd(self.template_to_scan[:3, :3], compute_uv=False)

    @property
    def anisotropy(self) -> float:
        """The largest principal scale over the smallest."""
        return float(self.stretch[0] / max(float(self.stretch[-1]), 1e-9))

    @property
    def rotation(self) -> Float64[np.ndarray, "3 3"]:
        """The rigid part of the affine: the rotation nearest to it (polar decomposition)."""
        u, _, vt = np.linalg.svd(self.template_to_scan[:3, :3])
        return np.asarray(u @ vt)

    @property
    def rotation_degrees(self) -> float:
        """How far the head is turned from the template's orientation."""
        cosine = (float(np.trace(self.rotation)) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    def box(self, centre_mm: tuple[float, float, float], shape: tuple[int, int, int]) -> Geometry:
        """Lay a 1 mm box, turned with the head and not scaled, around a point of the template."""
        affine = np.eye(4)
        affine[:3, :3] = self.rotation
        middle = self.template_to_scan @ np.array([*centre_mm, 1.0])
        affine[:3, 3] = middle[:3] - self.rotation @ ((np.array(shape) - 1) / 2)
        return Geometry(shape, affine)


def register(volume: Volume) -> Registration:
    """Bring the template onto a head, from whatever orientation and field it has.

    The header's own orientation is tried first. Where it does not fit well, a search over all
    rotations and translations at 12 mm (masked normalised cross-correlation, Padfield 2012) gives
    rivals. Every start is refined rigidly (correlation, 8 mm) and the best ones affinely (Mattes
    mutual information, 4 mm); the one that correlates best inside the brain wins and is refined
    at 2 mm.
    """
    moving = isotropic(volume, FINE_MM)
    (upright,) = search(moving, rotations=1)
    fitted = [_fit(moving, rigid(moving, upright))]
    if not _is_good(*fitted[0]):
        for start in _rivals(moving, upright):
            fitted.append(_fit(moving, start))
            if _is_good(*fitted[-1]):
                break
    best = max(fitted, key=lambda entry: (_is_good(*entry), entry[0]))[1]
    brain, _ = targets()
    best = optimise(brain, moving, best, FINE_MM, step_mm=0.5)
    similarity, inside = similarity_of(brain, moving, best, FINE_MM)
    return Registration(matrix_of(best), similarity, inside)


def _fit(moving: sitk.Image, start: sitk.AffineTransform) -> tuple[float, sitk.AffineTransform]:
    """Refine one rigid start down to 4 mm; return how well it fits, and the transform."""
    brain, painted = targets()
    fitted = optimise(painted, moving, start, MEDIUM_MM, step_mm=0.5)
    fitted = optimise(brain, moving, fitted, MEDIUM_MM, step_mm=0.5)
    return similarity_of(brain, moving, fitted, MEDIUM_MM)[0], fitted


def _is_good(similarity: float, transform: sitk.AffineTransform) -> bool:
    """Whether a fit needs no rival: it correlates well, and not by stretching the head."""
    found = Registration(matrix_of(transform), similarity, 1.0)
    return similarity >= GOOD_FIT and found.anisotropy <= LARGEST_ANISOTROPY


def _rivals(moving: sitk.Image, upright: sitk.AffineTransform) -> list[sitk.AffineTransform]:
    """Start from turns about each axis and from a search over all orientations.

    All are refined rigidly; those that end in one place count once; the better fit comes first.
    """
    _, painted = targets()
    starts = [
        _turned_start(upright, axis, degrees) for axis in np.eye(3) for degrees in FAN_DEGREES
    ]
    starts += search(moving, rotations=ROTATIONS)
    refined = [rigid(moving, start) for start in starts]
    refined.sort(key=lambda t: -similarity_of(painted, moving, t, COARSE_MM)[0])
    kept: list[sitk.AffineTransform] = []
    for transform in refined:
        if all(_apart_mm(transform, other) > SAME_PLACE_MM for other in kept):
            kept.append(transform)
    return kept[:RIVALS]


def _turned_start(
    upright: sitk.AffineTransform, axis: Float64[np.ndarray, " 3"], degrees: float
) -> sitk.AffineTransform:
    """Turn a start about the middle of the template's brain."""
    turned = sitk.AffineTransform(upright)
    rotation = Rotation.from_rotvec(np.radians(degrees) * axis)
    turned.SetMatrix(rotation.as_matrix().ravel())
    return turned


def _apart_mm(one: sitk.AffineTransform, other: sitk.AffineTransform) -> float:
    """Return how far apart two transforms put the edge of the brain, at most."""
    points = np.array([[x, y, z, 1.0] for x in (-60, 60) for y in (-90, 60) for z in (-40, 70)])
    difference = points @ (matrix_of(one) - matrix_of(other)).T
    return float(np.linalg.norm(difference[:, :3], axis=1).max())


def doubt(registration: Registration) -> Reason | None:
    """Return why a registration cannot be trusted; None if it can.

    A header that mirrors the head makes the best fit a half turn, which would swap the sides: a
    turn that no patient lies in is refused. A head mirrored left to right looks like a head; no
    picture can tell.
    """
    least, most = STRETCHES
    is_fit = (
        registration.similarity >= LEAST_SIMILARITY
        and DETERMINANTS[0] <= registration.determinant <= DETERMINANTS[1]
        and least <= registration.stretch.min()
        and registration.stretch.max() <= most
        and registration.anisotropy <= LARGEST_ANISOTROPY
    )
    if not is_fit:
        return Reason.REGISTRATION_UNTRUSTED
    if registration.rotation_degrees > LARGEST_ROTATION_DEGREES:
        return Reason.ORIENTATION_IMPLAUSIBLE
    return None
