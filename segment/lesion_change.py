"""What became of each lesion between two dates. Knows nothing of images, registration or reports.

Lesions of both dates, already aligned on one grid, belong together where they share a voxel, and
so do those joined by others in between. Nothing here is trained, and nothing says that a change is
beyond what a second scan of the same day would show: the margin is the caller's, or the bounds of
the outlines.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from segment.objects import Lesion, Lesions, shared_voxels


class Fate(StrEnum):
    """What became of a lesion, or of several that belong together.

    ``MERGED_AND_SPLIT`` is of several on both dates: their voxels do not tell which became which.
    """

    NEW = "new"
    ENLARGED = "enlarged"
    STABLE = "stable"
    SHRUNK = "shrunk"
    RESOLVED = "resolved"
    MERGED = "merged"
    SPLIT = "split"
    MERGED_AND_SPLIT = "merged and split"


UNCLEAR = (Fate.MERGED, Fate.SPLIT, Fate.MERGED_AND_SPLIT)  # one of them may have enlarged


@dataclass(frozen=True)
class LesionChange:
    """Lesions that belong together, before and after; at least one on one of the dates."""

    fate: Fate
    before: tuple[Lesion, ...]
    after: tuple[Lesion, ...]

    @property
    def before_ml(self) -> float:
        """Their volume together on the earlier date; 0 of what is new."""
        return math.fsum(lesion.volume_ml for lesion in self.before)

    @property
    def after_ml(self) -> float:
        """Their volume together on the later date; 0 of what has resolved."""
        return math.fsum(lesion.volume_ml for lesion in self.after)

    @property
    def change_ml(self) -> float:
        """Their growth; below 0 where they shrank."""
        return self.after_ml - self.before_ml


@dataclass(frozen=True)
class LesionChanges:
    """All lesions of two dates, each in exactly one change: those of the largest volume first.

    ``margin`` is the share of its earlier volume by which a lesion must exceed it, or fall below
    it, to be called enlarged or shrunk; None where its volumes' bounds must not overlap. Lesions
    that were left out for their size count nowhere, so that one which shrank below the smallest
    size has resolved; ``left_out_before`` and ``left_out_after`` say how many there were.
    """

    margin: float | None
    changes: tuple[LesionChange, ...]
    before_ml: float
    after_ml: float
    left_out_before: int = 0
    left_out_after: int = 0

    @property
    def change_ml(self) -> float:
        """The change of the total load."""
        return self.after_ml - self.before_ml

    @property
    def change_percent(self) -> float | None:
        """The change of the total load as a percentage of the earlier one; None if that was 0."""
        return 100 * self.change_ml / self.before_ml if self.before_ml else None

    def of(self, *fates: Fate) -> tuple[LesionChange, ...]:
        """List the changes of some fates."""
        return tuple(change for change in self.changes if change.fate in fates)

    @property
    def counts(self) -> Mapping[Fate, int]:
        """How many changes there are of each fate; three lesions that merged are one of them."""
        fates = [change.fate for change in self.changes]
        return {fate: fates.count(fate) for fate in Fate}


@dataclass(frozen=True)
class Count:
    """How many changes are of a kind, from those that surely are to those that may be.

    ``rests_on`` are the changes that were counted, those that only may be at the end.
    """

    value: int
    lower: int
    upper: int
    rests_on: tuple[LesionChange, ...]


def new_count(changes: LesionChanges, sure_mm: float) -> Count:
    """Count new lesions.

    One that is shorter than ``sure_mm`` today may be noise. One that was left out for its size on
    the earlier date is not new, and one that is left out today may be.
    """
    told = changes.of(Fate.NEW)
    sure = max(_sure(told, sure_mm) - changes.left_out_before, 0)
    return Count(len(told), sure, len(told) + changes.left_out_after, told)


def enlarged_count(changes: LesionChanges, sure_mm: float) -> Count:
    """Count enlarged lesions.

    Of several that merged or split one may have enlarged, unless what is left of all of them is
    smaller than each was, and so may one that was left out for its
    size: it looks new where it was left out on the earlier date alone.
    """
    told = changes.of(Fate.ENLARGED)
    unclear = tuple(change for change in changes.of(*UNCLEAR) if _may_enlarge(change))
    hidden = min(changes.left_out_before, len(changes.of(Fate.NEW)) + changes.left_out_after)
    upper = len(told) + len(unclear) + hidden
    return Count(len(told), _sure(told, sure_mm), upper, (*told, *unclear))


def shrunk_count(changes: LesionChanges) -> Count:
    """Count shrunk lesions; one that split may have, unless its parts are larger than it was.

    So may one of several that merged.
    """
    told = changes.of(Fate.SHRUNK)
    unclear = tuple(change for change in changes.of(*UNCLEAR) if _may_shrink(change))
    return Count(len(told), len(told), len(told) + len(unclear), (*told, *unclear))


def _may_enlarge(change: LesionChange) -> bool:
    """Tell whether what is there today can be larger than the smallest of the earlier lesions."""
    today_ml = math.fsum(lesion.upper_ml for lesion in change.after)
    return today_ml >= min(lesion.lower_ml for lesion in change.before)


def _may_shrink(change: LesionChange) -> bool:
    """Tell whether an earlier lesion can be larger than all of today's; of several any can."""
    today_ml = math.fsum(lesion.lower_ml for lesion in change.after)
    return len(change.before) > 1 or today_ml <= change.before[0].upper_ml


