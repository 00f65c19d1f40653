"""What a scan is registered to: the MNI152 brain, naked and inside a painted skull.

Knows nothing of how a scan is brought there. SimpleITK's physical space stands for RAS+ world
millimetres; nothing here converts to LPS.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from segment.geometry import Geometry
from segment.volume import Volume

FINE_MM = 2.0
SHELL_INNER_MM, SHELL_OUTER_MM = 9.0, 15.0  # the painted scalp, from the brain's edge
SKULL_BASE_Z_MM, FACE_Y_MM = -25.0, 30.0  # where the painted skull ends, below and in front


@cache
def template() -> Volume:
    """Read the MNI152 T1 template that nilearn installs (skull-stripped, 1 mm, RAS)."""
    name = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    with as_file(files("nilearn").joinpath(name)) as path:
        image = nibabel.Nifti1Image.from_filename(path)
        array = np.asarray(image.dataobj, dtype=np.float32)
    geometry = Geometry(array.shape, np.asarray(image.affine, dtype=np.float64))
    return Volume(array, geometry, sha256="template", modality="MR", sequence="T1")


def isotropic(volume: Volume, spacing_mm: float) -> sitk.Image:
    """Resample a scan of any grid, sheared ones too, to cubes along the world axes.

    Voxels smaller than the cubes are averaged first; intensities are clipped to the 0.5th to
    99.5th percentile, so that vessels full of contrast do not fill the histogram.
    """
    low, high = np.percentile(volume.array[::2, ::2, ::2], [0.5, 99.5])
    image = sitk.GetImageFromArray(volume.array.transpose(2, 1, 0))
    factors = [max(1, int(spacing_mm / s)) for s in volume.geometry.spacing_mm]
    image = sitk.Clamp(sitk.BinShrink(image, factors), sitk.sitkFloat32, float(low), float(high))
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in volume.geometry.shape])).reshape(3, 8).T
    world = volume.geometry.to_world(corners.astype(np.float64))
    origin, size = world.min(axis=0), np.ptp(world, axis=0)
    to_indices = sitk.AffineTransform(3)
    inverse = np.linalg.inv(volume.geometry.affine)
    to_indices.SetMatrix(inverse[:3, :3].ravel())
    to_indices.SetTranslation(inverse[:3, 3])
    return sitk.Resample(
        image,
        [int(n) for n in np.ceil(size / spacing_mm) + 1],
        to_indices,
        sitk.sitkLinear,
        [float(x) for x in origin],
        [spacing_mm] * 3,
        np.eye(3).ravel().tolist(),
        float(low),
    )


@dataclass(frozen=True, eq=False)
class Target:
    """What a scan is registered to: an image, and where it counts."""

    image: sitk.Image
    mask: sitk.Image

    def at(self, spacing_mm: float) -> "Target":
        """Average down to about ``spacing_mm``."""
        mask = sitk.Cast(shrunk(self.mask, spacing_mm) > 0.5, sitk.sitkUInt8)
        return Target(shrunk(self.image, spacing_mm), mask)


@cache
def targets() -> tuple[Target, Target]:
    """Return the template's brain, and the brain inside a painted skull and scalp.

    The template has no skull, and a bright scalp draws a naked brain's edge outwards to itself
    (determinants of 1.5 to 2.5 on real heads). A dark gap and a bright shell above the skull base
    give the scalp something to fit. A stripped scan fits both.
    """
    pad = [round((SHELL_OUTER_MM + 6) / FINE_MM)] * 3
    image = sitk.ConstantPad(isotropic(template(), FINE_MM), pad, pad)
    brain = sitk.GetArrayFromImage(image)
    inside = ndimage.binary_fill_holes(ndimage.binary_closing(brain > 1.0, iterations=3))
    distance_mm = ndimage.distance_transform_edt(~inside) * FINE_MM
    z, y, _ = np.ogrid[tuple(slice(n) for n in brain.shape)]
    z, y = z * FINE_MM + image.GetOrigin()[2], y * FINE_MM + image.GetOrigin()[1]
    calvaria = (z > SKULL_BASE_Z_MM) & ((z > 0) | (y < FACE_Y_MM))
    white = float(np.percentile(brain[inside], 75))
    shell = np.where(distance_mm > SHELL_INNER_MM, 1.1 * white, 0.0)
    gap = distance_mm <= SHELL_INNER_MM
    shell = np.where(gap, 0.12 * white, np.where(distance_mm <= SHELL_OUTER_MM, shell, 0.0))
    painted = np.where(inside, brain, np.where(calvaria, shell, 0.0)).astype(np.float32)
    counts = inside | (calvaria & (distance_mm <= SHELL_OUTER_MM + 5)) | (distance_mm <= FINE_MM)
    return Target(image, _like(image, brain > 1.0)), Target(
        _like(image, painted), _like(image, counts)
    )


def _like(image: sitk.Image, array: npt.NDArray[Any]) -> sitk.Image:
    """Put an array, ``k j i``, where an image lies."""
    made = sitk.GetImageFromArray(array.astype(np.uint8 if array.dtype == bool else np.float32))
    made.CopyInformation(image)
    return made


def shrunk(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """Average an image down to about ``spacing_mm``."""
    factor = round(spacing_mm / image.GetSpacing()[0])
    factors = [min(factor, n) for n in image.GetSize()]
    shrunk: sitk.Image = sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), factors)
    return shrunk
