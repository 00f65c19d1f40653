"""The lesions of one scan carried onto another's grid, each with its own number and volume.

Knows nothing of how the two scans were aligned, nor of what became of a lesion.
"""

import numpy as np
from jaxtyping import Float64

from segment.geometry import Geometry
from segment.objects import Lesions


def carried(lesions: Lesions, grid: Geometry, to_own: Float64[np.ndarray, "4 4"]) -> Lesions:
    """Lay lesions onto a grid by the nearest voxel; what is known of each stays that of its scan.

    ``to_own`` takes the millimetres of the grid's scan to those of the lesions' own. A lesion
    between the voxels of a coarser grid keeps its place in ``found`` and marks none.
    """
    labels = np.zeros(grid.shape, lesions.labels.dtype)
    flat = np.indices((*grid.shape[:2], 1)).reshape(3, -1).T.astype(np.float64)
    last = np.array(lesions.labels.shape)
    for k in range(grid.shape[2]):
        flat[:, 2] = k
        world = grid.to_world(flat) @ to_own[:3, :3].T + to_own[:3, 3]
        nearest = np.rint(lesions.geometry.to_indices(world)).astype(np.intp)
        inside = ((nearest >= 0) & (nearest < last)).all(axis=1)
        plane = np.zeros(len(flat), lesions.labels.dtype)
        plane[inside] = lesions.labels[tuple(nearest[inside].T)]
        labels[:, :, k] = plane.reshape(grid.shape[:2])
    return Lesions(labels, grid, lesions.found, lesions.smallest_mm3, lesions.left_out)
