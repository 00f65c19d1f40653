"""Where the slices of one series lie, from their positions alone. Knows nothing of pixels.

SliceThickness is never used: it can differ from the distance of the slices.
Source: PS3.3 C.7.6.2 Image Plane Module, equation C.7.6.2.1-1.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.reading.header import Header

ORIENTATION_TOLERANCE = 1e-3  # of a direction cosine: 0.06 degrees
SPACING_TOLERANCE_MM = 1e-3
SAME_POSITION_MM = 0.01
DISTANCE_TOLERANCE = 0.01  # relative to the median; rounding in real files is below 0.0001
TILT_TOLERANCE_DEGREES = 0.5
MOST_GAPS_NAMED = 4
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def order_slices(headers: Sequence[Header], name: str) -> tuple[tuple[Header, ...], Geometry]:
    """Sort slices along their normal; return them with their grid, columns x rows x slices."""
    _check_present(headers, name)
    _check_one_plane(headers, name)
    first = headers[0]
    across, down = np.reshape(first.vectors["ImageOrientationPatient"], (2, 3))
    normal = np.cross(across, down)
    positions = np.array([header.vectors["ImagePositionPatient"] for header in headers])
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    _check_distinct(positions @ normal, name)
    _check_even(positions, normal, name)
    between_rows, between_columns = first.vectors["PixelSpacing"]
    lps = np.eye(4)
    lps[:3, 0] = across * between_columns
    lps[:3, 1] = down * between_rows
    lps[:3, 2] = (positions[-1] - positions[0]) / (len(positions) - 1)
    lps[:3, 3] = positions[0]
    shape = (first.count("Columns"), first.count("Rows"), len(positions))
    return tuple(headers[index] for index in order), Geometry(shape, LPS_TO_RAS @ lps)


def _check_present(headers: Sequence[Header], name: str) -> None:
    """Refuse a slice without spacing, position or orientation, and a single slice."""
    if any(min(header.vectors.get("PixelSpacing", (0.0,))) <= 0 for header in headers):
        msg = f"{name}: expected PixelSpacing in mm, found none or zero; export the series again"
        raise ScanError(Refusal.NO_SPACING, msg)
    needed = {"ImagePositionPatient", "ImageOrientationPatient"}
    if any(needed - set(header.vectors) for header in headers):
        msg = (
            f"{name}: expected the position and orientation of every slice, found one without;"
            " export the original series"
        )
        raise ScanError(Refusal.AMBIGUOUS_POSITION, msg)
    if len(headers) < 2:
        msg = f"{name}: expected a series of slices, found one slice; give the series' folder"
        raise ScanError(Refusal.WRONG_DIMENSIONS, msg)


def _check_one_plane(headers: Sequence[Header], name: str) -> None:
    """Refuse slices that differ in size, pixel spacing or orientation, and axes that are none."""
    spread = {
        "size": _spread([(h.numbers["Rows"], h.numbers["Columns"]) for h in headers]) > 0,
        "pixel spacing": _spread([h.vectors["PixelSpacing"] for h in headers])
        > SPACING_TOLERANCE_MM,
        "orientation": _spread([h.vectors["ImageOrientationPatient"] for h in headers])
        > ORIENTATION_TOLERANCE,
    }
    for what, differs in spread.items():
        if differs:
            msg = f"{name}: expected slices of one {what}, found several; give one series"
            raise ScanError(Refusal.UNEVEN_SLICES, msg)
    axes = np.reshape(headers[0].vectors["ImageOrientationPatient"], (2, 3))
    if np.abs(axes @ axes.T - np.eye(2)).max() > ORIENTATION_TOLERANCE:
        msg = (
            f"{name}: expected two perpendicular unit vectors as ImageOrientationPatient,"
            " found others; export the original series"
        )
        raise ScanError(Refusal.SINGULAR_AFFINE, msg)


def _spread(values: Sequence[tuple[float, ...]]) -> float:
    return float(np.ptp(np.array(values, dtype=np.float64), axis=0).max())


def _check_distinct(distances_mm: Float64[np.ndarray, " n"], name: str) -> None:
    """Refuse slices at the same position: a copy, or several volumes in one series."""
    repeated = np.diff(distances_mm) < SAME_POSITION_MM
    count, distinct = len(distances_mm), len(distances_mm) - int(repeated.sum())
    if 2 * distinct <= count + 1:
        msg = (
            f"{name}: expected one volume, found several volumes in one series"
            f" ({count} slices at {distinct} positions); export one of them alone"
        )
        raise ScanError(Refusal.UNSUPPORTED_DICOM, msg)
    if repeated.any():
        where = ", ".join(f"{mm:g}" for mm in distances_mm[1:][repeated][:MOST_GAPS_NAMED])
        msg = (
            f"{name}: expected one slice at each position, found several at {where} mm"
            " along the slice normal; remove the copies"
        )
        raise ScanError(Refusal.UNEVEN_SLICES, msg)


def _check_even(
    positions: Float64[np.ndarray, "n 3"], normal: Float64[np.ndarray, " 3"], name: str
) -> None:
    """Refuse missing and uneven slices, and a gantry tilt: steps that leave the normal."""
    steps = np.diff(positions, axis=0)
    step = np.median(steps, axis=0)
    distance_mm = float(step @ normal)
    uneven = np.linalg.norm(steps - step, axis=1) > DISTANCE_TOLERANCE * distance_mm
    if uneven.any():
        along = positions @ normal
        gaps = [
            f"{along[k + 1] - along[k]:.4g} mm from {along[k]:.5g} to {along[k + 1]:.5g} mm"
            for k in np.flatnonzero(uneven)
        ]
        more = f" and {len(gaps) - MOST_GAPS_NAMED} more" if len(gaps) > MOST_GAPS_NAMED else ""
        msg = (
            f"{name}: expected slices {distance_mm:.4g} mm apart, found"
            f" {', '.join(gaps[:MOST_GAPS_NAMED])}{more} along the slice normal;"
            " export the whole series again, with no slice missing"
        )
        raise ScanError(Refusal.UNEVEN_SLICES, msg)
    sideways_mm = float(np.linalg.norm(step - distance_mm * normal))
    tilt = float(np.degrees(np.arctan2(sideways_mm, distance_mm)))
    if tilt > TILT_TOLERANCE_DEGREES:
        msg = (
            f"{name}: expected slices stacked along their normal, found a gantry tilt of"
            f" {tilt:.1f} degrees; export the series resampled without tilt"
        )
        raise ScanError(Refusal.UNSUPPORTED_DICOM, msg)
