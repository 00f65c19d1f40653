"""Target lesions of several examinations as what RECIST 1.1 goes by.

The criteria and their limits stand in ``rule.toml``; knows nothing of images or of categories.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from assistant.judgement import Amount, Gap, Input, Judgement, Obstacle
from assistant.rules import judge_inputs
from assistant.rules.amounts import (
    difference,
    exact,
    give_or_take,
    least,
    most,
    percent_change,
    total,
)
from segment.objects import Lesion

MOST_TARGETS, MOST_OF_ORGAN = 5, 2  # Eisenhauer et al. 2009, section 3.2; all nodes are one organ
# Of a measurable lesion at the baseline, section 3.1.1: in slices thicker than 5 mm twice these.
LEAST_MM, THICK_MM, LEAST_OF_THICK = 10.0, 5.0, 2.0
LEAST_NODE_MM = 15.0  # the short axis, section 3.1.1
NEW = "new lesions"
OF_SMALLEST = "change of the smallest sum of diameters"
OF_SMALLEST_RELATIVE = f"relative {OF_SMALLEST}"
OF_BASELINE = "relative change of the baseline sum of diameters"
OUTSIDE = "sum of diameters outside of nodes"
SMALLEST_OUTSIDE = f"smallest {OUTSIDE}"
LARGEST_NODE = "largest short axis of a target node"
NODES = "lymph nodes"


@dataclass(frozen=True)
class Target:
    """A target lesion: its size in mm at each examination, the baseline first, today's last.

    The size is the longest diameter, of a lymph node the short axis; None where it was not
    measured, and 0 where the lesion has gone.
    """

    id: str
    organ: str
    diameters_mm: tuple[Amount | None, ...]
    is_node: bool = False


def diameter_mm(lesion: Lesion, *, error_mm: float) -> Amount:
    """Return the longest diameter of a lesion, in any direction, known to ``error_mm``."""
    return give_or_take(lesion.longest_diameter_mm, error_mm)


def judge(
    targets: Sequence[Target], new: Amount | None, *, slice_mm: float = THICK_MM
) -> tuple[Judgement, ...]:
    """Say which criteria are met; ``new`` counts the lesions that no earlier examination showed.

    The smallest sum is that of the examinations before today's; a node adds its short axis to it.
    What was not measured is named as missing by each criterion that needs it. ``slice_mm`` is the
    thickness of the slices at the baseline. Raises ValueError for targets that RECIST 1.1 does not
    allow.
    """
    _check(targets, slice_mm)
    counted = {} if new is None else {NEW: new}
    return judge_inputs("recist", {**counted, **_of_sums(targets)})


def _of_sums(targets: Sequence[Target]) -> Mapping[str, Input]:
    """Return what the criteria go by, each from the examinations that it needs."""
    every = _at_each(targets, total)
    outside = _at_each([target for target in targets if not target.is_node], total)
    nodes = _at_each([target for target in targets if target.is_node], most)
    *earlier, now = every
    smallest = _known(earlier, least)
    return {
        OF_SMALLEST: _known([now, smallest], lambda pair: difference(*pair)),
        OF_SMALLEST_RELATIVE: _known([now, smallest], lambda pair: percent_change(*pair)),
        OF_BASELINE: _known([now, earlier[0]], lambda pair: percent_change(*pair)),
        OUTSIDE: outside[-1],
        SMALLEST_OUTSIDE: _known(outside[:-1], least),
        LARGEST_NODE: nodes[-1],
    }


def _at_each(targets: Sequence[Target], of: Callable[[Sequence[Amount]], Amount]) -> list[Input]:
    """Return one number of each examination, citing its targets; 0 where there are none of them."""
    if not targets:
        nothing: Input = exact(0)
        return [nothing, nothing]
    times = zip(*(target.diameters_mm for target in targets), strict=True)
    return [_at(targets, sizes, of) for sizes in times]


def _at(
    targets: Sequence[Target],
    sizes: Sequence[Amount | None],
    of: Callable[[Sequence[Amount]], Amount],
) -> Input:
    """Return the number of one examination, or which targets were not measured at it."""
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        pairs = zip(targets, sizes, strict=True)
        return Gap(tuple(one.id for one, size in pairs if size is None), Obstacle.MISSING)
    found = of(known)
    return Amount(tuple(one.id for one in targets), found.value, found.lower, found.upper)


def _known(inputs: Sequence[Input], of: Callable[[Sequence[Amount]], Input]) -> Input:
    """Go by several numbers where all of them are there, else say what is missing."""
    gaps = [one for one in inputs if isinstance(one, Gap)]
    if gaps:
        cites = dict.fromkeys(cite for gap in gaps for cite in gap.cites)
        return Gap(tuple(cites), Obstacle.MISSING)
    return of([one for one in inputs if isinstance(one, Amount)])


def _check(targets: Sequence[Target], slice_mm: float) -> None:
    """Refuse targets that are too many or too small, or not looked at each time."""
    if not targets:
        msg = "expected at least one target, found none; give each with its size at every"
        raise ValueError(f"{msg} examination, a lesion that has gone with 0")
    organs = Counter(NODES if target.is_node else target.organ for target in targets)
    if len(targets) > MOST_TARGETS or max(organs.values()) > MOST_OF_ORGAN:
        msg = f"expected at most {MOST_TARGETS} targets and {MOST_OF_ORGAN} of an organ"
        raise ValueError(f"{msg}, found {len(targets)} in {dict(organs)}; choose the largest")
    times = {len(target.diameters_mm) for target in targets}
    if len(times) > 1 or min(times) < 2:
        msg = f"expected each target at the same two or more examinations, found {sorted(times)}"
        raise ValueError(f"{msg}; give 0 for one that has gone and None for one not measured")
    for one in targets:
        _check_sizes(one)
    is_thick = slice_mm > THICK_MM
    least_mm = max(LEAST_MM, LEAST_OF_THICK * slice_mm) if is_thick else LEAST_MM
    for is_node, limit_mm in ((False, least_mm), (True, LEAST_NODE_MM)):
        of_kind = [target for target in targets if target.is_node is is_node]
        if small := [one.id for one in of_kind if _baseline_mm(one) < limit_mm]:
            axis = "nodes with a short axis" if is_node else "targets"
            msg = f"expected {axis} of at least {limit_mm:g} mm at the baseline, found smaller ones"
            raise ValueError(f"{msg}: {', '.join(small)}; leave them out")


def _check_sizes(target: Target) -> None:
    """Refuse a diameter below 0."""
    for size in target.diameters_mm:
        if size is not None and size.lower < 0:
            msg = f"{target.id}: expected diameters of 0 mm or more, found {size.lower:g} mm"
            raise ValueError(f"{msg}; give 0 for a lesion that has gone")


def _baseline_mm(target: Target) -> float:
    """Return the size at the baseline; one that was not measured then is no target."""
    size = target.diameters_mm[0]
    return 0.0 if size is None else size.value
