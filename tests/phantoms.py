"""Scans and masks whose right answer is a formula, on any grid."""

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool
from scipy.spatial.transform import Rotation

from segment import organs
from segment.calibration import Calibrated, Level
from segment.geometry import Geometry
from segment.register import Registration
from segment.segmentation import Segmentation
from segment.volume import Volume

STRUCTURES = ("background", "hippocampus anterior", "hippocampus posterior")
INSIDE, OUTSIDE = 900.0, 300.0
CASES = 60  # of the calibration


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


@dataclass(eq=False)
class ThresholdSegmenter:
    """A segmenter of phantoms without weights: what is bright is hippocampus, in front anterior.

    It keeps the boxes it was given in ``seen``; ``offsets`` are added to the probability of each
    member's hippocampus, so that members can be made to disagree.
    """

    offsets: tuple[float, ...] = (0.0, 0.0)
    seen: list = field(default_factory=list)
    name: str = "threshold-1"
    structures: tuple[str, ...] = STRUCTURES
    weights_sha256: str = "b" * 64
    runtime: str = "numpy"

    @property
    def seeds(self):
        return tuple(range(len(self.offsets)))

    def __call__(self, boxes):
        self.seen += boxes
        return [self._segment(box.array) for box in boxes]

    def _segment(self, array):
        bright = (array - OUTSIDE) / (INSIDE - OUTSIDE)
        middle = np.argwhere(bright > 0.5)[:, 1].mean() if (bright > 0.5).any() else 0
        in_front = (np.arange(array.shape[1]) > middle)[None, :, None]
        members = [np.clip(bright + offset, 0, 1) for offset in self.offsets]
        return np.stack([np.stack([1 - m, m * in_front, m * ~in_front]) for m in members]).astype(
            np.float32
        )


def calibrated(*, floor=0.04, least_agreement=0.7, thicknesses_mm=(1.0, 2.0, 3.0)):
    """Return a calibration of the hippocampus with round scores, at some slice thicknesses."""
    names = [structure.name for structure in organs.load("hippocampus").structures]
    scores = dict.fromkeys(names, tuple(np.linspace(0.1, 2.0, CASES).tolist()))
    signed = dict.fromkeys(names, tuple(np.linspace(-2.0, 2.0, CASES).tolist()))
    return Calibrated(
        id="phantoms",
        source="tests",
        floor=dict.fromkeys(names, floor),
        least_agreement=dict.fromkeys(names, least_agreement),
        temperature=(1.0, 1.0, 1.0),
        levels=tuple(Level(mm, signed, scores) for mm in thicknesses_mm),
    )


def registered(*, template_to_scan=None, similarity=0.9, inside=1.0):
    """Return a registration that says the head lies as the template does, and fits well."""
    affine = np.eye(4) if template_to_scan is None else template_to_scan
    return Registration(affine, similarity=similarity, inside=inside)


def head(spacing_mm=(2.0, 2.0, 2.0), *, semi_axes_mm=(6.0, 14.0, 8.0), **options):
    """Fill an ellipsoid where the template has each hippocampus; each is of ``volume_ml``."""
    geometry = grid(spacing_mm, **({"field_mm": 130.0} | options))
    sides = [
        ellipsoid(geometry, semi_axes_mm, centre)
        for centre in organs.load("hippocampus").centre_mni_mm.values()
    ]
    mask = np.logical_or.reduce([side.mask for side in sides])
    array = np.where(mask, INSIDE, OUTSIDE).astype(np.float32)
    volume = Volume(array, geometry, sha256="phantom", modality="MR", sequence="T1")
    return Phantom(volume, mask, sides[0].volume_ml)
