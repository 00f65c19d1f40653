"""Pseudo test-retest: one scan made into another of the same head, by a move, noise and a bias.

Each repeat is sampled once from the scan, moved rigidly by millimetres and degrees, its contrast
bent, a smooth bias laid over it and noise added; then it goes the way of any scan. What a second
visit changes besides (the person, the coil, the sequence, motion) is in none of it, so the
variation found is a lower bound of the true one. Knows nothing of reports.
"""

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64
from scipy import ndimage
from scipy.spatial.transform import Rotation

from segment.calibration import THICKNESSES, Calibrated
from segment.canonical import canonical
from segment.crossfit import thickened
from segment.deform import Deformation
from segment.geometry import Geometry
from segment.infer import Side, segment_crops, segment_head
from segment.measure import VOLUME, Wanted, measure
from segment.measurement import Measurement
from segment.models import Segmenter
from segment.models.training.plan import case_name, subject_of
from segment.organs import Organ, Structure
from segment.quantiles import conformal_rank
from segment.reading import read_nifti
from segment.register import doubt, register
from segment.repeatability import COEFFICIENT, COVERAGE, Repeatability, RepeatLevel, Within
from segment.resample import sample
from segment.retest_needs import NOMINAL, RATIOS, check_differences, thickness_of
from segment.volume import Volume

CROP, HEAD, DEFORMED = "crop", "head", "deformed"
MOVE_MM = {CROP: 2.0, HEAD: 5.0}  # along each axis at most; a crop has a few millimetres to spare
TURN_DEGREES = 5.0  # about each axis at most
NOISE = (0.01, 0.04)  # standard deviation, as a share of the 1st to 99th percentile
DEFORMED_SEED = 77
BIAS = 0.1  # how far a bias goes at the corners of the field, at most, as a share
CONTRAST = 0.1  # how far the exponent that bends the contrast goes from one, at most
Warp = Callable[[Float64[np.ndarray, "n 3"]], Float64[np.ndarray, "n 3"]]


@dataclass(frozen=True)
class Retest:
    """One volume of one repeat; ``half_log`` is half the width of its interval, in logarithms.

    ``reason`` says why the volume is withheld and is empty where it is not; ``true_log`` is the
    logarithm of how many times larger the structure was made, zero in a plain repeat.
    """

    source: str
    case: int
    subject: int
    thickness_mm: int
    repeat: int
    structure: str
    value_ml: float
    half_log: float
    reason: str
    true_log: float = 0.0


@dataclass(frozen=True, eq=False)
class Measuring:
    """All that a repeat is measured with."""

    segmenter: Segmenter
    organ: Organ
    wanted: Wanted
    calibrated: Calibrated


@dataclass(frozen=True)
class RetestProgress:
    """One step of a run, for whoever shows it."""

    step: str
    done: int
    of: int


def repeated(
    volume: Volume, rng: np.random.Generator, move_mm: float, warp: Warp | None = None
) -> Volume:
    """Make a repeat of a scan; ``warp`` takes world points to where the scan is read instead."""
    geometry = volume.geometry
    motion = _motion(geometry, rng, move_mm)
    indices = np.indices(geometry.shape).reshape(3, -1).T.astype(np.float64)
    world = geometry.to_world(indices) @ motion[:3, :3].T + motion[:3, 3]
    points = geometry.to_indices(world if warp is None else warp(world))
    values = ndimage.map_coordinates(volume.array, points.T, order=3, mode="nearest")
    array = _disturbed(values.reshape(geometry.shape).astype(np.float32), rng)
    return Volume(array, geometry, volume.sha256, volume.modality, volume.sequence)


