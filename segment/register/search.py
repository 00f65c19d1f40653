"""Finds where in a scan a head may lie, from any orientation. Knows nothing of refining.

Masked normalised cross-correlation over rotations and translations (Padfield 2012).
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from jaxtyping import Float, Float32, Float64
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from segment.register.targets import shrunk, targets

SEARCH_MM = 12.0
ROTATIONS = 300  # about 25 degrees from any orientation to the nearest one tried
CANDIDATES = 8
SAME_ORIENTATION_DEGREES = 35.0

Spectrum = npt.NDArray[np.complexfloating[Any, Any]]


def search(moving: sitk.Image, rotations: int) -> list[sitk.AffineTransform]:
    """Find the rotations, and for each the translation, that correlate best at 12 mm."""
    _, painted = targets()
    target, level = painted.at(SEARCH_MM), shrunk(moving, SEARCH_MM)
    scan, head, inside = (
        sitk.GetArrayFromImage(image).transpose(2, 1, 0).astype(np.float32)
        for image in (level, target.image, target.mask)
    )
    side = int(np.ceil(np.linalg.norm(head.shape)))
    shape = [fft.next_fast_len(n + side, real=True) for n in scan.shape]
    spectra = fft.rfftn(scan, shape), fft.rfftn(scan * scan, shape)
    floor = 0.05 * float(scan.std())
    found = []
    for rotation in _orientations()[:rotations]:
        pattern, weight = _turned(head, inside, rotation, side)
        correlation = _correlation(spectra, shape, pattern, weight, floor)
        peak = np.array(np.unravel_index(correlation.argmax(), correlation.shape))
        peak = np.where(peak >= np.array(scan.shape), peak - np.array(shape), peak)
        found.append((float(correlation.max()), rotation, peak + (side - 1) / 2))
    found.sort(key=lambda entry: -entry[0])
    apart = np.radians(SAME_ORIENTATION_DEGREES)
    chosen: list[tuple[Rotation, Float64[np.ndarray, " 3"]]] = []
    for _, rotation, index in found:
        if all((rotation * other.inv()).magnitude() > apart for other, _ in chosen):
            chosen.append((rotation, index))
    return [_start(target.image, level, *entry) for entry in chosen[:CANDIDATES]]


@cache
def _orientations() -> tuple[Rotation, ...]:
    """Spread rotations evenly, the template's own first (super-Fibonacci, Alexa 2022)."""
    phi, psi = np.sqrt(2.0), 1.533751168755204288118041
    s = np.arange(ROTATIONS) + 0.5
    r, big_r = np.sqrt(s / ROTATIONS), np.sqrt(1 - s / ROTATIONS)
    alpha, beta = 2 * np.pi * s / phi, 2 * np.pi * s / psi
    quaternions = np.stack(
        [r * np.sin(alpha), r * np.cos(alpha), big_r * np.sin(beta), big_r * np.cos(beta)], axis=1
    )
    return (Rotation.identity(), *Rotation.from_quat(quaternions))


def _turned(
    head: Float32[np.ndarray, "i j k"],
    inside: Float32[np.ndarray, "i j k"],
    rotation: Rotation,
    side: int,
) -> tuple[Float32[np.ndarray, "side side side"], Float32[np.ndarray, "side side side"]]:
    """Turn the template about its middle into a cube; return it with zero mean, and its mask."""
    inverse = rotation.as_matrix().T
    offset = (np.array(head.shape) - 1) / 2 - inverse @ np.full(3, (side - 1) / 2)
    turned = ndimage.affine_transform(head, inverse, offset, (side,) * 3, order=1)
    weight = ndimage.affine_transform(inside, inverse, offset, (side,) * 3, order=1) > 0.5
    pattern = np.where(weight, turned - turned[weight].mean(), 0).astype(np.float32)
    return pattern, weight.astype(np.float32)


def _correlation(
    spectra: tuple[Spectrum, Spectrum],
    shape: list[int],
    pattern: Float32[np.ndarray, "side side side"],
    weight: Float32[np.ndarray, "side side side"],
    floor: float,
) -> Float[np.ndarray, "i j k"]:
    """Correlate the pattern with the scan at every shift, inside the pattern's mask."""
    product = fft.irfftn(spectra[0] * fft.rfftn(pattern, shape).conj(), shape)
    kernel = fft.rfftn(weight, shape).conj()
    total = float(weight.sum())
    mean = fft.irfftn(spectra[0] * kernel, shape) / total
    variance = fft.irfftn(spectra[1] * kernel, shape) / total - mean**2
    scale = np.sqrt(np.maximum(variance, floor**2) * total) * float(np.linalg.norm(pattern))
    return np.asarray(product / scale)


def _start(
    fixed: sitk.Image, moving: sitk.Image, rotation: Rotation, index: Float64[np.ndarray, " 3"]
) -> sitk.AffineTransform:
    """Turn a found rotation and shift into a transform from template to scan millimetres."""
    middle = [(n - 1) / 2 for n in fixed.GetSize()]
    centre = np.array(fixed.TransformContinuousIndexToPhysicalPoint(middle))
    target = np.array(moving.TransformContinuousIndexToPhysicalPoint(index.tolist()))
    transform = sitk.AffineTransform(3)
    transform.SetCenter(centre)
    transform.SetMatrix(rotation.as_matrix().ravel())
    transform.SetTranslation(target - centre)
    return transform
