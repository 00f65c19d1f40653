"""Refines one start of a registration, and says how well it fits. Knows nothing of other starts."""

from contextlib import suppress

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, Float64

from segment.register.targets import Target, shrunk, targets

SEED = 20_260_101
WORK_UNITS = 1  # several add to the same sums in whatever order they come, and no two runs agree
COARSE_MM, MEDIUM_MM = 8.0, 4.0
BINS = 32
SMALLEST_CONTRAST = 1e-6


def rigid(moving: sitk.Image, start: sitk.AffineTransform) -> sitk.AffineTransform:
    """Turn and shift a start to the best correlation at 8 mm; its capture range is 40 mm."""
    rigid = sitk.Euler3DTransform()
    rigid.SetCenter(start.GetCenter())
    rigid.SetMatrix(start.GetMatrix(), 1e-6)
    rigid.SetTranslation(start.GetTranslation())
    target = targets()[1].at(COARSE_MM)
    method = _method(target, step_mm=COARSE_MM / 2, steps_to_stop=10.0)
    method.SetMetricAsCorrelation()
    method.SetInitialTransform(rigid, inPlace=True)
    _execute(method, target.image, shrunk(moving, COARSE_MM))
    transform = sitk.AffineTransform(start)
    transform.SetMatrix(rigid.GetMatrix())
    transform.SetTranslation(rigid.GetTranslation())
    return transform


def optimise(
    target: Target,
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
    _execute(method, level.image, shrunk(moving, spacing_mm))
    return transform


def refine_rigid(
    target: Target,
    moving: sitk.Image,
    start: Float64[np.ndarray, "4 4"],
    centre_mm: Float64[np.ndarray, " 3"],
    spacing_mm: float,
) -> sitk.AffineTransform:
    """Go to the nearest rigid maximum of the correlation of two scans of one head."""
    level = target.at(spacing_mm)
    rigid = sitk.VersorRigid3DTransform()
    rigid.SetCenter(centre_mm)
    rigid.SetMatrix(start[:3, :3].ravel(), 1e-6)
    rigid.SetTranslation(start[:3, :3] @ centre_mm + start[:3, 3] - centre_mm)
    method = _method(level, step_mm=0.5)
    method.SetMetricAsCorrelation()
    if spacing_mm < MEDIUM_MM:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(0.3, SEED)
    method.SetInitialTransform(rigid, inPlace=True)
    _execute(method, level.image, shrunk(moving, spacing_mm))
    transform = sitk.AffineTransform(3)
    transform.SetCenter(rigid.GetCenter())
    transform.SetMatrix(rigid.GetMatrix())
    transform.SetTranslation(rigid.GetTranslation())
    return transform


def _execute(method: sitk.ImageRegistrationMethod, fixed: sitk.Image, moving: sitk.Image) -> None:
    """Move the method's transform in place, as far as it goes.

    On a picture of no head the optimiser can leave the field altogether, which ITK calls an
    error. Where it stopped is then as bad a fit as any: its similarity says so.
    """
    with suppress(RuntimeError):
        method.Execute(fixed, moving)


def _method(
    target: Target, step_mm: float, steps_to_stop: float = 50.0
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


def similarity_of(
    target: Target, moving: sitk.Image, transform: sitk.AffineTransform, spacing_mm: float
) -> tuple[float, float]:
    """Correlate target and scan inside the mask; also say how much of it the field holds."""
    level = target.at(spacing_mm)
    wanted = sitk.GetArrayFromImage(level.mask).astype(bool)
    outside = -1e9
    resampled = sitk.Resample(
        shrunk(moving, spacing_mm), level.image, transform, sitk.sitkLinear, outside
    )
    scan = sitk.GetArrayFromImage(resampled)[wanted]
    held: Bool[np.ndarray, " n"] = scan > outside / 2
    inside = float(held.mean())
    pair = sitk.GetArrayFromImage(level.image)[wanted][held], scan[held]
    if held.sum() < 2 or min(float(x.std()) for x in pair) < SMALLEST_CONTRAST:
        return -1.0, inside
    return float(np.corrcoef(*pair)[0, 1]), inside


def matrix_of(transform: sitk.AffineTransform) -> Float64[np.ndarray, "4 4"]:
    """Write a transform with a centre as one 4 x 4 matrix."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix[:3, 3] = shift + centre - matrix[:3, :3] @ centre
    return matrix
