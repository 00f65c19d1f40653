"""Scans of another day, made from real ones with a known strength. Knows nothing of networks.

Sources: Zhou, Zhao, Bernstein in Handbook of MRI Pulse Sequences (2004), chapter 11, for k-space;
Gudbjartsson and Patz, Magn Reson Med 34:910 (1995), for noise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from segment.crossfit import thickened
from segment.volume import Volume

FWHM_PER_SIGMA = 2.355
BIAS_NODES = 3  # of the coarse grid that a bias field is drawn on
GHOST_LINES = 5  # of k-space in one breath
NONE = "none"


@dataclass(frozen=True)
class Shift:
    """One fault and how strong it is; ``axis`` is along which slices lie."""

    name: str
    strength: float

    @property
    def is_weak(self) -> bool:
        """Whether the same fault is looked at stronger, too; of thick slices both are common."""
        return self.name not in (NONE, "slices") and self.strength == STRENGTHS[self.name][0]

    @property
    def thickness_mm(self) -> int:
        """The slice thickness that it leaves."""
        return round(self.strength) if self.name == "slices" else 1

    def __call__(self, volume: Volume, axis: int, rng: np.random.Generator) -> Volume:
        """Return the scan with the fault."""
        if self.name == NONE:
            return volume
        if self.name == "slices":
            return thickened(volume, axis, self.thickness_mm)
        array = MAKE[self.name](volume.array.astype(np.float64), self.strength, axis, rng)
        return replace(volume, array=array.astype(np.float32))


def noise(array, share, axis, rng):
    """Add Rician noise; ``share`` is its deviation over the range of the intensities."""
    del axis
    low, high = _range(array)
    sigma = share * (high - low)
    real, imaginary = (rng.normal(0, sigma, array.shape) for _ in range(2))
    return np.hypot(array + real, imaginary)


def blur(array, fwhm_mm, axis, rng):
    """Smooth with a Gaussian of a width at half its height; voxels are of 1 mm."""
    del axis, rng
    return ndimage.gaussian_filter(array, fwhm_mm / FWHM_PER_SIGMA)


def bias(array, log, axis, rng):
    """Multiply with a smooth field that goes from exp(-log) to exp(log)."""
    del axis
    nodes = rng.standard_normal((BIAS_NODES,) * 3)
    field = ndimage.zoom(nodes, [n / BIAS_NODES for n in array.shape], order=2)
    return array * np.exp(log * (2 * (field - field.min()) / np.ptp(field) - 1))


def contrast(array, exponent, axis, rng):
    """Raise intensities to a power, on a scale whose ends stay as they are."""
    del axis, rng
    low, high = _range(array)
    scaled = np.clip((array - low) / (high - low), 0, None)
    return low + (high - low) * scaled**exponent


def motion(array, radians, axis, rng):
    """Turn the phase of the lines of k-space to and fro along one axis, as breathing does."""
    spectrum = np.fft.fft(array, axis=axis)
    lines = np.arange(array.shape[axis])
    begin = rng.uniform(0, 2 * np.pi)
    phase = radians * np.sin(2 * np.pi * lines / GHOST_LINES + begin)
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.abs(np.fft.ifft(spectrum * np.exp(1j * phase).reshape(shape), axis=axis))


def missing(array, count, axis, rng):
    """Blank neighbouring slices in the middle half of the scan."""
    length = array.shape[axis]
    first = int(rng.integers(length // 4, 3 * length // 4 - int(count)))
    blanked = np.moveaxis(array.copy(), axis, 0)
    blanked[first : first + int(count)] = 0
    return np.moveaxis(blanked, 0, axis)


def _range(array):
    low, high = np.percentile(array, (1, 99))
    return float(low), float(max(high, low + 1e-9))


Make = Callable[[np.ndarray, float, int, np.random.Generator], np.ndarray]
MAKE: Mapping[str, Make] = {
    "noise": noise,
    "blur": blur,
    "bias": bias,
    "contrast": contrast,
    "motion": motion,
    "missing": missing,
}
UNITS = {
    "noise": "of the intensities' range",
    "blur": "mm FWHM",
    "bias": "log at the ends of the field",
    "slices": "mm",
    "contrast": "exponent",
    "motion": "radians of phase",
    "missing": "slices blanked",
}
STRENGTHS = {
    "noise": (0.05, 0.15),
    "blur": (2.0, 3.5),
    "bias": (0.3, 0.8),
    "slices": (2, 3),
    "contrast": (0.6, 1.8),
    "motion": (0.4, 1.0),
    "missing": (1, 3),
}
SHIFTS = (
    Shift(NONE, 0),
    *(Shift(name, strength) for name, both in STRENGTHS.items() for strength in both),
)
