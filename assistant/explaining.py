"""Says of each structure what its volume hangs on, on the scan's own grid. Writes no files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32

from segment.geometry import Geometry
from segment.infer import Found, crop_box, head_boxes
from segment.models import Box
from segment.models.ensemble import Ensemble
from segment.models.explain import grad_cam, occlusion
from segment.organs import Organ
from segment.register import Registration
from segment.resample import block_around, carry
from segment.segmentation import Segmentation, Side
from segment.volume import Volume
from segment.width import width_share

GRAD_CAM, OCCLUSION, WIDTH = "grad_cam", "occlusion_ml", "interval_width"
HALF = 0.5

Map = Float32[np.ndarray, "i j k"]


@dataclass(frozen=True, eq=False)
class Explained:
    """Three maps of one structure of one side, each on the whole grid of the scan.

    ``grad_cam``: which places speak for it to the first network, 0 to 1. ``occlusion_ml``: by how
    many mL its volume falls where 8 mm around a voxel are hidden. ``interval_width``: the share of
    the members' disagreement that lies at each voxel of its surface.
    """

    structure: str
    segmentation: Segmentation
    maps: Mapping[str, Map]

    @property
    def side(self) -> Side:
        """Which side it is of."""
        return self.segmentation.side

    def strongest_change_ml(self) -> float:
        """Return by how much hiding something changes the volume most, below 0 where it falls."""
        falls = self.maps[OCCLUSION].ravel()
        return -float(falls[np.abs(falls).argmax()])

    def half_of_width(self) -> float:
        """Return the share of the surface that half of the disagreement lies on; 0 of none."""
        shares = np.sort(self.maps[WIDTH][self.maps[WIDTH] > 0])[::-1].astype(np.float64)
        if not shares.size:
            return 0.0
        needed = int(np.searchsorted(np.cumsum(shares), HALF * shares.sum())) + 1
        return needed / shares.size


def explain(
    volume: Volume,
    sides: Sequence[Found],
    boxes: Mapping[Side, tuple[Geometry, Box]],
    organ: Organ,
    name: str,
    ensemble: Ensemble,
) -> Iterator[Explained]:
    """Explain one structure of each side that was found, yielding each as it is ready.

    ``boxes`` are what the networks were given. Raises ValueError where they do not run in torch.
    """
    structure = organ.structure(name)
    for side in sides:
        grid, box = boxes[side.side]
        numbers = [side.segmentation.structures.index(label) for label in structure.labels]
        seen = grad_cam(ensemble, box, numbers)
        hidden = occlusion(ensemble, box, numbers)
        start, block = block_around(grid, volume.geometry)
        carried = carry(np.stack([seen, hidden]), grid, block)
        shares = width_share(side.segmentation, structure.labels)
        maps = {
            GRAD_CAM: _laid(carried[0], start, volume.geometry),
            OCCLUSION: _laid(carried[1], start, volume.geometry),
            WIDTH: _laid(shares, side.start, volume.geometry),
        }
        yield Explained(name, side.segmentation, maps)


def boxes_of(
    volume: Volume,
    organ: Organ,
    registration: Registration | None,
    side: Literal["left", "right"] | None,
) -> Mapping[Side, tuple[Geometry, Box]]:
    """Cut out what networks are given: of a registered head, or of a crop of one side."""
    if side is not None:
        return {side: crop_box(volume, side)}
    assert registration is not None
    grids, boxes = head_boxes(volume, organ, registration)
    return {which: (grids[which], boxes[which]) for which in grids}


def _laid(
    values: Map, start: tuple[int, int, int], geometry: Geometry
) -> Float32[np.ndarray, "i2 j2 k2"]:
    """Lay a block onto the whole grid."""
    whole = np.zeros(geometry.shape, np.float32)
    whole[tuple(slice(s, s + n) for s, n in zip(start, values.shape, strict=True))] = values
    return whole
