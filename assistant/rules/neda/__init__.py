"""Lesions that were matched between two dates as what NEDA asks of the images.

The criteria stand in ``rule.toml``; knows nothing of relapses, of disability or of categories.
"""

from assistant.judgement import Amount, Judgement
from assistant.rules import judge_inputs
from segment.lesion_change import Count, LesionChanges, enlarged_count, new_count

ENHANCING = "enhancing lesions"


def judge(
    changes: LesionChanges, *, sure_mm: float, enhancing: Amount | None = None
) -> tuple[Judgement, ...]:
    """Say which criteria are met: new, enlarging and, where somebody counted them, enhancing.

    Both counts come with the bounds of ``segment.lesion_change``.
    """
    new, enlarged = new_count(changes, sure_mm), enlarged_count(changes, sure_mm)
    inputs = {"new lesions": _amount(new), "enlarged lesions": _amount(enlarged)}
    return judge_inputs("neda", inputs if enhancing is None else {**inputs, ENHANCING: enhancing})


def _amount(count: Count) -> Amount:
    """Cite today's lesions that a count rests on."""
    cites = tuple(f"lesion {x.label}" for change in count.rests_on for x in change.after)
    return Amount(cites, count.value, count.lower, count.upper)
