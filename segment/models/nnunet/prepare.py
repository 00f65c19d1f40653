"""A scan made ready for a network and probabilities carried back. Knows no network.

The steps and their order are nnU-Net's: transpose, crop to what is not zero, normalise, resample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt16
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform
from scipy import ndimage
from skimage.transform import resize
from torch import Tensor

from segment.models.nnunet.plans import Plans, Resampling, Triple
from segment.volume import Volume

ANISOTROPIC = 3.0  # longest by shortest edge above which slices are resampled by themselves
TINY = 1e-8
CANONICAL = np.array([[0, 1], [1, 1], [2, 1]])  # right, front, head


@dataclass(frozen=True, eq=False)
class Reads:
    """The two places along an axis that each voxel is read from, and the second one's share."""

    low: Int64[np.ndarray, " n"]
    high: Int64[np.ndarray, " n"]
    share: Float32[np.ndarray, " n"]

    @classmethod
    def along(cls, length: int, source: int, *, is_nearest: bool) -> "Reads":
        """Read so many voxels evenly from a source of another length, as images are resized."""
        at = np.clip((np.arange(length) + 0.5) * source / length - 0.5, 0, source - 1)
        if is_nearest:
            at = np.floor(at + 0.5)
        low = np.floor(at).astype(np.int64)
        return cls(low, np.minimum(low + 1, source - 1), (at - low).astype(np.float32))

    def part(self, first: int, last: int, start: int) -> "Reads":
        """Return the reads of some of the voxels, from a source that begins at ``start``."""
        cut = slice(first, last)
        return Reads(self.low[cut] - start, self.high[cut] - start, self.share[cut])

    def read(self, tensor: Tensor, axis: int) -> Tensor:
        """Read a tensor along an axis."""
        low, high = (tensor.index_select(axis, torch.from_numpy(n)) for n in (self.low, self.high))
        shape = [-1 if axis == place else 1 for place in range(tensor.ndim)]
        return low.lerp_(high, torch.from_numpy(self.share).view(shape))


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image ``z y x`` for the network, and the way back to the scan's own grid."""

    image: Float32[np.ndarray, "z y x"]
    volume: Volume
    plans: Plans
    spacing_mm: tuple[float, ...]
    turned: Triple
    box: tuple[slice, slice, slice]

    @property
    def reads(self) -> tuple[Reads, Reads, Reads]:
        """Say from where in the image each voxel of the box is read, along each axis."""
        there, here, how = self.plans.spacing_mm, self.spacing_mm, self.plans.probabilities
        thick = _thick_axis(there, here, how.is_separate)
        z, y, x = (
            Reads.along(cut.stop - cut.start, n, is_nearest=axis == thick and how.order_z == 0)
            for axis, (cut, n) in enumerate(zip(self.box, self.image.shape, strict=True))
        )
        return z, y, x

    def laid(self, labels: UInt16[np.ndarray, "z y x"]) -> UInt16[np.ndarray, "i j k"]:
        """Lay labels of the box on the scan's grid; what was cropped away is background."""
        whole = np.zeros(self.turned, labels.dtype)
        whole[self.box] = labels
        turned = whole.transpose(np.argsort(self.plans.forward))
        return np.ascontiguousarray(_unturned(turned.T, self.volume, self.plans))

    def back(
        self, logits: Float32[np.ndarray, "class z y x"]
    ) -> Float32[np.ndarray, "class i j k"]:
        """Carry logits to the scan's grid as probabilities; what was cropped away is background."""
        shape = _triple([s.stop - s.start for s in self.box])
        plans = self.plans
        there, here = plans.spacing_mm, self.spacing_mm
        carried = resampled(logits, shape, there, here, plans.probabilities)
        carried = np.exp(carried - carried.max(axis=0))
        carried /= carried.sum(axis=0)
        whole = np.zeros((len(logits), *self.turned), np.float32)
        whole[0] = 1
        whole[(slice(None), *self.box)] = carried
        whole = whole.transpose(0, *(n + 1 for n in np.argsort(plans.forward)))
        return np.ascontiguousarray(
            np.stack([_unturned(one.T, self.volume, plans) for one in whole])
        )


def prepare(volume: Volume, plans: Plans) -> Prepared:
    """Make a scan ready."""
    array, spacing = _turned(volume, plans)
    image = array.T.transpose(plans.forward)
    spacing_mm = tuple(spacing[::-1][axis] for axis in plans.forward)
    turned = _triple(image.shape)
    inside = ndimage.binary_fill_holes(image != 0)
    box = _bounds(np.asarray(inside))
    cropped = np.array(image[box], dtype=np.float32)
    cropped = _normalised(cropped, np.asarray(inside)[box], plans)
    shape = _triple(
        [
            round(old / new * n)
            for old, new, n in zip(spacing_mm, plans.spacing_mm, cropped.shape, strict=True)
        ]
    )
    (ready,) = resampled(cropped[None], shape, spacing_mm, plans.spacing_mm, plans.data)
    return Prepared(ready, volume, plans, spacing_mm, turned, box)


