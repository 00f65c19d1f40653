"""A body with hot spheres, as the NEMA image quality phantom has them, and a liver: known truth.

A sphere blurred by a Gaussian has a closed form, so blur is exact; each voxel averages it.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import erf

from segment.geometry import Geometry
from segment.volume import Volume

DIAMETERS_MM = (10, 13, 17, 22, 28, 37)
RING_MM = 57.2  # NEMA NU 2: the middles of the spheres lie on a ring, all in one plane
FWHM_PER_SD = 2 * math.sqrt(2 * math.log(2))
LIVER_MM, LIVER_RADIUS_MM, LIVER_SUV = (55.3, 4.1, -101.7), 40.0, 2.0
BODY_MM, BODY_Z_MM = (105.0, 95.0, 95.0), -50.0  # semi-axes across, half of the length; middle
FIELD_MM = (240.0, 220.0, 220.0)
COUNTS_PER_SUV_ML = 12_500  # 3.5 % noise in a voxel of 4 mm at an uptake of 1


@dataclass(frozen=True)
class Sphere:
    """A ball of uniform uptake, in g/mL."""

    diameter_mm: float
    centre_mm: tuple
    suv: float

    @property
    def volume_ml(self):
        return math.pi * self.diameter_mm**3 / 6000

    @property
    def tlg_g(self):
        return self.suv * self.volume_ml


def spheres(suv=4.0):
    """Place the six spheres on their ring, off the middles of voxels."""
    angles = np.radians(60 * np.arange(6) + 7)
    return tuple(
        Sphere(mm, (RING_MM * math.cos(a) + 0.7, RING_MM * math.sin(a) - 0.4, 0.9), suv)
        for mm, a in zip(DIAMETERS_MM, angles, strict=True)
    )


def pet_grid(spacing_mm=(4.0, 4.0, 4.0)):
    """Cover the body and the air around it, as a scanner lays its voxels (LPS)."""
    shape = tuple(round(field / mm) for field, mm in zip(FIELD_MM, spacing_mm, strict=True))
    affine = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2) + (0, 0, BODY_Z_MM)
    return Geometry(shape, affine)


def blurred(radius_mm, fwhm_mm, distance_mm):
    """Return what a uniform ball of 1 becomes at a distance from its middle, under a Gaussian."""
    r = np.maximum(distance_mm, 1e-6)
    if fwhm_mm == 0:
        return (r <= radius_mm).astype(float)
    s = fwhm_mm / FWHM_PER_SD
    near, far = (radius_mm - r) / (s * math.sqrt(2)), (radius_mm + r) / (s * math.sqrt(2))
    ring = s / (r * math.sqrt(2 * math.pi)) * (np.exp(-(near**2)) - np.exp(-(far**2)))
    return (erf(near) + erf(far)) / 2 - ring


def phantom(geometry=None, *, hot=None, background=1.0, fwhm_mm=0.0, noise=0.0, seed=0):
    """Return uptake in the phantom; ``noise`` 1 is that of ``COUNTS_PER_SUV_ML``, 0 none.

    Noise is that of counts, scaled: its variance is proportional to the uptake, voxel by voxel.
    """
    geometry = pet_grid() if geometry is None else geometry
    hot = spheres() if hot is None else hot
    suv = background * _body(geometry, fwhm_mm)
    balls = [(2 * LIVER_RADIUS_MM, LIVER_MM, LIVER_SUV)]
    balls += [(ball.diameter_mm, ball.centre_mm, ball.suv) for ball in hot]
    for diameter_mm, centre_mm, level in balls:
        _add(suv, geometry, diameter_mm / 2, centre_mm, level - background, fwhm_mm)
    if noise:
        counts = COUNTS_PER_SUV_ML * geometry.voxel_volume_mm3 / 1000 / noise**2
        suv = np.random.default_rng(seed).poisson(np.maximum(suv, 0) * counts) / counts
    return Volume(suv.astype(np.float32), geometry, sha256="phantom", modality="PT")


def _body(geometry, fwhm_mm):
    """Fill an elliptic cylinder; its border is far from everything measured."""
    x, y, z = _places(geometry, [np.arange(n) for n in geometry.shape])
    is_across = (x / BODY_MM[0]) ** 2 + (y / BODY_MM[1]) ** 2 <= 1
    inside = is_across & (np.abs(z - BODY_Z_MM) <= BODY_MM[2])
    return gaussian_filter(inside * 1.0, [fwhm_mm / FWHM_PER_SD / mm for mm in geometry.spacing_mm])


def _add(suv, geometry, radius_mm, centre_mm, level, fwhm_mm):
    """Add a blurred ball, averaged over a cube of places in each voxel it reaches."""
    parts = 3 if radius_mm == LIVER_RADIUS_MM else 6
    reach = radius_mm + 2 * fwhm_mm + max(geometry.spacing_mm)
    middle = geometry.to_indices(np.array([centre_mm], float))[0]
    steps = reach / np.array(geometry.spacing_mm)
    low = np.maximum(np.floor(middle - steps).astype(int), 0)
    high = np.minimum(np.ceil(middle + steps).astype(int) + 1, geometry.shape)
    if (high <= low).any():
        return
    fine = [
        (np.arange(a * parts, b * parts) + 0.5) / parts - 0.5
        for a, b in zip(low, high, strict=True)
    ]
    x, y, z = (a - b for a, b in zip(_places(geometry, fine), centre_mm, strict=True))
    radii = np.linspace(0, 2 * reach, 20_001)
    values = np.interp(np.sqrt(x * x + y * y + z * z), radii, blurred(radius_mm, fwhm_mm, radii))
    n = high - low
    means = values.reshape(n[0], parts, n[1], parts, n[2], parts).mean(axis=(1, 3, 5))
    suv[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] += level * means


def _places(geometry, indices):
    """Take three lists of indices to world millimetres, on an upright grid."""
    i, j, k = np.meshgrid(*indices, indexing="ij", sparse=True)
    linear, origin = np.diag(geometry.affine[:3, :3]), geometry.affine[:3, 3]
    return i * linear[0] + origin[0], j * linear[1] + origin[1], k * linear[2] + origin[2]


def ball_mask(geometry, radius_mm, centre_mm):
    """Mark the voxels of a ball."""
    x, y, z = _places(geometry, [np.arange(n) for n in geometry.shape])
    cx, cy, cz = centre_mm
    return (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 <= radius_mm**2


def cube(spacing_mm=1.0, *, field_mm=64.0, centre_mm=(0.0, 0.0, 0.0)):
    """Cover a cube inside of the body, away from the liver."""
    n = round(field_mm / spacing_mm)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = np.asarray(centre_mm) - spacing_mm * (n - 1) / 2
    return Geometry((n, n, n), affine)