def _motion(
    geometry: Geometry, rng: np.random.Generator, move_mm: float
) -> Float64[np.ndarray, "4 4"]:
    """Draw a turn about the middle of the field and a shift."""
    turn = Rotation.from_euler("xyz", rng.uniform(-1, 1, 3) * TURN_DEGREES, degrees=True)
    motion = np.eye(4)
    motion[:3, :3] = turn.as_matrix()
    middle = geometry.centre_mm
    motion[:3, 3] = middle - motion[:3, :3] @ middle + rng.uniform(-1, 1, 3) * move_mm
    return motion


def _disturbed(
    array: Float32[np.ndarray, "i j k"], rng: np.random.Generator
) -> Float32[np.ndarray, "i j k"]:
    """Bend the contrast, lay a smooth bias over it and add noise."""
    low, high = np.percentile(array, (1, 99))
    scale = max(float(high - low), 1e-6)
    level = np.clip((array - low) / scale, 0, None)
    bent = level ** math.exp(rng.uniform(-CONTRAST, CONTRAST))
    axes = [np.linspace(-1, 1, n) for n in array.shape]
    i, j, k = np.meshgrid(*axes, indexing="ij", sparse=True)
    slopes = rng.uniform(-1, 1, 6)
    shape = slopes[0] * i + slopes[1] * j + slopes[2] * k
    shape = shape + slopes[3] * i * j + slopes[4] * j * k + slopes[5] * i * k
    bias = 1 + rng.uniform(0, BIAS) * shape / max(float(np.abs(shape).max()), 1e-6)
    noise = rng.normal(0, rng.uniform(*NOISE), array.shape)
    return np.asarray((bent * bias + noise) * scale + low, dtype=np.float32)


def held_out(data: Path, split: str) -> list[int]:
    """List the cases that no network has seen."""
    cases: list[int] = json.loads((data / split).read_text(encoding="utf-8"))["val"]
    return cases


def retest_crops(
    data: Path, split: str, images: str, measuring: Measuring, repeats: tuple[int, int]
) -> Iterator[Retest | RetestProgress]:
    """Repeat the held-out crops; ``repeats`` are those at 1 mm and at each thicker slice."""
    cases = held_out(data, split)
    for thickness in THICKNESSES:
        count = repeats[0] if thickness == THICKNESSES[0] else repeats[1]
        for done, case in enumerate(cases, start=1):
            volume = read_nifti(data / images / case_name(case))
            seeds = (np.random.default_rng([case, thickness, repeat]) for repeat in range(count))
            moved = [repeated(volume, rng, MOVE_MM[CROP]) for rng in seeds]
            scans = [thickened(scan, case % 3, thickness) for scan in moved]
            found = segment_crops(scans, "left", measuring.segmenter)
            for repeat, (scan, side) in enumerate(zip(scans, found, strict=True)):
                key = (CROP, case, subject_of(case), thickness, repeat)
                yield from _rows(key, measured((side,), scan, measuring))
            yield RetestProgress(f"{thickness} mm slices", done, len(cases))


def retest_deformed(
    data: Path, split: str, images: str, labels: str, measuring: Measuring
) -> Iterator[Retest | RetestProgress]:
    """Repeat the held-out crops as they are, and with a structure that is truly larger or smaller.

    How much larger each part becomes is counted on the expert's tracing.
    """
    cases = held_out(data, split)
    for done, case in enumerate(cases, start=1):
        image, label = (read_nifti(data / f / case_name(case)) for f in (images, labels))
        inside = {
            structure.name: _points_inside(label, structure, measuring)
            for structure in measuring.organ.structures
        }
        whole = max(inside.values(), key=len)
        changes = [None, *(Deformation.growing(whole, ratio) for ratio in RATIOS)]
        scans = [
            repeated(
                image,
                np.random.default_rng([case, DEFORMED_SEED, repeat]),
                MOVE_MM[CROP],
                None if change is None else change.back,
            )
            for repeat, change in enumerate(changes)
        ]
        found = segment_crops(scans, "left", measuring.segmenter)
        for repeat, (scan, side, change) in enumerate(zip(scans, found, changes, strict=True)):
            key = (DEFORMED, case, subject_of(case), THICKNESSES[0], repeat)
            for row in _rows(key, measured((side,), scan, measuring)):
                grown = 1.0 if change is None else change.growth(inside[row.structure])
                yield replace(row, true_log=math.log(grown))
        yield RetestProgress("deformed", done, len(cases))


