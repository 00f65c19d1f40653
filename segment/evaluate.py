"""How well masks and intervals agree with an expert's. Knows nothing of networks or files.

Distances are between the centres of surface voxels (set voxels with an unset face neighbour, or on
the border of the grid), each surface voxel counting once, as in MONAI. DeepMind's surface-distance
weighs surface elements by their area instead and gives slightly smaller distances. Centres are
taken to world millimetres first, so oblique, anisotropic and sheared grids need no special case.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from jaxtyping import Bool, Float64, Integer
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree
from scipy.stats import betabinom

from segment.geometry import MM3_PER_ML, Geometry
from segment.measurement import Interval
from segment.quantiles import conformal_rank

TOLERANCE_MM = 1.0
HAUSDORFF_PERCENTILE = 95.0
BOOTSTRAP_DRAWS = 2000
TERCILES = ("smallest third", "middle third", "largest third")
HARDEST = "hardest fifth"

Json = dict[str, str | int | float | bool | None]

# Of fewer subjects nothing is said: with all of nine covered the exact 95 % interval of a coverage
# still begins at 66 %.
LEAST_SUBJECTS = 10


@dataclass(frozen=True)
class Agreement:
    """One predicted structure against an expert's, on one grid.

    With P and E the predicted and the expert's voxels and d the distances of all surface voxels
    of both masks to the nearest surface voxel of the other one:

    - ``dice``: 2 |P and E| / (|P| + |E|) (Dice 1945).
    - ``surface_dice``: share of d that is at most 1 mm (normalised surface distance, Nikolov et
      al. 2018, counted in voxels).
    - ``hausdorff95_mm``: the larger of the two 95th percentiles of d, one a direction.
    - ``mean_surface_distance_mm``: mean of d, both directions together (symmetric).
    - ``precision``, ``recall``: |P and E| / |P| and |P and E| / |E|.
    - ``relative_volume_error``: (|P| - |E|) / |E|, with its sign.

    Two empty masks agree: 1, distances 0, error 0. One empty mask: 0, and the distances are the
    diagonal of the grid, the largest there can be; the error over an empty tracing is None.
    """

    structure: str
    dice: float
    surface_dice: float
    hausdorff95_mm: float
    mean_surface_distance_mm: float
    precision: float
    recall: float
    relative_volume_error: float | None
    predicted_ml: float
    expert_ml: float

    def to_dict(self) -> Json:
        """Return the fields as JSON takes them."""
        return asdict(self)


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` values of ``groups`` subjects with its bootstrap interval, none of one."""

    mean: float
    lower: float | None
    upper: float | None
    coverage: float
    n: int
    groups: int

    def to_dict(self) -> Json:
        """Return the fields as JSON takes them."""
        return asdict(self)


@dataclass(frozen=True)
class Summary:
    """One quantity of one structure over all cases."""

    structure: str
    quantity: str
    estimate: Estimate

    def to_dict(self) -> Json:
        """Return the fields as JSON takes them, the estimate's beside the others."""
        return {
            "structure": self.structure,
            "quantity": self.quantity,
            **self.estimate.to_dict(),
        }


@dataclass(frozen=True)
class Judged:
    """One measured interval beside the expert's value.

    ``difficulty`` is the measurement's own uncertainty score: the hardest fifth is by it.
    """

    structure: str
    group: Hashable
    true: float
    value: float
    interval: Interval
    difficulty: float

    @property
    def is_covered(self) -> bool:
        """Whether the interval holds the expert's value."""
        return bool(self.interval.lower <= self.true <= self.interval.upper)

    @property
    def relative_width(self) -> float:
        """Width of the interval over the measured value."""
        return float((self.interval.upper - self.interval.lower) / self.value)


@dataclass(frozen=True)
class Band:
    """Shares of covered cases that a valid calibration yields with probability ``probability``."""

    lower: float
    upper: float
    probability: float

    def __contains__(self, share: float) -> bool:
        return self.lower <= share <= self.upper


@dataclass(frozen=True)
class CoverageRow:
    """Coverage and width of the intervals of one structure in one stratum of cases."""

    structure: str
    stratum: str
    nominal: float
    coverage: Estimate
    relative_width: Estimate
    band: Band

    @property
    def is_inside_band(self) -> bool:
        """Whether the observed coverage is one that a valid calibration yields."""
        return self.coverage.mean in self.band

    def to_dict(self) -> Json:
        """Return one flat row as JSON takes it."""
        return {
            "structure": self.structure,
            "stratum": self.stratum,
            "nominal": self.nominal,
            "n": self.coverage.n,
            **{f"coverage_{k}": getattr(self.coverage, k) for k in ("mean", "lower", "upper")},
            **{f"width_{k}": getattr(self.relative_width, k) for k in ("mean", "lower", "upper")},
            "band_lower": self.band.lower,
            "band_upper": self.band.upper,
            "is_inside_band": self.is_inside_band,
            "is_too_small": self.coverage.groups < LEAST_SUBJECTS,
        }


