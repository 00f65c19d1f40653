"""Refines one start of a registration, and says how well it fits. Knows nothing of other starts."""

from contextlib import suppress
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, Float, Float64

from segment.register.targets import Target, shrunk, targets

Values = Float[np.ndarray, " n"]
Metric = Literal["correlation", "information"]
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
    metric: Metric = "correlation",
) -> sitk.AffineTransform:
    """Go to the nearest rigid maximum of how alike two scans of one head are.

    They correlate where one sequence took both; of several, one tells of the other (Mattes).
    """
    rigid = sitk.VersorRigid3DTransform()
    _refine(rigid, target, moving, start, centre_mm, spacing_mm, metric)
    transform = sitk.AffineTransform(3)
    transform.SetCenter(rigid.GetCenter())
    transform.SetMatrix(rigid.GetMatrix())
    transform.SetTranslation(rigid.GetTranslation())
    return transform


def scale_of(
    target: Target,
    moving: sitk.Image,
    start: Float64[np.ndarray, "4 4"],
    centre_mm: Float64[np.ndarray, " 3"],
    spacing_mm: float,
) -> float:
    """Return how many times as long the moving scan of a head is along every axis.

    The start is the rigid map between both, which is let turn and shift a little more.
    """
    similar = sitk.Similarity3DTransform()
    _refine(similar, target, moving, start, centre_mm, spacing_mm, "correlation")
    return float(similar.GetScale())


def _refine(
    transform: Any,  # noqa: ANN401  a versor transform of SimpleITK, rigid or with a scale
    target: Target,
    moving: sitk.Image,
    start: Float64[np.ndarray, "4 4"],
    centre_mm: Float64[np.ndarray, " 3"],
    spacing_mm: float,
    metric: Metric,
) -> None:
    """Move a transform from a rigid start to where both scans are most alike."""
    level = target.at(spacing_mm)
    transform.SetCenter(centre_mm)
    transform.SetMatrix(start[:3, :3].ravel(), 1e-6)
    transform.SetTranslation(start[:3, :3] @ centre_mm + start[:3, 3] - centre_mm)
    method = _method(level, step_mm=0.5)
    if metric == "correlation":
        method.SetMetricAsCorrelation()
    else:
        method.SetMetricAsMattesMutualInformation(BINS)
    if spacing_mm < MEDIUM_MM:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(0.3, SEED)
    method.SetInitialTransform(transform, inPlace=True)
    _execute(method, level.image, shrunk(moving, spacing_mm))


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
    pair, inside = _pair(target, moving, transform, spacing_mm)
    return (-1.0 if pair is None else float(np.corrcoef(*pair)[0, 1])), inside


def _pair(
    target: Target, moving: sitk.Image, transform: sitk.AffineTransform, spacing_mm: float
) -> tuple[tuple[Values, Values] | None, float]:
    """Read target and scan where both are inside the mask; None where one is all the same."""
    level = target.at(spacing_mm)
    wanted = sitk.GetArrayFromImage(level.mask).astype(bool)
    outside = -1e9
    resampled = sitk.Resample(
        shrunk(moving, spacing_mm), level.image, transform, sitk.sitkLinear, outside
    )
    scan = sitk.GetArrayFromImage(resampled)[wanted]
    held: Bool[np.ndarray, " n"] = scan > outside / 2
    pair = sitk.GetArrayFromImage(level.image)[wanted][held], scan[held]
    is_flat = held.sum() < 2 or min(float(x.std()) for x in pair) < SMALLEST_CONTRAST
    return (None if is_flat else pair), float(held.mean())


def information_of(
    target: Target, moving: sitk.Image, matrix: Float64[np.ndarray, "4 4"], spacing_mm: float
) -> tuple[float, float]:
    """Say what share of what target and scan hold is the same, and how much the field holds.

    The share is their mutual information over their joint entropy, 0 to 1: what Studholme, Hill and
    Hawkes call normalised (1999, Pattern Recognition 32:71), less one.
    """
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel())
    transform.SetTranslation(matrix[:3, 3])
    pair, inside = _pair(target, moving, transform, spacing_mm)
    if pair is None:
        return 0.0, inside
    joint = np.histogram2d(*pair, bins=BINS)[0] / len(pair[0])
    one, other, both = (_entropy(p) for p in (joint.sum(axis=1), joint.sum(axis=0), joint))
    return (one + other - both) / both, inside


def _entropy(share: Float64[np.ndarray, "*bins"]) -> float:
    """Return the entropy of shares that add up to one, in nats."""
    some = share[share > 0]
    return float(-(some * np.log(some)).sum())


def matrix_of(transform: sitk.AffineTransform) -> Float64[np.ndarray, "4 4"]:
    """Write a transform with a centre as one 4 x 4 matrix."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix[:3, 3] = shift + centre - matrix[:3, :3] @ centre
    return matrix
