"""Target lesions of several examinations as what RECIST 1.1 goes by.

The criteria and their limits stand in ``rule.toml``; knows nothing of images or of categories.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assistant.judgement import Amount, Gap, Input, Judgement, Obstacle
from assistant.rules import judge_inputs
from assistant.rules.amounts import difference, give_or_take, least, percent_change, total
from segment.objects import Lesion

MOST_TARGETS, MOST_OF_ORGAN = 5, 2  # Eisenhauer et al. 2009, section 3.2
LEAST_MM = 10.0  # of a measurable lesion at the baseline, section 3.1
SUM, NEW = "sum of diameters", "new lesions"
SMALLEST = "smallest sum of diameters"
OF_SMALLEST = "change of the smallest sum of diameters"
OF_BASELINE = "relative change of the baseline sum of diameters"


@dataclass(frozen=True)
class Target:
    """A target lesion: its diameter in mm at each examination, the baseline first, today's last."""

    id: str
    organ: str
    diameters_mm: tuple[Amount, ...]
    is_node: bool = False


def diameter_mm(lesion: Lesion, *, error_mm: float) -> Amount:
    """Return the longest diameter of a lesion, in any direction, known to ``error_mm``."""
    return give_or_take(lesion.longest_diameter_mm, error_mm)


def judge(targets: Sequence[Target], new: Amount) -> tuple[Judgement, ...]:
    """Say which criteria are met; ``new`` counts the lesions that no earlier examination showed.

    The smallest sum is that of the examinations before today's. Raises ValueError for targets
    that RECIST 1.1 does not allow. Lymph nodes have limits of their own, which are not here.
    """
    _check(targets)
    return judge_inputs("recist", {NEW: new, **_of_sums(targets)})


def _of_sums(targets: Sequence[Target]) -> Mapping[str, Input]:
    """Return the sum of today and its changes."""
    relative = f"relative {OF_SMALLEST}"
    if any(target.is_node for target in targets):
        gap = Gap(tuple(target.id for target in targets), Obstacle.NODES)
        return dict.fromkeys((SUM, SMALLEST, OF_SMALLEST, relative, OF_BASELINE), gap)
    *earlier, now = _sums(targets)
    smallest = least(earlier)
    return {
        SUM: now,
        SMALLEST: smallest,
        OF_SMALLEST: difference(now, smallest),
        relative: percent_change(now, smallest),
        OF_BASELINE: percent_change(now, earlier[0]),
    }


def _sums(targets: Sequence[Target]) -> list[Amount]:
    """Return the sum of diameters of each examination, citing its targets."""
    ids = tuple(target.id for target in targets)
    sums = map(total, zip(*(target.diameters_mm for target in targets), strict=True))
    return [Amount(ids, one.value, one.lower, one.upper) for one in sums]


def _check(targets: Sequence[Target]) -> None:
    """Refuse targets that are too many or too small, or not measured each time."""
    organs = Counter(target.organ for target in targets)
    if not 0 < len(targets) <= MOST_TARGETS or max(organs.values()) > MOST_OF_ORGAN:
        msg = f"expected at most {MOST_TARGETS} targets and {MOST_OF_ORGAN} of an organ"
        raise ValueError(f"{msg}, found {len(targets)} in {dict(organs)}; choose the largest")
    times = {len(target.diameters_mm) for target in targets}
    if len(times) > 1 or min(times) < 2:
        msg = f"expected each target at the same two or more examinations, found {sorted(times)}"
        raise ValueError(f"{msg}; give 0 for one that has gone")
    small = [t.id for t in targets if not t.is_node and t.diameters_mm[0].value < LEAST_MM]
    if small:
        msg = f"expected targets of at least {LEAST_MM:g} mm at the baseline, found smaller ones"
        raise ValueError(f"{msg}: {', '.join(small)}; leave them out")
