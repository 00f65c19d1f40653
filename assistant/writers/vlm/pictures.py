"""From a scan to the pictures that a model sees: slices of the head, close views of structures.

Knows nothing of models. Every picture is laid through the patient's own axes, in the radiological
convention, whatever the scan's orientation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64

from assistant.views import Plane, centre_of, planes
from segment.geometry import Geometry
from segment.resample import sample
from segment.segmentation import Segmentation
from segment.volume import Volume

CLOSE_MM = 48.0  # a hippocampus of 40 mm and a little around it
HEAD_MM = 224.0  # from the vertex to the base of the skull, around the structures
IMAGE_PX = 192
WINDOW_PERCENTILES = (0.5, 99.5)  # as the pictures that the tower was trained on
HEAD = "head"

Scope = Literal["head", "crop"]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Grey pictures of 0..1, and of each what it shows, in words and without a digit."""

    pixels: Float32[np.ndarray, "picture h w"]
    captions: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.captions) != len(self.pixels):
            msg = f"{len(self.pixels)} pictures have {len(self.captions)} captions"
            raise ValueError(msg)
        pixels = self.pixels.view()
        pixels.flags.writeable = False
        object.__setattr__(self, "pixels", pixels)


def pick(
    volume: Volume,
    subjects: Mapping[str, Segmentation],
    scope: Scope,
    *,
    image_px: int = IMAGE_PX,
) -> Pictures:
    """Pick a study's pictures: axial, coronal and sagittal, of the head and of each structure.

    ``subjects`` names what was segmented ("left hippocampus"). The slices of a head pass through
    the middle of all of it; where nothing was segmented, through the middle of the scan. A
    ``crop`` shows no head: its planes are those of its structures, or of its field if it has none.
    """
    wanted = []
    if scope == "head" or not subjects:
        name, side_mm = (HEAD, HEAD_MM) if scope == "head" else ("crop", CLOSE_MM)
        wanted.append((name, _middle(volume, list(subjects.values())), side_mm))
    wanted += [(name, centre_of(found), CLOSE_MM) for name, found in subjects.items()]
    pixels, captions = [], []
    for name, centre_mm, side_mm in wanted:
        three = planes(centre_mm, "radiological")
        pixels.append(view(volume, three, side_mm, image_px))
        captions += [f"{name}, {plane.name}" for plane in three]
    return Pictures(np.concatenate(pixels), tuple(captions))


def view(
    volume: Volume, through: Sequence[Plane], side_mm: float, image_px: int
) -> Float32[np.ndarray, "picture h w"]:
    """Sample squares of ``side_mm`` along planes, in one window of grey; outside is black."""
    read = [sample(volume, grid(plane, side_mm, image_px)) for plane in through]
    values = np.stack([array[..., 0] for array, _ in read])
    return windowed(values, np.stack([inside[..., 0] for _, inside in read]))


def grid(plane: Plane, side_mm: float, image_px: int) -> Geometry:
    """Lay a grid of one slice over a square of a plane: rows, then columns."""
    pixel_mm = side_mm / image_px
    axes = np.stack([plane.down, plane.right, np.cross(plane.down, plane.right)], axis=1)
    affine = np.eye(4)
    affine[:3, :3] = axes * pixel_mm
    corner = np.array([(image_px - 1) / 2, (image_px - 1) / 2, 0.0])
    affine[:3, 3] = plane.centre_mm - affine[:3, :3] @ corner
    return Geometry((image_px, image_px, 1), affine)


def windowed(
    values: Float32[np.ndarray, "picture h w"], inside: Bool[np.ndarray, "picture h w"]
) -> Float32[np.ndarray, "picture h w"]:
    """Scale the middle 99 % of the values inside a scan's field to 0..1; the rest is clipped."""
    if not inside.any():
        return np.zeros_like(values)
    lower, upper = np.percentile(values[inside], WINDOW_PERCENTILES)
    span = max(float(upper - lower), float(np.finfo(np.float32).tiny))
    scaled = np.clip((values.astype(np.float64) - lower) / span, 0.0, 1.0)
    return np.where(inside, scaled, 0.0).astype(np.float32)


def _middle(volume: Volume, found: Sequence[Segmentation]) -> Float64[np.ndarray, " 3"]:
    """Place the middle of everything segmented; of the scan's field where that is nothing."""
    seen = [centre_of(each) for each in found if (each.labels > 0).any()]
    if not seen:
        return volume.geometry.centre_mm
    return np.asarray(np.mean(seen, axis=0))
