"""Where a head lies: affine registration to the MNI152 template, and whether to trust it.

Knows nothing of organs or networks. SimpleITK's physical space stands for RAS+ world millimetres
throughout; nothing here converts to LPS.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from jaxtyping import Bool, Float, Float32, Float64
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from segment.geometry import Geometry
from segment.measurement import Reason
from segment.volume import Volume

SEED = 20_260_101
WORK_UNITS = 4  # fixed, so that sums are taken in one order on every machine
SEARCH_MM, COARSE_MM, MEDIUM_MM, FINE_MM = 12.0, 8.0, 4.0, 2.0
ROTATIONS = 300  # about 25 degrees from any orientation to the nearest one tried
CANDIDATES = 8
RIVALS = 10
FAN_DEGREES = (-30.0, 30.0, -60.0, 60.0, -90.0, 90.0)
SAME_PLACE_MM = 10.0
GOOD_FIT = 0.55  # a start in the header's own orientation that fits so well needs no rival
BINS = 32
# Below these a registration is not trusted. Right ones on six real heads (stripped, with contrast
# medium, slices of 4.8 mm, a side cut off) correlate at 0.59 or more; wrong ones and pictures of no
# head at 0.5 or less. tests/benchmarks/heads.py prints them.
LEAST_SIMILARITY = 0.52
DETERMINANTS = (0.4, 1.7)  # the MNI152 brain is large: 0.6 on two stripped heads of normal size
STRETCHES = (0.65, 1.35)
LARGEST_ANISOTROPY = 1.3  # right ones reach 1.15; a stripped brain fits itself askew at 1.7
LARGEST_ROTATION_DEGREES = 110.0  # lying on a side is 90; beyond, the header must be wrong
SMALLEST_CONTRAST = 1e-6
SHELL_INNER_MM, SHELL_OUTER_MM = 9.0, 15.0  # the painted scalp, from the brain's edge
SKULL_BASE_Z_MM, FACE_Y_MM = -25.0, 30.0  # where the painted skull ends, below and in front


Array = npt.NDArray[Any]
Spectrum = npt.NDArray[np.complexfloating[Any, Any]]


@dataclass(frozen=True, eq=False)
class Registration:
    """An affine map from template millimetres to scan millimetres, and how well it fits.

    ``similarity`` is the correlation of template and scan inside the template's brain and its
    rim, in -1..1; ``determinant`` the volume of the head relative to the template's;
    ``rotation_degrees`` the angle of the rigid part; ``inside`` the share of the template's brain
    that the scan's field holds.
    """

    template_to_scan: Float64[np.ndarray, "4 4"]
    similarity: float
    inside: float

    @property
    def determinant(self) -> float:
        """Volume of the template's brain in this head, relative to the template's."""
        return float(np.linalg.det(self.template_to_scan[:3, :3]))

    @property
    def stretch(self) -> Float64[np.ndarray, " 3"]:
        """The three principal scales of the affine, largest first."""
        return np.linalg.svd(self.template_to_scan[:3, :3], compute_uv=False)

    @property
    def anisotropy(self) -> float:
        """The largest principal scale over the smallest."""
        return float(self.stretch[0] / max(float(self.stretch[-1]), 1e-9))

    @property
    def rotation(self) -> Float64[np.ndarray, "3 3"]:
        """The rigid part of the affine: the rotation nearest to it (polar decomposition)."""
        u, _, vt = np.linalg.svd(self.template_to_scan[:3, :3])
        return np.asarray(u @ vt)

    @property
    def rotation_degrees(self) -> float:
        """How far the head is turned from the template's orientation."""
        cosine = (float(np.trace(self.rotation)) - 1) / 2
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    def box(self, centre_mm: tuple[float, float, float], shape: tuple[int, int, int]) -> Geometry:
        """Lay a 1 mm box, turned with the head and not scaled, around a point of the template."""
        affine = np.eye(4)
        affine[:3, :3] = self.rotation
        middle = self.template_to_scan @ np.array([*centre_mm, 1.0])
        affine[:3, 3] = middle[:3] - self.rotation @ ((np.array(shape) - 1) / 2)
        return Geometry(shape, affine)


@cache
def template() -> Volume:
    """Read the MNI152 T1 template that nilearn installs (skull-stripped, 1 mm, RAS)."""
    name = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    with as_file(files("nilearn").joinpath(name)) as path:
        image = nibabel.Nifti1Image.from_filename(path)
        array = np.asarray(image.dataobj, dtype=np.float32)
    geometry = Geometry(array.shape, np.asarray(image.affine, dtype=np.float64))
    return Volume(array, geometry, sha256="template", modality="MR", sequence="T1")


