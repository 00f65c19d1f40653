"""Where the voxels of a scan lie in the patient. Knows nothing of intensities."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from segment.errors import Refusal, ScanError

MM3_PER_ML = 1000.0
SMALLEST_VOXEL_MM3 = 1e-9


@dataclass(frozen=True, eq=False)
class Geometry:
    """A voxel grid in patient space.

    ``affine`` (4 x 4) takes voxel indices ``i j k`` to world millimetres ``x y z`` with RAS+ axes:
    x grows to the patient's right, y to the front, z to the head (the NIfTI-1 convention).
    Grids may be oblique and sheared.
    """

    shape: tuple[int, int, int]
    affine: Float64[np.ndarray, "4 4"]

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ScanError(
                Refusal.WRONG_DIMENSIONS,
                f"the grid {self.shape} is not three positive numbers of voxels",
            )
        finite = bool(np.isfinite(affine).all())
        if not finite or abs(np.linalg.det(affine[:3, :3])) < SMALLEST_VOXEL_MM3:
            raise ScanError(
                Refusal.SINGULAR_AFFINE,
                "the affine is singular or not finite, so voxels have no size; export it again",
            )

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge lengths along i, j and k."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel; exact for sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def centre_mm(self) -> Float64[np.ndarray, " 3"]:
        """World position of the middle of the grid."""
        return np.asarray(self.to_world((np.array([self.shape], dtype=np.float64) - 1) / 2)[0])

    def to_world(self, indices: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        """Take voxel indices, one a row, to world millimetres."""
        return np.asarray(indices @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_indices(self, points_mm: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
        """Take world millimetres, one point a row, to voxel indices that need not be whole."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(points_mm @ inverse[:3, :3].T + inverse[:3, 3])

    def matches(self, other: "Geometry", *, atol_mm: float = 1e-3) -> bool:
        """Whether two grids put every voxel in the same place."""
        return self.shape == other.shape and bool(
            np.allclose(self.affine, other.affine, rtol=0, atol=atol_mm)
        )

    def block(self, start: tuple[int, int, int], shape: tuple[int, int, int]) -> "Geometry":
        """Cut the block of ``shape`` voxels that begins at ``start``, in the same places."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(np.array([start], dtype=np.float64))[0]
        return Geometry(shape, affine)
