"""The boxes that networks learn from, cut out of a user's heads or taken as they come.

Knows nothing of networks. A box is written as the training data lie: 1 mm, right ones mirrored, and
ids 2k-1 and 2k are the left and the right side of subject k.
"""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from segment.adapt.scans import Labelled, renumbered
from segment.canonical import canonical, mirrored
from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.infer import BOX, side_box
from segment.masks.place import placed
from segment.register import Registration, doubt, register
from segment.resample import sample
from segment.resume import replacing
from segment.segmentation import Side

LARGEST_MISSED = 0.1  # of a structure outside the box: more than resampling its labels changes
ROOM = 4  # voxels that a box leaves around the structure at each side
Centre = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Crop:
    """One side of one scan on a 1 mm grid; ``labels`` hold the numbers of the structures."""

    side: Side
    image: Float32[np.ndarray, "i j k"]
    labels: UInt8[np.ndarray, "i j k"]
    geometry: Geometry

    def write(self, data: Path, name: str) -> None:
        """Write image and labels under a name in the two folders of the training data."""
        for kind, array in (("images", self.image), ("labels", self.labels)):
            picture = nibabel.Nifti1Image(array, self.geometry.affine)
            with replacing(data / kind / name) as temporary:
                temporary.write_bytes(gzip.compress(picture.to_bytes(), mtime=0))


def registered(labelled: Labelled, folder: Path) -> Registration:
    """Register a head, or read what was found before; raises ScanError where it does not fit."""
    path = folder / f"{labelled.picture}.json"
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        affine = np.array(found["affine"])
        registration = Registration(affine, found["similarity"], found["inside"])
    else:
        registration = register(labelled.volume)
        table = {
            "affine": registration.template_to_scan.tolist(),
            "similarity": registration.similarity,
            "inside": registration.inside,
        }
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(table), encoding="utf-8")
    if (reason := doubt(registration)) is not None:
        msg = f"{labelled.scan.name}: expected a head that fits the template, found one that does"
        raise ScanError(Refusal.WRONG_PICTURE, f"{msg} not ({reason}); take the scan away")
    return registration


def middles(
    labelled: Labelled, registration: Registration, sides: Sequence[Side]
) -> Iterator[Centre]:
    """Say where each side of a structure lies in the template's mm, the right one mirrored."""
    points = _in_template(labelled, registration)
    for side in sides:
        mine = points[_is_of(points, side)]
        if len(mine):
            x, y, z = (float(value) for value in mine.mean(axis=0))
            yield (-x if side == "right" else x, y, z)


def mean_place(places: Sequence[Centre]) -> Centre:
    """Average places, to tenths of a millimetre."""
    x, y, z = (round(float(value), 1) for value in np.mean(places, axis=0))
    return x, y, z


def mirrored_centres(centre: Centre, sides: Sequence[Side]) -> Mapping[Side, Centre]:
    """Return the place to look for each side, given that of the left or of the only one."""
    x, y, z = centre
    return {side: (-x, y, z) if side == "right" else centre for side in sides}


def crops_of_head(
    labelled: Labelled,
    registration: Registration,
    centres: Mapping[Side, Centre],
    numbers: Mapping[int, int],
) -> Iterator[Crop]:
    """Cut the box of each side that was drawn; raises ScanError for what no box holds."""
    volume, labels = labelled.volume, renumbered(labelled.labels, numbers)
    where = np.argwhere(labels > 0)
    points = _in_template(labelled, registration)
    for side, centre in centres.items():
        mine = np.zeros_like(labels)
        kept = tuple(where[_is_of(points, side)].T)
        mine[kept] = labels[kept]
        if not mine.any():
            continue
        grid = side_box(registration, centre, side)
        found, _ = placed(mine, volume.geometry, grid, labelled.scan.name, resample=True)
        _check_room(found > 0, mine, volume.geometry, labelled.scan.name)
        image, _ = sample(volume, grid)
        yield Crop(side, image, found.astype(np.uint8), grid)


def crop_of_box(labelled: Labelled, side: Side, numbers: Mapping[int, int]) -> Crop:
    """Take a scan that is the box around one structure, on 1 mm voxels."""
    volume = labelled.volume
    grid = canonical(volume.geometry)
    if side == "right":
        grid = mirrored(grid)
    labels = renumbered(labelled.labels, numbers)
    found, _ = placed(labels, volume.geometry, grid, labelled.scan.name, resample=True)
    image, _ = sample(volume, grid)
    return Crop(side, image, found.astype(np.uint8), grid)


def _in_template(labelled: Labelled, registration: Registration) -> Float32[np.ndarray, "n 3"]:
    """Return the labelled voxels in the template's millimetres."""
    indices = np.argwhere(labelled.labels > 0).astype(np.float64)
    world = labelled.volume.geometry.to_world(indices)
    back = np.linalg.inv(registration.template_to_scan)
    return (world @ back[:3, :3].T + back[:3, 3]).astype(np.float32)


def _is_of(points: Float32[np.ndarray, "n 3"], side: Side) -> Bool[np.ndarray, " n"]:
    """Mark the points of a side: x grows to the right in the template."""
    if side == "none":
        return np.ones(len(points), bool)
    return np.asarray(points[:, 0] < 0 if side == "left" else points[:, 0] >= 0)


def _check_room(
    found: Bool[np.ndarray, "i j k"], drawn: np.ndarray, geometry: Geometry, name: str
) -> None:
    """Refuse a structure that the networks' box does not hold with room around it."""
    inner = found[tuple(slice(ROOM, n - ROOM) for n in found.shape)]
    missed = int(drawn.astype(bool).sum()) * geometry.voxel_volume_mm3 - int(inner.sum())
    if missed > LARGEST_MISSED * inner.sum():
        size = " x ".join(str(n - 2 * ROOM) for n in BOX)
        msg = f"{name}: expected a structure that a box of {size} mm holds, found one that reaches"
        raise ScanError(Refusal.WRONG_LABELS, f"{msg} out of it; label a smaller part of it")