def resampled(
    data: Float32[np.ndarray, "class z y x"],
    shape: Triple,
    old_mm: Sequence[float],
    new_mm: Sequence[float],
    how: Resampling,
) -> Float32[np.ndarray, "class z2 y2 x2"]:
    """Resample each channel; thick slices within themselves first, then across."""
    if data.shape[1:] == shape:
        return data
    axis = _thick_axis(old_mm, new_mm, how.is_separate)
    found = np.empty((len(data), *shape), np.float32)
    for place, channel in zip(found, data, strict=True):
        place[...] = _resized(channel, shape, axis, how)
    return found


def _resized(channel: np.ndarray, shape: Triple, axis: int | None, how: Resampling) -> np.ndarray:
    """Resample one channel, through splines in all directions or along slices and then across."""
    if axis is None:
        return _spline(channel, shape, how.order)
    moved = np.moveaxis(channel, axis, 0)
    flat = tuple(n for place, n in enumerate(shape) if place != axis)
    slices = np.stack([_spline(one, flat, how.order) for one in moved])
    if len(slices) != shape[axis]:
        places = len(slices) / shape[axis] * (np.arange(shape[axis]) + 0.5) - 0.5
        grid = np.stack(np.meshgrid(places, *map(np.arange, flat), indexing="ij"))
        order = cast(Literal[0, 1, 2, 3, 4, 5], how.order_z)
        slices = ndimage.map_coordinates(slices, grid, order=order, mode="nearest")
    return np.moveaxis(slices, 0, axis)


def _spline(array: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    options = {"order": order, "mode": "edge", "anti_aliasing": False}
    found: np.ndarray = resize(array, shape, **options)  # type: ignore[no-untyped-call]
    return found


def _thick_axis(
    old_mm: Sequence[float], new_mm: Sequence[float], is_separate: bool | None
) -> int | None:
    """Return the axis of thick slices, of the old grid or else of the new; None without one."""
    if is_separate is False:
        return None
    for edges in (old_mm, new_mm):
        if is_separate or max(edges) / min(edges) > ANISOTROPIC:
            longest = [axis for axis, edge in enumerate(edges) if edge == max(edges)]
            return longest[0] if len(longest) == 1 else None
    return None


def _normalised(
    image: Float32[np.ndarray, "z y x"], inside: Bool[np.ndarray, "z y x"], plans: Plans
) -> Float32[np.ndarray, "z y x"]:
    """Scale intensities: by the training's for CT, by the scan's own otherwise."""
    if plans.normalisation == "CTNormalization":
        facts = plans.intensity
        image = np.clip(image, facts["percentile_00_5"], facts["percentile_99_5"])
        return ((image - facts["mean"]) / max(facts["std"], TINY)).astype(np.float32)
    if plans.normalisation == "NoNormalization":
        return image
    chosen = inside if plans.is_masked else np.ones(image.shape, bool)
    mean, deviation = image[chosen].mean(), image[chosen].std()
    scaled = (image - mean) / max(float(deviation), TINY)
    return np.where(chosen, scaled, image).astype(np.float32)


def _bounds(inside: Bool[np.ndarray, "z y x"]) -> tuple[slice, slice, slice]:
    """Return the box around what is marked, or all of it where nothing is."""
    found = [
        np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        for axis in range(3)
    ]
    z, y, x = (
        slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, inside.shape[axis])
        for axis, places in enumerate(found)
    )
    return z, y, x


def _turned(volume: Volume, plans: Plans) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return the voxels in the order in which the plans' reader gives them, and their edges."""
    if not plans.is_reoriented:
        return volume.array, volume.geometry.spacing_mm
    turn = io_orientation(volume.geometry.affine)
    affine = volume.geometry.affine @ inv_ornt_aff(turn, volume.geometry.shape)
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    return apply_orientation(volume.array, turn), tuple(float(edge) for edge in edges)


def _unturned(array: np.ndarray, volume: Volume, plans: Plans) -> np.ndarray:
    """Return voxels to the order of the scan."""
    if not plans.is_reoriented:
        return array
    back = ornt_transform(CANONICAL, io_orientation(volume.geometry.affine))
    found: np.ndarray = apply_orientation(array, back)
    return found


def _triple(values: Sequence[int]) -> Triple:
    z, y, x = (int(value) for value in values)
    return z, y, x