def compare(
    predicted: Integer[np.ndarray, "i j k"],
    expert: Integer[np.ndarray, "_ _ _"],
    geometry: Geometry,
    structures: Mapping[str, Sequence[int]],
) -> tuple[Agreement, ...]:
    """Compare two label arrays on one grid; ``structures`` names the labels that make up each.

    Raises ValueError when an array does not fill the grid.
    """
    for name, array in (("predicted", predicted), ("expert's", expert)):
        if array.shape != geometry.shape:
            msg = f"the {name} labels {array.shape} do not fill the grid {geometry.shape}"
            raise ValueError(msg)
    return tuple(
        compare_masks(np.isin(predicted, labels), np.isin(expert, labels), geometry, name)
        for name, labels in structures.items()
    )


def compare_masks(
    predicted: Bool[np.ndarray, "i j k"],
    expert: Bool[np.ndarray, "i j k"],
    geometry: Geometry,
    structure: str = "mask",
) -> Agreement:
    """Compare one structure's masks on one grid."""
    both = int((predicted & expert).sum())
    mine, theirs = int(predicted.sum()), int(expert.sum())
    to_expert, to_predicted = surface_distances_mm(predicted, expert, geometry)
    distances = np.concatenate([to_expert, to_predicted])
    error = (mine - theirs) / theirs if theirs else None
    return Agreement(
        structure=structure,
        dice=_ratio(2 * both, mine + theirs),
        surface_dice=float((distances <= TOLERANCE_MM).mean()),
        hausdorff95_mm=max(
            float(np.percentile(d, HAUSDORFF_PERCENTILE)) for d in (to_expert, to_predicted)
        ),
        mean_surface_distance_mm=float(distances.mean()),
        precision=_ratio(both, mine, otherwise=theirs == 0),
        recall=_ratio(both, theirs, otherwise=mine == 0),
        relative_volume_error=0.0 if mine == theirs else error,
        predicted_ml=mine * geometry.voxel_volume_mm3 / MM3_PER_ML,
        expert_ml=theirs * geometry.voxel_volume_mm3 / MM3_PER_ML,
    )


def surface_distances_mm(
    predicted: Bool[np.ndarray, "i j k"],
    expert: Bool[np.ndarray, "i j k"],
    geometry: Geometry,
) -> tuple[Float64[np.ndarray, " p"], Float64[np.ndarray, " e"]]:
    """Measure from each surface voxel to the other mask's nearest, in both directions.

    Two empty masks are 0 apart; an empty one is a diagonal of the grid away from any other.
    """
    mine, theirs = _surface_mm(predicted, geometry), _surface_mm(expert, geometry)
    if len(mine) and len(theirs):
        return _nearest_mm(mine, theirs), _nearest_mm(theirs, mine)
    apart = _diagonal_mm(geometry) if len(mine) or len(theirs) else 0.0
    return np.full(max(len(mine), 1), apart), np.full(max(len(theirs), 1), apart)


def _surface_mm(mask: Bool[np.ndarray, "i j k"], geometry: Geometry) -> Float64[np.ndarray, "n 3"]:
    """Place the centres of the surface voxels of a mask in the world."""
    surface = mask & ~binary_erosion(mask)
    return geometry.to_world(np.argwhere(surface).astype(np.float64))


def _nearest_mm(
    points: Float64[np.ndarray, "n 3"], others: Float64[np.ndarray, "m 3"]
) -> Float64[np.ndarray, " n"]:
    """Measure from each point to the nearest of the others."""
    return np.asarray(KDTree(others).query(points)[0], dtype=np.float64)


def _diagonal_mm(geometry: Geometry) -> float:
    """Measure the longest diagonal of a grid, voxel centre to voxel centre."""
    i, j, k = (np.arange(2) * (n - 1) for n in geometry.shape)
    corners = np.stack(np.meshgrid(i, j, k, indexing="ij"), axis=-1).reshape(-1, 3)
    world = geometry.to_world(corners.astype(np.float64))
    return float(np.linalg.norm(world[:, None] - world[None], axis=-1).max())


def _ratio(part: int, whole: int, *, otherwise: bool = True) -> float:
    """Divide; 0 / 0 is 1 or, unless ``otherwise``, 0."""
    return part / whole if whole else float(otherwise)


def summarise(
    agreements: Sequence[Agreement], groups: Sequence[Hashable], rng: np.random.Generator
) -> tuple[Summary, ...]:
    """Average every quantity of each structure, with a bootstrap interval by group.

    The volume error is averaged with its sign (the bias) and without it.
    """
    rows: list[Summary] = []
    for name in dict.fromkeys(a.structure for a in agreements):
        chosen = [i for i, a in enumerate(agreements) if a.structure == name]
        mine = [groups[i] for i in chosen]
        for quantity, values in _quantities([agreements[i] for i in chosen]).items():
            kept = [i for i, value in enumerate(values) if math.isfinite(value)]
            if not kept:
                continue
            estimate = bootstrap_interval(
                [values[i] for i in kept], rng, groups=[mine[i] for i in kept]
            )
            rows.append(Summary(name, quantity, estimate))
    return tuple(rows)


