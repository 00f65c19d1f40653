"""Lesions that were matched between two dates as what NEDA asks of the images.

The criteria stand in ``rule.toml``; knows nothing of relapses, of disability or of categories.
"""

from collections.abc import Sequence

from assistant.judgement import Amount, Judgement
from assistant.rules import judge_inputs
from segment.lesion_change import Fate, LesionChange, LesionChanges

ENHANCING = "enhancing lesions"
UNCLEAR = (Fate.MERGED, Fate.SPLIT, Fate.MERGED_AND_SPLIT)  # one of them may have enlarged


def judge(
    changes: LesionChanges, *, sure_mm: float, enhancing: Amount | None = None
) -> tuple[Judgement, ...]:
    """Say which criteria are met: new, enlarging and, where somebody counted them, enhancing.

    A lesion that is shorter than ``sure_mm`` today may be noise: it widens the bounds of its count.
    Lesions that merged or split do the same to the count of the enlarged.
    """
    new = [change for change in changes.changes if change.fate is Fate.NEW]
    enlarged = [change for change in changes.changes if change.fate is Fate.ENLARGED]
    unclear = [change for change in changes.changes if change.fate in UNCLEAR]
    inputs = {
        "new lesions": _count(new, [], sure_mm),
        "enlarged lesions": _count(enlarged, unclear, sure_mm),
    }
    return judge_inputs("neda", inputs if enhancing is None else {**inputs, ENHANCING: enhancing})


def _count(told: Sequence[LesionChange], unclear: Sequence[LesionChange], sure_mm: float) -> Amount:
    """Count changes, from those that are sure to those that may be, citing today's lesions."""
    sure = [c for c in told if max(x.longest_diameter_mm for x in c.after) >= sure_mm]
    cites = tuple(f"lesion {x.label}" for c in (*told, *unclear) for x in c.after)
    return Amount(cites, len(told), len(sure), len(told) + len(unclear))
