"""Where the slices of one series lie, from their positions alone. Knows nothing of pixels.

SliceThickness is never used: it can differ from the distance of the slices.
Source: PS3.3 C.7.6.2 Image Plane Module, equation C.7.6.2.1-1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.reading.header import Header
from segment.reading.volumes import SAME_POSITION_MM

ORIENTATION_TOLERANCE = 1e-3  # of a direction cosine: 0.06 degrees
SPACING_TOLERANCE_MM = 1e-3
DISTANCE_TOLERANCE = 0.01  # relative to the median; rounding in real files is below 0.0001
TILT_TOLERANCE_DEGREES = 0.5
# Uneven distances are resampled up to here. A slice that is missing doubles a distance: one that is
# nearly twice the median is refused, and so is one that no other within two places is like.
MOST_OF_MEDIAN = 1.9
MOST_OF_NEIGHBOURS = 1.5
NEIGHBOURS = 2
MOST_TILT_DEGREES = 45.0
MOST_SIDEWAYS_MM = 0.5  # off the straight line of a tilt
MOST_GAPS_NAMED = 4
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Layout:
    """Slices in order along their normal, and the grid that they are to be read on.

    ``distances_mm`` and ``offsets``, pixels along i and j, say where each slice lies against the
    first. ``grid_mm`` are the distances of the grid's slices, and ``margin`` the i and j of its
    first voxel; where ``is_stacked`` the slices are the grid's own and nothing is resampled.
    """

    headers: tuple[Header, ...]
    geometry: Geometry
    distances_mm: Float64[np.ndarray, " n"]
    offsets: Float64[np.ndarray, "n 2"]
    grid_mm: Float64[np.ndarray, " m"]
    margin: tuple[int, int]
    tilt_degrees: float
    is_stacked: bool

    @property
    def is_tilted(self) -> bool:
        """Whether the slices were moved against each other, as a tilted gantry does."""
        return self.tilt_degrees > TILT_TOLERANCE_DEGREES


def order_slices(headers: Sequence[Header], name: str) -> Layout:
    """Sort slices along their normal; say where they lie, and on which grid they can be read."""
    _check_present(headers, name)
    _check_one_plane(headers, name)
    axes = np.reshape(headers[0].vectors["ImageOrientationPatient"], (2, 3))
    normal = np.cross(*axes)
    positions = np.array([header.vectors["ImagePositionPatient"] for header in headers])
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    _check_distinct(positions @ normal, name)
    _check_gaps(positions @ normal, name)
    away = positions - positions[0]
    distances_mm, sideways_mm = away @ normal, away @ axes.T
    ordered = tuple(headers[index] for index in order)
    layout = _stacked(ordered, axes, positions, distances_mm)
    if _is_straight(away, distances_mm) and not layout.is_tilted:
        return layout
    _check_sideways(sideways_mm, distances_mm, layout.tilt_degrees, name)
    return _resampled(layout, axes, positions[0], sideways_mm)


def _is_straight(away: Float64[np.ndarray, "n 3"], distances_mm: Float64[np.ndarray, " n"]) -> bool:
    """Whether every step from slice to slice is the same."""
    steps = np.diff(away, axis=0)
    off = np.linalg.norm(steps - np.median(steps, axis=0), axis=1)
    return bool((off <= DISTANCE_TOLERANCE * np.median(np.diff(distances_mm))).all())


def _stacked(
    headers: tuple[Header, ...],
    axes: Float64[np.ndarray, "2 3"],
    positions: Float64[np.ndarray, "n 3"],
    distances_mm: Float64[np.ndarray, " n"],
) -> Layout:
    """Take the slices as they lie; what is left of a tilt within the tolerance is in the affine."""
    between_rows, between_columns = headers[0].vectors["PixelSpacing"]
    away = positions[-1] - positions[0]
    lps = np.eye(4)
    lps[:3, 0] = axes[0] * between_columns
    lps[:3, 1] = axes[1] * between_rows
    lps[:3, 2] = away / (len(positions) - 1)
    lps[:3, 3] = positions[0]
    shape = (headers[0].count("Columns"), headers[0].count("Rows"), len(headers))
    sideways_mm = float(np.linalg.norm(axes @ away))
    return Layout(
        headers,
        Geometry(shape, LPS_TO_RAS @ lps),
        distances_mm,
        offsets=np.zeros((len(headers), 2)),
        grid_mm=distances_mm,
        margin=(0, 0),
        tilt_degrees=float(np.degrees(np.arctan2(sideways_mm, distances_mm[-1]))),
        is_stacked=True,
    )


def _resampled(
    layout: Layout,
    axes: Float64[np.ndarray, "2 3"],
    origin: Float64[np.ndarray, " 3"],
    sideways_mm: Float64[np.ndarray, "n 2"],
) -> Layout:
    """Plan an upright grid around all slices, in steps of about the median distance."""
    between_rows, between_columns = layout.headers[0].vectors["PixelSpacing"]
    pixel_mm = np.array([between_columns, between_rows])
    offsets = sideways_mm / pixel_mm
    first, last = np.floor(offsets.min(axis=0)), np.ceil(offsets.max(axis=0))
    gaps_mm = np.diff(layout.distances_mm)
    is_even = bool(np.ptp(gaps_mm) <= 2 * DISTANCE_TOLERANCE * np.median(gaps_mm))
    grid_mm = layout.distances_mm if is_even else _even(layout.distances_mm)
    lps = np.eye(4)
    lps[:3, :2] = axes.T * pixel_mm
    lps[:3, 2] = np.cross(*axes) * layout.distances_mm[-1] / (len(grid_mm) - 1)
    lps[:3, 3] = origin + lps[:3, :2] @ first
    columns, rows, _ = layout.geometry.shape
    wider, taller = (last - first).astype(int)
    shape = (columns + int(wider), rows + int(taller), len(grid_mm))
    return Layout(
        layout.headers,
        Geometry(shape, LPS_TO_RAS @ lps),
        layout.distances_mm,
        offsets,
        grid_mm,
        margin=(int(first[0]), int(first[1])),
        tilt_degrees=layout.tilt_degrees,
        is_stacked=False,
    )


def _even(distances_mm: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " m"]:
    """Divide the whole length evenly, by a distance as near the median as can be."""
    steps = round(float(distances_mm[-1] / np.median(np.diff(distances_mm))))
    return np.linspace(0.0, distances_mm[-1], steps + 1)


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


def _check_gaps(distances_mm: Float64[np.ndarray, " n"], name: str) -> None:
    """Refuse distances that a missing slice leaves, and name where it is missing."""
    gaps_mm = np.diff(distances_mm)
    median_mm = float(np.median(gaps_mm))
    holes = [k for k in range(len(gaps_mm)) if _is_hole(gaps_mm, k, median_mm)]
    if not holes:
        return
    named = [
        f"{gaps_mm[k]:.4g} mm from {distances_mm[k]:.5g} to {distances_mm[k + 1]:.5g} mm"
        for k in holes[:MOST_GAPS_NAMED]
    ]
    more = f" and {len(holes) - MOST_GAPS_NAMED} more" if len(holes) > MOST_GAPS_NAMED else ""
    msg = (
        f"{name}: expected slices {median_mm:.4g} mm apart, found"
        f" {', '.join(named)}{more} along the slice normal;"
        " export the whole series again, with no slice missing"
    )
    raise ScanError(Refusal.UNEVEN_SLICES, msg)


def _is_hole(gaps_mm: Float64[np.ndarray, " n"], k: int, median_mm: float) -> bool:
    around = np.r_[gaps_mm[max(k - NEIGHBOURS, 0) : k], gaps_mm[k + 1 : k + 1 + NEIGHBOURS]]
    is_alone = around.size > 0 and gaps_mm[k] > MOST_OF_NEIGHBOURS * around.max()
    return bool(is_alone or gaps_mm[k] > MOST_OF_MEDIAN * median_mm)


def _check_sideways(
    sideways_mm: Float64[np.ndarray, "n 2"],
    distances_mm: Float64[np.ndarray, " n"],
    tilt_degrees: float,
    name: str,
) -> None:
    """Refuse a tilt no gantry has, and slices that lie on no straight line."""
    if tilt_degrees > MOST_TILT_DEGREES:
        msg = (
            f"{name}: expected a gantry tilt of at most {MOST_TILT_DEGREES:g} degrees, found"
            f" {tilt_degrees:.1f} degrees; export the series resampled without tilt"
        )
        raise ScanError(Refusal.UNSUPPORTED_DICOM, msg)
    line = np.outer(distances_mm / distances_mm[-1], sideways_mm[-1])
    off_mm = float(np.linalg.norm(sideways_mm - line, axis=1).max())
    if off_mm > MOST_SIDEWAYS_MM:
        msg = (
            f"{name}: expected slices along one straight line, found one {off_mm:.3g} mm beside"
            " it; export the whole series again, without slices of another"
        )
        raise ScanError(Refusal.UNEVEN_SLICES, msg)