def _quantities(agreements: Sequence[Agreement]) -> dict[str, list[float]]:
    """Turn agreements into one list of values a quantity; an absent value is not a number."""
    columns = {
        field.name: [getattr(a, field.name) for a in agreements]
        for field in fields(Agreement)
        if field.name not in ("structure", "predicted_ml", "expert_ml")
    }
    errors = [math.nan if e is None else e for e in columns["relative_volume_error"]]
    columns["relative_volume_error"] = errors
    columns["absolute_relative_volume_error"] = [abs(e) for e in errors]
    return columns


def bootstrap_interval(
    values: Sequence[float],
    rng: np.random.Generator,
    coverage: float = 0.95,
    groups: Sequence[Hashable] | None = None,
) -> Estimate:
    """Average with a percentile interval of a bootstrap over whole groups.

    Both hippocampi of a head are one group: resampling single values would make the interval too
    narrow (Field and Welsh 2007). Without groups each value is its own. Raises ValueError for no
    values or for another number of groups than of values.
    """
    labels = list(range(len(values))) if groups is None else list(groups)
    if not values or len(labels) != len(values):
        msg = f"a bootstrap takes a group for each value, not {len(labels)} for {len(values)}"
        raise ValueError(msg)
    codes = {label: code for code, label in enumerate(dict.fromkeys(labels))}
    index = np.array([codes[label] for label in labels])
    sums = np.bincount(index, weights=np.asarray(values, dtype=np.float64))
    counts = np.bincount(index)
    drawn = rng.integers(len(codes), size=(BOOTSTRAP_DRAWS, len(codes)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    tail = (1 - coverage) / 2
    ends = np.quantile(means, [tail, 1 - tail]).tolist()
    lower, upper = ends if len(codes) > 1 else (None, None)
    return Estimate(
        mean=float(np.mean(values)),
        lower=lower,
        upper=upper,
        coverage=coverage,
        n=len(values),
        groups=len(codes),
    )


def acceptance_band(
    calibration_n: int, test_n: int, nominal: float = 0.9, probability: float = 0.95
) -> Band:
    """Bound the share of ``test_n`` cases that valid conformal intervals cover.

    Given ``calibration_n`` exchangeable cases the covered number is beta-binomial with
    a = ceil((n + 1) nominal) and b = n + 1 - a (Vovk 2012; Angelopoulos and Bates 2023, section
    3.2). Two sides of one head are not exchangeable with strangers', so count subjects where the
    stricter reading matters. Raises ValueError when ``calibration_n`` cannot support the level.
    """
    if test_n < 1:
        msg = f"a band of coverage needs test cases, not {test_n}"
        raise ValueError(msg)
    rank = conformal_rank(calibration_n, nominal)
    covered = betabinom(test_n, rank, calibration_n + 1 - rank)
    tail = (1 - probability) / 2
    return Band(
        float(covered.ppf(tail)) / test_n, float(covered.ppf(1 - tail)) / test_n, probability
    )


def coverage_table(
    cases: Sequence[Judged],
    calibration_n: int,
    rng: np.random.Generator,
    nominal: float = 0.9,
) -> tuple[CoverageRow, ...]:
    """State coverage and relative width of intervals by structure and stratum.

    Strata are all cases, thirds by the expert's value and the hardest fifth by ``difficulty``; an
    empty stratum has no row. ``cases`` must not have served in the calibration, or must each have
    been left out of their own (out of fold).
    """
    rows: list[CoverageRow] = []
    for name in dict.fromkeys(case.structure for case in cases):
        mine = [case for case in cases if case.structure == name]
        for stratum, chosen in _strata(mine):
            if not chosen:
                continue
            groups = [case.group for case in chosen]
            covered = [float(case.is_covered) for case in chosen]
            widths = [case.relative_width for case in chosen]
            rows.append(
                CoverageRow(
                    structure=name,
                    stratum=stratum,
                    nominal=nominal,
                    coverage=bootstrap_interval(covered, rng, groups=groups),
                    relative_width=bootstrap_interval(widths, rng, groups=groups),
                    band=acceptance_band(calibration_n, len(chosen), nominal),
                )
            )
    return tuple(rows)


def _strata(cases: Sequence[Judged]) -> Iterable[tuple[str, list[Judged]]]:
    """Split the cases of one structure."""
    yield "all", list(cases)
    by_size = sorted(cases, key=lambda case: case.true)
    for name, chosen in zip(TERCILES, np.array_split(np.arange(len(cases)), 3), strict=True):
        yield name, [by_size[i] for i in chosen]
    by_difficulty = sorted(cases, key=lambda case: case.difficulty)
    yield HARDEST, by_difficulty[len(cases) - len(cases) // 5 :]
