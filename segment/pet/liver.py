"""The liver as the reference of uptake, as PERCIST takes it. Knows nothing of lesions.

Source: Wahl et al. 2009, "From RECIST to PERCIST", J Nucl Med 50 (suppl 1): a sphere of 3 cm in
diameter in the right lobe, and a lesion is measurable from 1.5 times its mean plus 2 standard
deviations on. PERCIST takes uptake by lean body mass. One factor per patient lies between that and
uptake by body weight, in the threshold and in the lesions alike, so the same voxels pass; the
numbers themselves differ.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.objects import Point
from segment.volume import Volume

RADIUS_MM = 15.0
TIMES_MEAN, TIMES_SD = 1.5, 2.0


@dataclass(frozen=True)
class LiverReference:
    """Uptake in the sphere, in g/mL, over its ``voxels``; ``sd`` is that of the sample."""

    centre_mm: Point
    mean: float
    sd: float
    voxels: int

    @property
    def threshold(self) -> float:
        """The level of PERCIST: 1.5 times the mean, plus 2 standard deviations."""
        return TIMES_MEAN * self.mean + TIMES_SD * self.sd


def liver_centre(liver: Bool[np.ndarray, "i j k"], geometry: Geometry) -> Point:
    """Find the place in the right of a liver that is farthest from its surface, for the sphere.

    Right is what lies to the patient's right of the liver's middle. Raises ScanError for a mask
    that is empty, or that holds no whole sphere there.
    """
    if not liver.any():
        raise _no_liver("found no voxel", "give the mask of the liver, or --liver-centre")
    (box,) = ndimage.find_objects(liver.astype(np.uint8))
    inside = np.pad(liver[box], 1)
    depths_mm = ndimage.distance_transform_edt(inside, sampling=geometry.spacing_mm)[
        1:-1, 1:-1, 1:-1
    ]
    start = np.array([side.start for side in box])
    voxels = np.argwhere(liver[box])
    points = geometry.to_world((voxels + start).astype(np.float64))
    is_right = points[:, 0] >= points[:, 0].mean()
    depths = np.where(is_right, depths_mm[tuple(voxels.T)], -1.0)
    centre = points[int(depths.argmax())]
    if not _holds(liver, geometry, centre):
        raise _no_liver(
            "found one that holds none", "give the whole liver, or the place with --liver-centre"
        )
    return float(centre[0]), float(centre[1]), float(centre[2])


def liver_reference(volume: Volume, centre_mm: Point) -> LiverReference:
    """Measure the sphere around a place on the PET's own voxels, those with their centres in it.

    Raises ScanError where it leaves the PET's field, has no uptake or is smaller than voxels.
    """
    geometry = volume.geometry
    middle = np.asarray(centre_mm, np.float64)
    corners = np.array(np.meshgrid(*[(-RADIUS_MM, RADIUS_MM)] * 3)).reshape(3, 8).T + middle
    ends = geometry.to_indices(corners)
    low = np.floor(ends.min(axis=0)).astype(int)
    high = np.ceil(ends.max(axis=0)).astype(int) + 1
    away = _away_mm(geometry, low, high, middle)
    voxels = np.argwhere(away <= RADIUS_MM) + low
    if len(voxels) < 2:
        raise _no_liver("found voxels too large for it", "give a PET of finer voxels")
    if (voxels < 0).any() or (voxels >= np.array(geometry.shape)).any():
        raise _no_liver("found it outside of the PET's field", "give a place inside of the liver")
    values = volume.array[tuple(voxels.T)].astype(np.float64)
    if values.mean() <= 0:
        raise _no_liver("found no uptake in it", "give a place inside of the liver")
    return LiverReference(centre_mm, float(values.mean()), float(values.std(ddof=1)), len(values))


def _holds(
    liver: Bool[np.ndarray, "i j k"], geometry: Geometry, centre: Float64[np.ndarray, " 3"]
) -> bool:
    """Whether a whole sphere around a place lies in the mask; what leaves the grid does not."""
    steps = np.linalg.norm(np.linalg.inv(geometry.affine[:3, :3]), axis=1) * RADIUS_MM
    middle = geometry.to_indices(centre[None])[0]
    low = np.floor(middle - steps).astype(int)
    high = np.ceil(middle + steps).astype(int) + 1
    voxels = np.argwhere(_away_mm(geometry, low, high, centre) <= RADIUS_MM) + low
    if (voxels < 0).any() or (voxels >= np.array(geometry.shape)).any():
        return False
    return bool(liver[tuple(voxels.T)].all())


def _away_mm(
    geometry: Geometry,
    low: np.ndarray,
    high: np.ndarray,
    centre: Float64[np.ndarray, " 3"],
) -> Float64[np.ndarray, "i j k"]:
    """Measure how far the voxels from ``low`` to before ``high`` lie from a place."""
    shape = tuple(int(n) for n in high - low)
    indices = np.indices(shape).reshape(3, -1).T + low
    points = geometry.to_world(indices.astype(np.float64))
    return np.asarray(np.linalg.norm(points - centre, axis=1)).reshape(shape)


def _no_liver(found: str, advice: str) -> ScanError:
    msg = f"the liver: expected a sphere of 3 cm in its right lobe, {found}; {advice}"
    return ScanError(Refusal.NO_LIVER, msg)
