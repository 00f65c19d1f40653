"""The surface of a structure in world millimetres, and what it encloses. Knows nothing of files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Float64, Integer
from scipy.ndimage import map_coordinates
from skimage.measure import marching_cubes
from trimesh import Trimesh
from trimesh.smoothing import filter_taubin

from segment.geometry import MM3_PER_ML, Geometry

Colour = tuple[int, int, int]
GREY: Colour = (200, 200, 200)
# Taubin 1995, "A signal processing approach to fair surface design": each pass shrinks by LAMBDA
# and swells by MU, with 1 / LAMBDA - 1 / MU = PASS_BAND: coarser shape than that keeps its size.
LAMBDA, PASS_BAND, PASSES = 0.5, 0.1, 10
REFILLS = 3  # each leaves about a tenth of what the volume was off
MU = 1 / (1 / LAMBDA - PASS_BAND)
TIE = 1e-6  # is outside, as among the labels


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles whose outside is counter-clockwise; one without a triangle is of nothing.

    ``uncertainty`` (0 to 1) stands at each point; where it is not known, ``colour`` is shown.
    """

    name: str
    points: Float64[np.ndarray, "n 3"]
    faces: Integer[np.ndarray, "m 3"]
    colour: Colour = GREY
    uncertainty: Float32[np.ndarray, " n"] | None = None

    @property
    def is_watertight(self) -> bool:
        """Whether it encloses a volume: each edge joins two triangles that agree on the outside."""
        return bool(len(self.faces) and self.mesh().is_volume)

    @property
    def volume_ml(self) -> float | None:
        """The volume inside, which is none where the surface is open."""
        return float(self.mesh().volume) / MM3_PER_ML if self.is_watertight else None

    def mesh(self) -> Trimesh:
        """Return it for trimesh, with its points and triangles in the same order."""
        return Trimesh(self.points, self.faces, process=False)

    def uncertain(self, array: Float32[np.ndarray, "i j k"], geometry: Geometry) -> "Surface":
        """Read an uncertainty, given voxel by voxel on any grid, at the points, linearly."""
        at = geometry.to_indices(self.points).T
        read = map_coordinates(array, at, order=1, mode="nearest")
        return replace(self, uncertainty=np.clip(read, 0, 1).astype(np.float32))


def lead(
    probability: Float32[np.ndarray, "structure i j k"], inside: Sequence[int]
) -> Float32[np.ndarray, "i j k"]:
    """Return by how much some structures are more probable than all others, from -1 to 1.

    It is above 0 where the most probable structure, which is the one that is counted, is one of
    them. A whole of several parts leads where any of them does.
    """
    outside = [n for n in range(len(probability)) if n not in inside]
    ours, theirs = (probability[list(chosen)].max(axis=0) for chosen in (inside, outside))
    return np.asarray(ours - theirs, dtype=np.float32)


def surface_of(
    name: str, field: Float32[np.ndarray, "i j k"], geometry: Geometry, *, passes: int = PASSES
) -> Surface:
    """Draw the surface on which a field passes 0: marching cubes, then smoothing that keeps size.

    What the filter still takes from thin structures, and adds to round ones, is made up for.

    What is above 0 in the outermost voxels may go on beyond them: the surface is open there. Of a
    field that is nowhere above 0 there is no triangle. Marching cubes are those of Lewiner et al.
    2003, which leave no crack.
    """
    if not field.min() <= TIE < field.max():
        return Surface(name, np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int32))
    points, faces, _, _ = marching_cubes(field, TIE)  # type: ignore[no-untyped-call]
    world = geometry.to_world(points.astype(np.float64))
    is_mirrored = np.linalg.det(geometry.affine[:3, :3]) < 0
    mesh = Trimesh(world, faces if is_mirrored else faces[:, ::-1], process=False)
    enclosed_mm3 = mesh.volume
    filter_taubin(mesh, LAMBDA, MU, iterations=2 * passes)
    if mesh.is_volume:
        mesh = _refilled(mesh, enclosed_mm3)
    return Surface(name, np.array(mesh.vertices, dtype=np.float64), np.array(mesh.faces))


def _refilled(mesh: Trimesh, enclosed_mm3: float) -> Trimesh:
    """Move a closed surface along its normals, everywhere as far, until it encloses a volume.

    Scaling it about its middle would move the ends of what is long and thin by a whole voxel.
    """
    for _ in range(REFILLS):
        away_mm = (enclosed_mm3 - mesh.volume) / mesh.area
        points = mesh.vertices + away_mm * mesh.vertex_normals
        mesh = Trimesh(points, mesh.faces, process=False)
    return mesh
