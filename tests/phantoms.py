"""Scans and masks whose right answer is a formula, on any grid."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy.spatial.transform import Rotation

from segment.geometry import Geometry
from segment.segmentation import Segmentation
from segment.volume import Volume

STRUCTURES = ("background", "hippocampus anterior", "hippocampus posterior")
INSIDE, OUTSIDE = 900.0, 300.0


@dataclass(frozen=True, eq=False)
class Phantom:
    """A bright body in a dark field, its mask, and its true volume."""

    volume: Volume
    mask: Bool[np.ndarray, "i j k"]
    volume_ml: float

    @property
    def geometry(self) -> Geometry:
        return self.volume.geometry


def grid(
    spacing_mm=(1.0, 1.0, 1.0),
    *,
    field_mm=60.0,
    centre_mm=(0.0, 0.0, 0.0),
    rotation_deg=(0.0, 0.0, 0.0),
    shear=0.0,
    axes="RAS",
):
    """Cover a cube of ``field_mm`` with voxels.

    ``axes`` names the direction in which i, j and k grow ("LPS", "SAR" ...), ``rotation_deg``
    then turns the grid about x, y and z, and ``shear`` moves each slice by that share of its
    distance along i, as a tilted gantry does.
    """
    directions = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    linear = np.zeros((3, 3))
    for column, letter in enumerate(axes):
        row, sign = directions[letter]
        linear[row, column] = sign * spacing_mm[column]
    linear = Rotation.from_euler("xyz", rotation_deg, degrees=True).as_matrix() @ linear
    tilt = np.eye(3)
    tilt[0, 2] = shear * spacing_mm[2] / spacing_mm[0]
    affine = np.eye(4)
    affine[:3, :3] = linear @ tilt
    shape = tuple(round(field_mm / s) for s in spacing_mm)
    affine[:3, 3] = np.asarray(centre_mm) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Geometry(shape, affine)


def world_of(geometry):
    """Place every voxel centre in the world, as ``i j k 3`` millimetres."""
    indices = np.indices(geometry.shape).reshape(3, -1).T.astype(np.float64)
    return geometry.to_world(indices).reshape(*geometry.shape, 3)


def ellipsoid(geometry, semi_axes_mm, centre_mm=(0.0, 0.0, 0.0)):
    """Fill an ellipsoid along the world axes; its volume is 4/3 pi a b c."""
    distance = (world_of(geometry) - np.asarray(centre_mm)) / np.asarray(semi_axes_mm)
    mask = (distance**2).sum(axis=-1) <= 1.0
    array = np.where(mask, INSIDE, OUTSIDE).astype(np.float32)
    volume = Volume(array, geometry, sha256="phantom", modality="MR", sequence="T1")
    return Phantom(volume, mask, 4 / 3 * math.pi * math.prod(semi_axes_mm) / 1000)


def ball(geometry, radius_mm, centre_mm=(0.0, 0.0, 0.0)):
    """Fill a ball; its volume is 4/3 pi r^3."""
    return ellipsoid(geometry, (radius_mm,) * 3, centre_mm)


def segmentation_of(phantom, side="left", *, members=1, divide_y_mm=None):
    """Segment a phantom exactly: anterior in front of ``divide_y_mm``, posterior behind it."""
    y_mm = world_of(phantom.geometry)[..., 1]
    divide = y_mm[phantom.mask].mean() if divide_y_mm is None else divide_y_mm
    labels = np.where(phantom.mask, np.where(y_mm > divide, 1, 2), 0)
    one = (labels[None] == np.arange(3)[:, None, None, None]).astype(np.float32)
    return Segmentation(
        probability=np.repeat(one[None], members, axis=0),
        structures=STRUCTURES,
        side=side,
        geometry=phantom.geometry,
        model="phantom",
    )
