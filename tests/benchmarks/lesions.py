"""Changed lesions of two MS patients, found without training, beside the published change masks.

    python -m tests.benchmarks.lesions

The masks (Lesjak et al. 2016) mark what changed and not in which direction: new, enlarged, shrunk
and resolved lesions together. No mask of a single date is published, so lesions are marked here by
thresholds; each is chosen on the other patient, by the F1 of its lesions.

*subtraction*: both FLAIRs are brought to the same median and spread of the brain and subtracted; a
change is what differs by more than a threshold.
*lesions*: each date's lesions are what is brighter than a threshold, matched by
``segment.lesion_change``; a change is what only one date holds of a lesion that is new, resolved,
enlarged, shrunk, merged or split.
*both*: what *lesions* and *subtraction* agree on.

A lesion is found where a voxel of it is, and an object right where it shares a voxel with a true
one (``segment.detection``); objects smaller than a ball of 3 mm are left out of what is marked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from segment.detection import AnyOverlap, Rates, Scan, rates
from segment.geometry import Geometry
from segment.lesion_change import Fate, compare_lesions
from segment.objects import Lesions, lesions_in_mask
from segment.reading import read_nifti
from tests.shared_data import shared_data

PATIENTS = ("patient01", "patient03")
SMOOTH_MM = 1.0
RIM = 4  # voxels in the plane: the brain's edge moves with the smallest turn of the head
SMALLEST_MM3 = 14.1  # a ball of 3 mm
SPREADS = (3.0, 3.5, 4.0, 5.0, 6.0)  # thresholds, in standard deviations of the brain
METHODS = ("subtraction", "lesions", "both")


@dataclass(frozen=True, eq=False)
class Pair:
    """Both dates of a patient, each in standard deviations of the brain, and what changed."""

    before: np.ndarray
    after: np.ndarray
    true: np.ndarray
    geometry: Geometry


@dataclass(frozen=True)
class Found:
    """What a method reaches on a patient: by lesions, and by voxels."""

    rates: Rates
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall of lesions; 0 where nothing is found."""
        one, other = self.rates.precision or 0.0, self.rates.recall or 0.0
        return 2 * one * other / (one + other) if one + other else 0.0


def read_pair(patient: str) -> Pair:
    """Read two dates and the change mask."""
    folder = shared_data("ms_longitudinal", patient)
    scans = [read_nifti(folder / f"flair_{date}.nii.gz") for date in ("t1", "t2")]
    brain = read_nifti(folder / "brainmask.nii.gz").array > 0
    inner = ndimage.binary_erosion(brain, np.ones((2 * RIM + 1, 2 * RIM + 1, 1)))
    geometry = scans[0].geometry
    sigma = [SMOOTH_MM / mm / 2.355 for mm in geometry.spacing_mm]
    before, after = (_standard(ndimage.gaussian_filter(s.array, sigma), inner) for s in scans)
    true = read_nifti(folder / "change.nii.gz").array > 0
    return Pair(before, after, true, geometry)


def _standard(array: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Scale an array to the median and the spread of the brain; outside it is 0."""
    values = array[brain]
    median = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - median)))
    return np.where(brain, (array - median) / spread, 0.0)


def subtraction(pair: Pair, spread: float) -> np.ndarray:
    """Mark what differs by more than a threshold, in spreads of the difference."""
    apart = pair.after - pair.before
    inside = apart[pair.before != 0]
    noise = 1.4826 * float(np.median(np.abs(inside - np.median(inside))))
    return np.abs(apart) > spread * noise


def changed_lesions(pair: Pair, spread: float) -> np.ndarray:
    """Mark what one date alone holds of lesions that are not the same on both."""
    dates = (pair.before, pair.after)
    before, after = (_bright(array, spread, pair.geometry) for array in dates)
    changes = compare_lesions(before, after)
    moved = [change for change in changes.changes if change.fate is not Fate.STABLE]
    old = _only(before, [x.label for change in moved for x in change.before])
    new = _only(after, [x.label for change in moved for x in change.after])
    return old ^ new


def _bright(array: np.ndarray, spread: float, geometry: Geometry) -> Lesions:
    return lesions_in_mask(array > spread, geometry, smallest_mm3=SMALLEST_MM3)


def _only(lesions: Lesions, labels: list[int]) -> np.ndarray:
    """Mark the voxels of some lesions."""
    is_meant = np.zeros(len(lesions.found) + 1, bool)
    is_meant[labels] = True
    return is_meant[lesions.labels]


def predictions(pair: Pair) -> Iterator[tuple[str, tuple[float, ...], np.ndarray]]:
    """Yield what each method marks at each of its thresholds."""
    apart = {spread: subtraction(pair, spread) for spread in SPREADS}
    bright = {spread: changed_lesions(pair, spread) for spread in SPREADS}
    for spread in SPREADS:
        yield "subtraction", (spread,), apart[spread]
        yield "lesions", (spread,), bright[spread]
    for one, other in product(SPREADS, SPREADS):
        yield "both", (one, other), bright[one] & apart[other]


def compared(pair: Pair, marked: np.ndarray) -> Found:
    """Hold what is marked against what changed."""
    true = lesions_in_mask(pair.true, pair.geometry)
    predicted = lesions_in_mask(marked, pair.geometry, smallest_mm3=SMALLEST_MM3)
    marked = predicted.labels > 0
    both = int((pair.true & marked).sum())
    return Found(
        rates([Scan(true, predicted)], AnyOverlap()),
        both / max(int(marked.sum()), 1),
        both / int(pair.true.sum()),
    )


def main() -> None:
    """Print each method on each patient, at the thresholds that suit the other one."""
    found: dict[str, dict[tuple[str, tuple[float, ...]], Found]] = {}
    for patient in PATIENTS:
        pair = read_pair(patient)
        found[patient] = {(m, t): compared(pair, mask) for m, t, mask in predictions(pair)}
    print(
        "| patient | method | threshold, SD | lesions | recall | precision | voxels: recall |",
        end="",
    )
    print(" precision |\n|---|---|---|---|---|---|---|---|")
    for patient, other in (PATIENTS, PATIENTS[::-1]):
        for method in METHODS:
            threshold = best(found[other], method)
            _print(patient, method, threshold, found[patient][method, threshold])


def best(found: Mapping[tuple[str, tuple[float, ...]], Found], method: str) -> tuple[float, ...]:
    """Return the threshold at which a method reaches the largest F1."""
    mine = {threshold: one.f1 for (name, threshold), one in found.items() if name == method}
    return max(mine, key=lambda threshold: mine[threshold])


def _print(patient: str, method: str, threshold: tuple[float, ...], found: Found) -> None:
    """Print one row."""
    shown = ", ".join(f"{t:g}" for t in threshold)
    rate = found.rates
    print(
        f"| {patient} | {method} | {shown} | {rate.found} of {rate.lesions} |"
        f" {rate.recall or 0:.2f} | {rate.precision or 0:.2f} ({rate.right} of {rate.predicted}) |"
        f" {found.recall:.2f} | {found.precision:.2f} |"
    )


if __name__ == "__main__":
    main()