def register(volume: Volume) -> Registration:
    """Bring the template onto a head, from whatever orientation and field it has.

    The header's own orientation is tried first. Where it does not fit well, a search over all
    rotations and translations at 12 mm (masked normalised cross-correlation, Padfield 2012) gives
    rivals. Every start is refined rigidly (correlation, 8 mm) and the best ones affinely (Mattes
    mutual information, 4 mm); the one that correlates best inside the brain wins and is refined
    at 2 mm.
    """
    moving = isotropic(volume, FINE_MM)
    (upright,) = _search(moving, rotations=1)
    fitted = [_fit(moving, _rigid(moving, upright))]
    if not _is_good(*fitted[0]):
        for start in _rivals(moving, upright):
            fitted.append(_fit(moving, start))
            if _is_good(*fitted[-1]):
                break
    best = max(fitted, key=lambda entry: (_is_good(*entry), entry[0]))[1]
    brain, _ = _targets()
    best = _optimise(brain, moving, best, FINE_MM, step_mm=0.5)
    similarity, inside = _similarity(brain, moving, best, FINE_MM)
    return Registration(_matrix(best), similarity, inside)


def _fit(moving: sitk.Image, start: sitk.AffineTransform) -> tuple[float, sitk.AffineTransform]:
    """Refine one rigid start down to 4 mm; return how well it fits, and the transform."""
    brain, painted = _targets()
    fitted = _optimise(painted, moving, start, MEDIUM_MM, step_mm=0.5)
    fitted = _optimise(brain, moving, fitted, MEDIUM_MM, step_mm=0.5)
    return _similarity(brain, moving, fitted, MEDIUM_MM)[0], fitted


def _is_good(similarity: float, transform: sitk.AffineTransform) -> bool:
    """Whether a fit needs no rival: it correlates well, and not by stretching the head."""
    found = Registration(_matrix(transform), similarity, 1.0)
    return similarity >= GOOD_FIT and found.anisotropy <= LARGEST_ANISOTROPY


def _rivals(moving: sitk.Image, upright: sitk.AffineTransform) -> list[sitk.AffineTransform]:
    """Start from turns about each axis and from a search over all orientations.

    All are refined rigidly; those that end in one place count once; the better fit comes first.
    """
    _, painted = _targets()
    starts = [
        _turned_start(upright, axis, degrees) for axis in np.eye(3) for degrees in FAN_DEGREES
    ]
    starts += _search(moving, rotations=ROTATIONS)
    refined = [_rigid(moving, start) for start in starts]
    refined.sort(key=lambda t: -_similarity(painted, moving, t, COARSE_MM)[0])
    kept: list[sitk.AffineTransform] = []
    for transform in refined:
        if all(_apart_mm(transform, other) > SAME_PLACE_MM for other in kept):
            kept.append(transform)
    return kept[:RIVALS]


def _turned_start(
    upright: sitk.AffineTransform, axis: Float64[np.ndarray, " 3"], degrees: float
) -> sitk.AffineTransform:
    """Turn a start about the middle of the template's brain."""
    turned = sitk.AffineTransform(upright)
    rotation = Rotation.from_rotvec(np.radians(degrees) * axis)
    turned.SetMatrix(rotation.as_matrix().ravel())
    return turned


def _apart_mm(one: sitk.AffineTransform, other: sitk.AffineTransform) -> float:
    """Return how far apart two transforms put the edge of the brain, at most."""
    points = np.array([[x, y, z, 1.0] for x in (-60, 60) for y in (-90, 60) for z in (-40, 70)])
    difference = points @ (_matrix(one) - _matrix(other)).T
    return float(np.linalg.norm(difference[:, :3], axis=1).max())


def doubt(registration: Registration) -> Reason | None:
    """Return why a registration cannot be trusted; None if it can.

    A header that mirrors the head makes the best fit a half turn, which would swap the sides: a
    turn that no patient lies in is refused. A head mirrored left to right looks like a head; no
    picture can tell.
    """
    least, most = STRETCHES
    is_fit = (
        registration.similarity >= LEAST_SIMILARITY
        and DETERMINANTS[0] <= registration.determinant <= DETERMINANTS[1]
        and least <= registration.stretch.min()
        and registration.stretch.max() <= most
        and registration.anisotropy <= LARGEST_ANISOTROPY
    )
    if not is_fit:
        return Reason.REGISTRATION_UNTRUSTED
    if registration.rotation_degrees > LARGEST_ROTATION_DEGREES:
        return Reason.ORIENTATION_IMPLAUSIBLE
    return None


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
class _Target:
    """What a scan is registered to: an image, and where it counts."""

    image: sitk.Image
    mask: sitk.Image

    def at(self, spacing_mm: float) -> "_Target":
        """Average down to about ``spacing_mm``."""
        mask = sitk.Cast(_shrunk(self.mask, spacing_mm) > 0.5, sitk.sitkUInt8)
        return _Target(_shrunk(self.image, spacing_mm), mask)


