"""Calibrate the ensemble on cases its out-of-fold twins never saw. Knows nothing of reports.

Each training case is segmented by the ensemble of the fold that left its subject out, the way a
user's crop is: read, cut, resampled, counted on its own grid. Thicker slices are the same cases
with groups of slices averaged along one axis.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.optimize import minimize
from scipy.special import softmax

from segment.calibration import THICKNESSES, Calibrated, Level, spread
from segment.geometry import Geometry
from segment.infer import segment_crop
from segment.intervals import Grouping
from segment.measure import agreement, member_volumes_ml
from segment.models import Box
from segment.models.devices import runtime_here
from segment.models.ensemble import Ensemble, pack, read
from segment.models.training.plan import Run, TrainingPlan, case_name, plan_runs, subject_of
from segment.organs import Organ, Structure
from segment.quantiles import cases_needed, reach
from segment.reading import read_nifti
from segment.volume import Volume

WEIGHTS = "weights.safetensors"
FLOORS = np.linspace(0.005, 0.2, 40)
WIDTH_GIVEN_UP = 0.02  # of the narrowest mean width, for even coverage
LEAST_AGREEMENT_QUANTILE = 0.005
VOXELS_A_CASE = 4000  # drawn for the temperature
NOMINAL = 0.9
LARGEST_LOG_TEMPERATURE = 2.0  # networks that learnt nothing would ask for an infinite one


@dataclass(frozen=True)
class Case:
    """What one out-of-fold ensemble counted in one case, beside the expert's count."""

    case: int
    fold: int
    thickness_mm: int
    structure: str
    true_ml: float
    value_ml: float
    member_ml: tuple[float, ...]
    agreement: float

    @property
    def log_ratio(self) -> float:
        """ln(true / counted); an empty count is as wrong as can be written."""
        return float(np.log(self.true_ml / max(self.value_ml, 1e-3)))


@dataclass(frozen=True, eq=False)
class Fold:
    """An ensemble and the cases it never saw."""

    number: int
    ensemble: Ensemble
    cases: tuple[int, ...]


@dataclass(frozen=True)
class CrossfitProgress:
    """One step of a calibration, for whoever shows it."""

    step: str
    done: int
    of: int


def crossfit(
    plan: TrainingPlan,
    organ: Organ,
    data: Path,
    runs: Path,
    output: Path,
    coverage: float = NOMINAL,
    *,
    is_by_subject: bool = False,
    intervals: Grouping | None = None,
) -> Iterator[CrossfitProgress]:
    """Fit temperature and scores; write weights.safetensors, calibration.json and cases.csv.

    ``coverage`` is that of the intervals to come; where there are too few subjects for it, the
    calibration holds no scores. ``is_by_subject`` is as in ``calibrate``, and ``intervals`` says
    which scores judge a count, all unless said.
    Raises FileNotFoundError for a run that is not trained yet.
    """
    split = json.loads((data / plan.split).read_text(encoding="utf-8"))
    planned = plan_runs(plan, split)
    folds = folds_of(plan, planned, runs)
    held_out = [(fold, case) for fold in folds for case in fold.cases]
    drawn = []
    for done, (fold, case) in enumerate(held_out, start=1):
        drawn.append(_draw(fold.ensemble, plan, data, case))
        yield CrossfitProgress("temperature", done, len(held_out))
    temperature = fit_temperature(drawn)
    folds = [replace(f, ensemble=replace(f.ensemble, temperature=temperature)) for f in folds]
    held_out = [(fold, case) for fold in folds for case in fold.cases]
    found: list[Case] = []
    for thickness in THICKNESSES:
        for done, (fold, case) in enumerate(held_out, start=1):
            found += judge(fold, plan, organ, data, case, thickness)
            yield CrossfitProgress(f"{thickness} mm slices", done, len(held_out))
    calibrated = calibrate(
        found, organ, temperature.tolist(), plan.split, coverage, is_by_subject=is_by_subject
    )
    calibrated = replace(calibrated, intervals=intervals or calibrated.intervals)
    output.mkdir(parents=True, exist_ok=True)
    members = {r.seed: runs / r.name / WEIGHTS for r in planned if r.fold is None}
    pack(members, temperature, output / WEIGHTS)
    (output / "calibration.json").write_text(calibrated.to_json(), encoding="utf-8")
    write_cases(output / "cases.csv", found)


def write_cases(path: Path, cases: Sequence[Case]) -> None:
    """Write what the out-of-fold ensembles counted, so that coverage can be printed from it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([field.name for field in fields(Case)])
        for case in cases:
            members = " ".join(f"{volume:.4f}" for volume in case.member_ml)
            numbers = [f"{x:.4f}" for x in (case.true_ml, case.value_ml)]
            row = [case.case, case.fold, case.thickness_mm, case.structure, *numbers]
            table.writerow([*row, members, f"{case.agreement:.4f}"])


def read_judged(path: Path) -> tuple[Case, ...]:
    """Read what ``write_cases`` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(
            Case(
                case=int(row["case"]),
                fold=int(row["fold"]),
                thickness_mm=int(row["thickness_mm"]),
                structure=row["structure"],
                true_ml=float(row["true_ml"]),
                value_ml=float(row["value_ml"]),
                member_ml=tuple(float(volume) for volume in row["member_ml"].split()),
                agreement=float(row["agreement"]),
            )
            for row in csv.DictReader(file)
        )


