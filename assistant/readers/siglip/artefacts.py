"""Faults made from real pictures with a known strength, 0 for none to 1 for the worst.

Pictures are grey, scaled to 0..1, any height and width. Knows nothing of networks or captions.
Sources: Zhou, Zhao, Bernstein in Handbook of MRI Pulse Sequences (2004), chapters 11 and 13, for
k-space; Gudbjartsson and Patz, Magn Reson Med 34:910 (1995), for noise.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float32
from scipy.ndimage import zoom

Grey = Float32[np.ndarray, "h w"]
Native = tuple[float, float]

MOTION_RADIANS = 1.2  # of phase at strength 1: ghosts of J1(1.2), half as bright as the picture
MOTION_LINES = (3, 9)  # lines of k-space in one breath, from and below
NOISE_SHARE = 0.15  # of the white, the standard deviation in either channel at strength 1
LOWEST_RESOLUTION = 6.0  # voxels that become one, along either axis, at strength 1
BIAS_LOG = 1.0  # natural logarithm of the field at its brightest, at strength 1; darkest: -1
BIAS_NODES = 3  # of the coarse grid that the field is drawn on
CLIPPED_SHARE = 0.6  # of the tissue that is saturated at strength 1
TISSUE = 0.05  # grey values above this are tissue


def motion(
    grey: Grey, strength: float, rng: np.random.Generator, native_px: Native = (1.0, 1.0)
) -> Grey:
    """Ghost a picture: a periodic phase over its k-space lines, as of breathing.

    Ghosts stand at multiples of the picture's length over the period, along one axis; no energy
    is added or lost before the magnitude is taken.
    """
    del native_px
    if strength == 0:
        return grey
    axis, lines = int(rng.integers(2)), int(rng.integers(*MOTION_LINES))
    return ghosted(grey, strength * MOTION_RADIANS, lines, axis)


def ghosted(grey: Grey, radians: float, lines: int, axis: int) -> Grey:
    """Turn the phase of the lines of k-space along one axis to and fro once every ``lines``."""
    spectrum = np.fft.fft(grey, axis=axis)
    phase = radians * np.sin(2 * np.pi * np.arange(grey.shape[axis]) / lines)
    turned = spectrum * np.expand_dims(np.exp(1j * phase), 1 - axis)
    return np.asarray(np.abs(np.fft.ifft(turned, axis=axis)), dtype=np.float32)


def noise(
    grey: Grey, strength: float, rng: np.random.Generator, native_px: Native = (1.0, 1.0)
) -> Grey:
    """Add Rician noise: Gaussian in the real and the imaginary channel, then the magnitude.

    Its grain is the scan's voxel, not the picture's pixel.
    """
    if strength == 0:
        return grey
    real, imaginary = (_grain(grey.shape, native_px, rng) for _ in range(2))
    sigma = strength * NOISE_SHARE
    return np.hypot(grey + sigma * real, sigma * imaginary).astype(np.float32)


def low_resolution(
    grey: Grey, strength: float, rng: np.random.Generator, native_px: Native = (1.0, 1.0)
) -> Grey:
    """Keep the middle of k-space only: up to six of the scan's own voxels become one."""
    del rng
    if strength == 0:
        return grey
    factor = 1 + strength * (LOWEST_RESOLUTION - 1)
    spectrum = np.fft.fft2(grey)
    for axis, px in enumerate(native_px):
        frequency = np.abs(np.fft.fftfreq(grey.shape[axis]))
        kept = frequency <= 0.5 / (factor * max(1.0, px))
        spectrum *= np.expand_dims(kept, 1 - axis)
    return np.abs(np.fft.ifft2(spectrum)).astype(np.float32)


def bias_field(
    grey: Grey, strength: float, rng: np.random.Generator, native_px: Native = (1.0, 1.0)
) -> Grey:
    """Multiply with a smooth field: from exp(-strength) to exp(strength)."""
    del native_px
    if strength == 0:
        return grey
    field = _smooth(grey.shape, rng)
    return (grey * np.exp(strength * BIAS_LOG * field)).astype(np.float32)


def clipping(
    grey: Grey, strength: float, rng: np.random.Generator, native_px: Native = (1.0, 1.0)
) -> Grey:
    """Saturate the brightest share of the tissue."""
    del rng, native_px
    tissue = grey[grey > TISSUE]
    if strength == 0 or not tissue.size:
        return grey
    limit = np.quantile(tissue, 1 - strength * CLIPPED_SHARE)
    return np.asarray(np.minimum(grey, limit), dtype=np.float32)


Artefact = Callable[[Grey, float, np.random.Generator, Native], Grey]
MAKE: Mapping[str, Artefact] = {
    "motion": motion,
    "noise": noise,
    "low_resolution": low_resolution,
    "bias_field": bias_field,
    "clipping": clipping,
}


def can_have(kind: str, artefact: str) -> bool:
    """Whether a kind of picture can have a fault: CT has no k-space and no coils."""
    return kind.startswith("mr") or artefact not in {"motion", "bias_field"}


def _grain(shape: tuple[int, ...], native_px: Native, rng: np.random.Generator) -> Grey:
    """Draw standard normal noise, a value a voxel, and spread it over the picture's pixels."""
    h, w = (max(2, round(n / max(1.0, px))) for n, px in zip(shape, native_px, strict=True))
    drawn = rng.standard_normal((h, w), dtype=np.float32)
    if (h, w) == shape:
        return drawn
    spread = zoom(drawn, (shape[0] / h, shape[1] / w), order=1, grid_mode=True, mode="nearest")
    return np.asarray(spread / spread.std(), dtype=np.float32)


def _smooth(shape: tuple[int, ...], rng: np.random.Generator) -> Grey:
    """Draw a smooth field that spans -1 to 1 exactly."""
    nodes = rng.standard_normal((BIAS_NODES, BIAS_NODES))
    field = zoom(nodes, (shape[0] / BIAS_NODES, shape[1] / BIAS_NODES), order=2, grid_mode=False)
    return np.asarray(2 * (field - field.min()) / np.ptp(field) - 1, dtype=np.float32)