@cache
def _targets() -> tuple[_Target, _Target]:
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
    return _Target(image, _like(image, brain > 1.0)), _Target(
        _like(image, painted), _like(image, counts)
    )


def _like(image: sitk.Image, array: Array) -> sitk.Image:
    """Put an array, ``k j i``, where an image lies."""
    made = sitk.GetImageFromArray(array.astype(np.uint8 if array.dtype == bool else np.float32))
    made.CopyInformation(image)
    return made


def _shrunk(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """Average an image down to about ``spacing_mm``."""
    factor = round(spacing_mm / image.GetSpacing()[0])
    factors = [min(factor, n) for n in image.GetSize()]
    shrunk: sitk.Image = sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), factors)
    return shrunk


def _search(moving: sitk.Image, rotations: int) -> list[sitk.AffineTransform]:
    """Find the rotations, and for each the translation, that correlate best at 12 mm."""
    _, painted = _targets()
    target, level = painted.at(SEARCH_MM), _shrunk(moving, SEARCH_MM)
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
    chosen: list[tuple[Rotation, Float64[np.ndarray, " 3"]]] = []
    for _, rotation, index in found:
        if all((rotation * other.inv()).magnitude() > np.radians(35) for other, _ in chosen):
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


def _rigid(moving: sitk.Image, start: sitk.AffineTransform) -> sitk.AffineTransform:
    """Turn and shift a start to the best correlation at 8 mm; its capture range is 40 mm."""
    rigid = sitk.Euler3DTransform()
    rigid.SetCenter(start.GetCenter())
    rigid.SetMatrix(start.GetMatrix(), 1e-6)
    rigid.SetTranslation(start.GetTranslation())
    target = _targets()[1].at(COARSE_MM)
    method = _method(target, step_mm=COARSE_MM / 2, steps_to_stop=10.0)
    method.SetMetricAsCorrelation()
    method.SetInitialTransform(rigid, inPlace=True)
    _execute(method, target.image, _shrunk(moving, COARSE_MM))
    transform = sitk.AffineTransform(start)
    transform.SetMatrix(rigid.GetMatrix())
    transform.SetTranslation(rigid.GetTranslation())
    return transform


def _optimise(
    target: _Target,
    moving: sitk.Image,
    start: sitk.AffineTransform,
    spacing_mm: float,
    step_mm: float,
) -> sitk.AffineTransform:
    """Go to the nearest affine maximum of mutual information, in small steps."""
    level = target.at(spacing_mm)
    transform = sitk.AffineTransform(start)
    method = _method(level, step_mm)
    method.SetMetricAsMattesMutualInformation(BINS)
    if spacing_mm < MEDIUM_MM:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(0.15, SEED)
    method.SetInitialTransform(transform, inPlace=True)
    _execute(method, level.image, _shrunk(moving, spacing_mm))
    return transform


def _execute(method: sitk.ImageRegistrationMethod, fixed: sitk.Image, moving: sitk.Image) -> None:
    """Move the method's transform in place, as far as it goes.

    On a picture of no head the optimiser can leave the field altogether, which ITK calls an
    error. Where it stopped is then as bad a fit as any: its similarity says so.
    """
    with suppress(RuntimeError):
        method.Execute(fixed, moving)


def _method(
    target: _Target, step_mm: float, steps_to_stop: float = 50.0
) -> sitk.ImageRegistrationMethod:
    """Set up what every stage shares; it stops at steps of ``step_mm / steps_to_stop``."""
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfWorkUnits(WORK_UNITS)
    method.SetMetricFixedMask(target.mask)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step_mm,
        minStep=step_mm / steps_to_stop,
        numberOfIterations=100,
        relaxationFactor=0.7,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    return method


def _similarity(
    target: _Target, moving: sitk.Image, transform: sitk.AffineTransform, spacing_mm: float
) -> tuple[float, float]:
    """Correlate target and scan inside the mask; also say how much of it the field holds."""
    level = target.at(spacing_mm)
    wanted = sitk.GetArrayFromImage(level.mask).astype(bool)
    outside = -1e9
    resampled = sitk.Resample(
        _shrunk(moving, spacing_mm), level.image, transform, sitk.sitkLinear, outside
    )
    scan = sitk.GetArrayFromImage(resampled)[wanted]
    held: Bool[np.ndarray, " n"] = scan > outside / 2
    inside = float(held.mean())
    pair = sitk.GetArrayFromImage(level.image)[wanted][held], scan[held]
    if held.sum() < 2 or min(float(x.std()) for x in pair) < SMALLEST_CONTRAST:
        return -1.0, inside
    return float(np.corrcoef(*pair)[0, 1]), inside


def _matrix(transform: sitk.AffineTransform) -> Float64[np.ndarray, "4 4"]:
    """Write a transform with a centre as one 4 x 4 matrix."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix[:3, 3] = shift + centre - matrix[:3, :3] @ centre
    return matrix