def calibrate(
    cases: Sequence[Case],
    organ: Organ,
    temperature: Sequence[float],
    source: str,
    coverage: float = NOMINAL,
    *,
    is_by_subject: bool = False,
) -> Calibrated:
    """Turn judged cases into floors, scores and the least agreement, by structure.

    Both sides of a head are alike, so subjects are counted: where they are too few for the
    coverage, a list of scores is empty. Where ``is_by_subject``, volumes are scored on one side of
    each subject, which is drawn: with so few, two alike sides would pass for two cases.
    """
    chosen = one_a_subject(cases) if is_by_subject else cases
    at_native = [case for case in chosen if case.thickness_mm == THICKNESSES[0]]
    by_name = {s.name: [c for c in at_native if c.structure == s.name] for s in organ.structures}
    subjects = len({subject_of(case.case) for case in at_native})
    has_volumes = subjects >= cases_needed(coverage, is_two_sided=True)
    floor = {
        name: best_floor(mine, coverage) if has_volumes else float(np.median(FLOORS))
        for name, mine in by_name.items()
    }
    levels = []
    for thickness in THICKNESSES:
        mine = [case for case in cases if case.thickness_mm == thickness]
        drawn = [case for case in chosen if case.thickness_mm == thickness]
        scores = {
            s.name: scored([c for c in drawn if c.structure == s.name], floor[s.name])
            for s in organ.structures
        }
        pairs = {
            s.name: tuple(sorted(asymmetry_scores(mine, s, floor[s.name])))
            for s in organ.structures
        }
        volume = {name: of if has_volumes else () for name, (of, _) in scores.items()}
        size_ml = {name: of if has_volumes else () for name, (_, of) in scores.items()}
        has_pairs = has_volumes and min(map(len, pairs.values())) >= cases_needed(coverage)
        asymmetry = pairs if has_pairs else dict.fromkeys(pairs, ())
        levels.append(Level(float(thickness), volume, asymmetry, size_ml))
    coarsest = [case for case in cases if case.thickness_mm == THICKNESSES[-1]]
    least = {
        s.name: float(np.quantile(_agreements(coarsest, s.name), LEAST_AGREEMENT_QUANTILE))
        for s in organ.structures
    }
    name = f"out-of-fold-{subjects}-subjects"
    return Calibrated(name, source, floor, least, tuple(temperature), tuple(levels))


def one_a_subject(cases: Sequence[Case]) -> list[Case]:
    """Keep one side of each subject, whichever its number draws, at every thickness."""
    sides: dict[int, set[int]] = {}
    for case in cases:
        sides.setdefault(subject_of(case.case), set()).add(case.case)
    kept = {
        int(np.random.default_rng(subject).choice(sorted(mine))) for subject, mine in sides.items()
    }
    return [case for case in cases if case.case in kept]


def _agreements(cases: Sequence[Case], structure: str) -> list[float]:
    """List how well the members agreed on one structure."""
    return [case.agreement for case in cases if case.structure == structure]


def score(case: Case, floor: float) -> float:
    """Return the signed score of a case."""
    return case.log_ratio / spread(case.member_ml, floor)