def _points_inside(
    label: Volume, structure: Structure, measuring: Measuring
) -> Float64[np.ndarray, "n 3"]:
    """List the voxels of a structure in the expert's tracing, in world millimetres."""
    values = [measuring.segmenter.structures.index(name) for name in structure.labels]
    voxels = np.argwhere(np.isin(label.array, values)).astype(np.float64)
    return label.geometry.to_world(voxels)


def retest_heads(
    heads: Sequence[Volume], measuring: Measuring, count: int
) -> Iterator[Retest | RetestProgress]:
    """Repeat whole heads, which are found and registered anew each time."""
    for number, volume in enumerate(heads, start=1):
        thickness = thickness_of(volume)
        fine = _at_least_a_millimetre(volume)
        for repeat in range(count):
            rng = np.random.default_rng([number, repeat])
            scan = repeated(fine, rng, MOVE_MM[HEAD])
            found = register(scan)
            if doubt(found) is None:
                sides = segment_head(scan, measuring.organ, found, measuring.segmenter)
                key = (HEAD, number, number, thickness, repeat)
                yield from _rows(key, measured(sides, scan, measuring))
        yield RetestProgress("heads", number, len(heads))


def _at_least_a_millimetre(volume: Volume) -> Volume:
    """Read a head of small voxels on a grid of 1 mm, once, so that its repeats cost less."""
    if min(volume.geometry.spacing_mm) >= 0.9:
        return volume
    grid = canonical(volume.geometry)
    return Volume(sample(volume, grid)[0], grid, volume.sha256, volume.modality, volume.sequence)


def measured(sides: Sequence[Side], scan: Volume, measuring: Measuring) -> tuple[Measurement, ...]:
    """Measure the volumes of one repeat."""
    found = measure(
        sides,
        measuring.organ,
        measuring.wanted,
        measuring.calibrated,
        scan.geometry.spacing_mm,
    )
    return tuple(record for record in found if record.quantity == VOLUME)


def _rows(key: tuple[str, int, int, int, int], records: Sequence[Measurement]) -> Iterator[Retest]:
    """Write one row a volume; the right side of a head is a case of its own."""
    source, case, subject, thickness, repeat = key
    for record in records:
        interval = record.interval
        half = 0.0 if interval is None else math.log(interval.upper / interval.lower) / 2
        number = -case if record.side == "right" else case
        value = record.value or 0.0
        reason = record.reason or ""
        place = (source, number, subject, thickness, repeat)
        yield Retest(*place, record.structure, value, half, str(reason))


def estimate(retests: Sequence[Retest], name: str, source: str) -> Repeatability:
    """Estimate the variation at each slice thickness; crops and heads apart, the larger stands.

    Raises ValueError where too many repeats are withheld.
    """
    levels = []
    for thickness in sorted({row.thickness_mm for row in retests}):
        structures = {}
        for structure in dict.fromkeys(row.structure for row in retests):
            mine = [
                row
                for row in retests
                if (row.thickness_mm, row.structure) == (thickness, structure) and not row.reason
            ]
            try:
                structures[structure] = within(mine)
            except ValueError as error:
                msg = f"{structure} in slices of {thickness} mm: {error}"
                raise ValueError(msg) from error
        levels.append(RepeatLevel(float(thickness), structures))
    return Repeatability(name, source, tuple(levels))


