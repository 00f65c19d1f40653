"""Uptake on the PET's own grid, or carried onto a CT's. Knows nothing of lesions or of organs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from segment.errors import Refusal, ScanError
from segment.geometry import MM3_PER_ML, Geometry
from segment.volume import Volume


@dataclass(frozen=True, eq=False)
class Uptake:
    """Standardised uptake by body weight, in g/mL; ``inside`` marks the PET's own field.

    Outside of it nothing is known, and ``suv`` is 0.
    """

    suv: Float32[np.ndarray, "i j k"]
    geometry: Geometry
    inside: Bool[np.ndarray, "i j k"]

    def __post_init__(self) -> None:
        if not self.suv.shape == self.inside.shape == self.geometry.shape:
            raise ScanError(
                Refusal.WRONG_GRID,
                f"the uptake {self.suv.shape} does not fill the grid {self.geometry.shape};"
                " resample it to it",
            )
        for name in ("suv", "inside"):
            array = getattr(self, name).view()
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel."""
        return self.geometry.voxel_volume_mm3 / MM3_PER_ML

    @property
    def total_g(self) -> float:
        """The sum of uptake times volume over the field: the activity, in units of uptake."""
        return float(self.suv.sum(where=self.inside, dtype=np.float64)) * self.voxel_ml


@dataclass(frozen=True)
class Carried:
    """What became of a PET on its way to another grid.

    ``covered`` is the share of the PET's voxels that lie in the other field; ``kept`` is the
    activity on the other grid as a share of the activity of those voxels, None where that is not
    above 0; the two maxima are the highest uptake of those voxels, and that on the other grid.
    """

    covered: float
    kept: float | None
    own_max: float
    carried_max: float


def uptake_of(volume: Volume) -> Uptake:
    """Take a PET on its own voxels, of which none is changed."""
    return Uptake(volume.array, volume.geometry, np.ones(volume.geometry.shape, bool))


def uptake_on(volume: Volume, grid: Geometry) -> Uptake:
    """Carry a PET onto another grid by linear interpolation of its voxels' centres.

    Linear, since splines overshoot: no value is higher than that of a voxel of the PET, and a
    uniform region keeps its activity. Raises ScanError where the two fields have nothing in common.
    """
    suv = np.zeros(grid.shape, np.float32)
    inside = np.zeros(grid.shape, bool)
    for k, points, where in _planes(grid, volume.geometry):
        if where.any():
            plane = np.zeros(where.size, np.float32)
            plane[where] = ndimage.map_coordinates(
                volume.array, points[where].T, order=1, mode="nearest"
            )
            suv[:, :, k], inside[:, :, k] = _plane(plane, grid), _plane(where, grid)
    if not inside.any():
        raise ScanError(
            Refusal.WRONG_GRID,
            "the CT: expected one that overlaps the PET, found it elsewhere in space; give the CT"
            " of the same session",
        )
    return Uptake(suv, grid, inside)


def carried(volume: Volume, uptake: Uptake) -> Carried:
    """Compare a PET with what was carried onto another grid, over what both fields show."""
    total, count, own_max = 0.0, 0, -np.inf
    for k, _, where in _planes(volume.geometry, uptake.geometry):
        values = volume.array[:, :, k][_plane(where, volume.geometry)]
        if values.size:
            total += float(values.sum(dtype=np.float64))
            count += values.size
            own_max = max(own_max, float(values.max()))
    own_g = total * volume.geometry.voxel_volume_mm3 / MM3_PER_ML
    return Carried(
        covered=count / volume.array.size,
        kept=uptake.total_g / own_g if own_g > 0 else None,
        own_max=own_max,
        carried_max=float(uptake.suv.max(where=uptake.inside, initial=-np.inf)),
    )


def _planes(
    grid: Geometry, source: Geometry
) -> Iterator[tuple[int, Float64[np.ndarray, "n 3"], Bool[np.ndarray, " n"]]]:
    """Say of each plane of a grid where its voxels lie among another's, and whether inside."""
    flat = np.indices((*grid.shape[:2], 1)).reshape(3, -1).T.astype(np.float64)
    edge = np.array(source.shape) - 0.5
    for k in range(grid.shape[2]):
        flat[:, 2] = k
        points = source.to_indices(grid.to_world(flat))
        yield k, points, np.asarray(((points > -0.5) & (points < edge)).all(axis=1))


def _plane(values: np.ndarray, grid: Geometry) -> np.ndarray:
    return values.reshape(grid.shape[:2])