def scored(cases: Sequence[Case], floor: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the sorted scores of cases, and what each of these counted, in mL."""
    pairs = sorted((score(case, floor), case.value_ml) for case in cases)
    return tuple(s for s, _ in pairs), tuple(v for _, v in pairs)


def best_floor(cases: Sequence[Case], coverage: float = NOMINAL) -> float:
    """Choose the lowest floor whose intervals are nearly as narrow as the narrowest, on average.

    The mean width hardly depends on the floor around its minimum, and under a low floor the
    members' spread says more: where they differ, intervals are wide enough to hold the truth as
    often as elsewhere.
    """
    widths = []
    ratios = np.array([case.log_ratio for case in cases])
    variations = np.array([spread(case.member_ml, 0.0) for case in cases])
    for floor in FLOORS:
        spreads = np.hypot(variations, floor)
        below, above = reach((ratios / spreads).tolist(), coverage)
        widths.append(np.mean(np.exp(above * spreads) - np.exp(below * spreads)))
    nearly = np.array(widths) <= min(widths) * (1 + WIDTH_GIVEN_UP)
    return float(FLOORS[np.flatnonzero(nearly)[0]])


def thickened(volume: Volume, axis: int, thickness: int) -> Volume:
    """Average groups of slices along one axis, as a scan with thicker slices would have."""
    if thickness == 1:
        return volume
    shape = np.array(volume.geometry.shape)
    kept = int(shape[axis] // thickness)
    array = np.moveaxis(volume.array, axis, 0)[: kept * thickness]
    array = array.reshape(kept, thickness, *array.shape[1:]).mean(axis=1)
    affine = volume.geometry.affine.copy()
    affine[:3, 3] += affine[:3, axis] * (thickness - 1) / 2
    affine[:3, axis] *= thickness
    array = np.ascontiguousarray(np.moveaxis(array, 0, axis))
    i, j, k = array.shape
    return Volume(array, Geometry((i, j, k), affine), volume.sha256)


def fit_temperature(
    drawn: Sequence[
        tuple[Float32[np.ndarray, "member structure voxel"], Int64[np.ndarray, " voxel"]]
    ],
) -> Float32[np.ndarray, " structure"]:
    """Find one temperature a structure that makes the averaged probabilities most likely."""
    structures = drawn[0][0].shape[1]

    def loss(log_temperature: Float64[np.ndarray, " structure"]) -> float:
        scale = np.exp(log_temperature)[None, :, None]
        return float(np.mean([_surprise(logs / scale, labels) for logs, labels in drawn]))

    bounds = [(-LARGEST_LOG_TEMPERATURE, LARGEST_LOG_TEMPERATURE)] * structures
    fitted = minimize(loss, np.zeros(structures), bounds=bounds, method="L-BFGS-B")
    return np.exp(fitted.x).astype(np.float32)


def _surprise(
    logs: Float64[np.ndarray, "member structure voxel"], labels: Int64[np.ndarray, " voxel"]
) -> float:
    """Return the mean negative log-likelihood of labels under the members' average."""
    probability = softmax(logs, axis=1).mean(axis=0)
    return float(-np.log(probability[labels, np.arange(len(labels))] + 1e-9).mean())


def folds_of(plan: TrainingPlan, planned: Sequence[Run], runs: Path) -> list[Fold]:
    """Load each fold's ensemble, on a GPU where torch sees one."""
    folds = []
    for number in sorted({run.fold for run in planned if run.fold is not None}):
        mine = [run for run in planned if run.fold == number]
        paths = {run.seed: runs / run.name / WEIGHTS for run in mine}
        if missing := sorted(path.parent.name for path in paths.values() if not path.exists()):
            command = f"voxcite train segmenter --network {plan.network}"
            msg = f"the runs {missing} are not trained yet; run `{command}` first"
            raise FileNotFoundError(msg)
        with TemporaryDirectory() as folder:
            packed = Path(folder) / WEIGHTS
            pack(paths, np.ones(len(plan.structures), np.float32), packed)
            name, runtime = f"fold {number}", runtime_here()
            ensemble = read(packed, name, plan.network, runtime, plan.structures)
            folds.append(Fold(number, ensemble, mine[0].held_out))
    return folds


def _draw(
    ensemble: Ensemble, plan: TrainingPlan, data: Path, case: int
) -> tuple[Float32[np.ndarray, "member structure voxel"], Int64[np.ndarray, " voxel"]]:
    """Draw voxels of one case on which its members are not sure of the background."""
    name = case_name(case, plan.case)
    image, label = (read_nifti(data / f / name).array for f in (plan.images, plan.labels))
    (probability,) = ensemble([Box(image, np.ones(image.shape, dtype=bool))])
    unsure = np.argwhere((probability[:, 0].min(axis=0) < 0.999) | (label > 0))
    rng = np.random.default_rng(case)
    chosen = unsure[rng.permutation(len(unsure))[:VOXELS_A_CASE]]
    logs = np.log(probability[:, :, chosen[:, 0], chosen[:, 1], chosen[:, 2]] + 1e-9)
    return logs.astype(np.float32), label[tuple(chosen.T)].astype(np.int64)


def judge(
    fold: Fold, plan: TrainingPlan, organ: Organ, data: Path, case: int, thickness: int
) -> list[Case]:
    """Measure one case at one slice thickness beside the expert's count."""
    name = case_name(case, plan.case)
    image, label = (read_nifti(data / f / name) for f in (plan.images, plan.labels))
    scan = thickened(image, axis=case % 3, thickness=thickness)
    found = segment_crop(scan, "left", fold.ensemble).segmentation
    voxel_ml = label.geometry.voxel_volume_mm3 / 1000
    judged = []
    for structure in organ.structures:
        values = [plan.structures.index(name) for name in structure.labels]
        counted = float(found.mask(*structure.labels).sum()) * found.geometry.voxel_volume_mm3
        judged.append(
            Case(
                case=case,
                fold=fold.number,
                thickness_mm=thickness,
                structure=structure.name,
                true_ml=float(np.isin(label.array, values).sum()) * voxel_ml,
                value_ml=counted / 1000,
                member_ml=member_volumes_ml(found, structure),
                agreement=agreement(found, structure),
            )
        )
    return judged


def asymmetry_scores(cases: Sequence[Case], structure: Structure, floor: float) -> Iterator[float]:
    """Score the log ratio of both sides of each subject that has both traced."""
    by_case = {case.case: case for case in cases if case.structure == structure.name}
    for odd, one in by_case.items():
        other = by_case.get(odd + 1)
        if odd % 2 == 1 and other is not None:
            u = float(np.hypot(spread(one.member_ml, floor), spread(other.member_ml, floor)))
            yield abs(one.log_ratio - other.log_ratio) / u