def _sure(told: Sequence[LesionChange], sure_mm: float) -> int:
    """Count the changes of which a lesion is long enough today to be none of the noise."""
    return sum(max(x.longest_diameter_mm for x in change.after) >= sure_mm for change in told)


def compare_lesions(
    before: Lesions, after: Lesions, *, margin: float | None = None
) -> LesionChanges:
    """Match the lesions of two dates by overlap.

    A lesion has enlarged or shrunk where its volumes differ by more than a ``margin``, or without
    one where the bounds of both volumes do not overlap. Raises ScanError when they are on different
    grids and ValueError for a margin that is not at least 0 and below 1.
    """
    if margin is not None and not 0 <= margin < 1:
        msg = f"the margin is a share of the volume, at least 0 and below 1, not {margin:g}"
        raise ValueError(msg)
    groups = _groups(shared_voxels(before, after))
    earlier, later = groups[: len(before.found)], groups[len(before.found) :]
    changes = []
    for group in range(max(groups, default=-1) + 1):
        old = tuple(x for x, g in zip(before.found, earlier, strict=True) if g == group)
        new = tuple(x for x, g in zip(after.found, later, strict=True) if g == group)
        changes.append(LesionChange(_fate(old, new, margin), old, new))
    changes.sort(key=lambda change: -max(_voxels(change.before), _voxels(change.after)))
    loads = before.load_ml, after.load_ml
    return LesionChanges(margin, tuple(changes), *loads, before.left_out, after.left_out)


def _groups(shared: Int64[np.ndarray, "n m"]) -> list[int]:
    """Number what belongs together: one number for each lesion before, then for each after."""
    n, m = shared.shape
    if not n + m:
        return []
    rows, columns = np.nonzero(shared)
    graph = coo_array((np.ones(len(rows)), (rows, columns + n)), shape=(n + m, n + m))
    _, numbers = connected_components(graph, directed=False)
    return [int(number) for number in numbers]


def _fate(before: tuple[Lesion, ...], after: tuple[Lesion, ...], margin: float | None) -> Fate:
    """Name what became of lesions that belong together."""
    if not before or not after:
        return Fate.RESOLVED if before else Fate.NEW
    if len(before) > 1:
        return Fate.MERGED if len(after) == 1 else Fate.MERGED_AND_SPLIT
    if len(after) > 1:
        return Fate.SPLIT
    (old,), (new,) = before, after
    is_alike = _overlap(old, new) if margin is None else _is_within(old.voxels, new.voxels, margin)
    if is_alike:
        return Fate.STABLE
    return Fate.ENLARGED if new.volume_ml > old.volume_ml else Fate.SHRUNK


def _is_within(before: int, after: int, margin: float) -> bool:
    """Tell whether a size differs by a share of the earlier one at most."""
    beyond = round(margin * before, 9)  # 0.29 * 100 is 28.999999999999996
    return abs(after - before) <= beyond


def _overlap(before: Lesion, after: Lesion) -> bool:
    """Tell whether the bounds of two volumes have anything in common."""
    return before.lower_ml <= after.upper_ml and after.lower_ml <= before.upper_ml


def _voxels(lesions: tuple[Lesion, ...]) -> int:
    """Count the voxels of several lesions."""
    return sum(lesion.voxels for lesion in lesions)