def within(rows: Sequence[Retest]) -> Within:
    """Estimate one structure's variation from reportable repeats at one thickness.

    The SD is the pooled one or, where differences have longer tails than a normal distribution,
    the one whose coefficient holds 95 % of them; of crops and heads the larger. The correlation is
    the smaller of what plain repeats and what true changes need. A source of which no two repeats
    of one case are left says nothing. Raises ValueError for too few repeats.
    """
    deformed = [row for row in rows if row.source == DEFORMED]
    sources = dict.fromkeys(row.source for row in rows if row.source != DEFORMED)
    every = [[row for row in rows if row.source == source] for source in sources]
    by_source = [mine for mine in every if _by_case(mine)]
    plain = [row for mine in by_source for row in mine]
    counts = {"plain": len(differences(plain))}
    if deformed:
        counts["deformed"] = len(differences(deformed))
    check_differences(counts)
    return Within(
        sd_log=max(_sd_log(mine) for mine in by_source),
        correlation=min(_correlation(differences(mine)) for mine in (plain, deformed) if mine),
        subjects=len({(row.source == HEAD, row.subject) for row in plain}),
        repeats=len(plain),
    )


def differences(rows: Sequence[Retest]) -> list[tuple[float, float, float]]:
    """List by how much ln(later / earlier) is wrong, each with both half widths.

    Plain repeats are compared with their neighbours, deformed ones with the crop as it was.
    """
    found = []
    for repeats in _by_case(rows):
        first = [(repeats[0], other) for other in repeats[1:]]
        for one, other in first if repeats[0].source == DEFORMED else pairwise(repeats):
            ratio = math.log(other.value_ml / one.value_ml) - other.true_log + one.true_log
            found.append((ratio, one.half_log, other.half_log))
    return found


def _by_case(rows: Sequence[Retest]) -> list[list[Retest]]:
    cases = dict.fromkeys((row.source, row.case) for row in rows)
    found = [[row for row in rows if (row.source, row.case) == case] for case in cases]
    return [repeats for repeats in found if len(repeats) > 1]


def _sd_log(rows: Sequence[Retest]) -> float:
    """Return the larger of the pooled SD and that of the 95th percentile of differences."""
    logs = [np.log([row.value_ml for row in repeats]) for repeats in _by_case(rows)]
    pooled = math.sqrt(float(np.mean([values.var(ddof=1) for values in logs])))
    apart = [abs(values[:, None] - values)[np.triu_indices(len(values), 1)] for values in logs]
    tail = float(np.quantile(np.concatenate(apart), COVERAGE)) / COEFFICIENT
    return max(pooled, tail)


def _correlation(pairs: Sequence[tuple[float, float, float]]) -> float:
    """Return the largest correlation at which nine tenths of the intervals hold the true change.

    A change has the half width sqrt(a^2 + b^2 - 2 r a b) of both half widths a and b.
    """
    largest = sorted(
        ((a * a + b * b - ratio * ratio) / (2 * a * b) for ratio, a, b in pairs), reverse=True
    )
    found = largest[conformal_rank(len(largest), NOMINAL) - 1]
    return min(max(found, -1.0), 1.0)


def write_retests(path: Path, rows: Sequence[Retest]) -> None:
    """Write every repeat, so that the figures can be printed from them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([field.name for field in fields(Retest)])
        for row in rows:
            place = (row.source, row.case, row.subject, row.thickness_mm, row.repeat)
            numbers = (f"{row.value_ml:.4f}", f"{row.half_log:.4f}")
            table.writerow([*place, row.structure, *numbers, row.reason, f"{row.true_log:.5f}"])


def read_retests(path: Path) -> tuple[Retest, ...]:
    """Read what ``write_retests`` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(
            Retest(
                source=row["source"],
                case=int(row["case"]),
                subject=int(row["subject"]),
                thickness_mm=int(row["thickness_mm"]),
                repeat=int(row["repeat"]),
                structure=row["structure"],
                value_ml=float(row["value_ml"]),
                half_log=float(row["half_log"]),
                reason=row["reason"],
                true_log=float(row["true_log"]),
            )
            for row in csv.DictReader(file)
        )
