"""Volumes of enhancing tumour of several examinations as what volumetric RANO goes by.

The criteria and their limits stand in ``rule.toml``; knows nothing of images or of categories.
"""

from collections.abc import Sequence

from assistant.judgement import Amount, Judgement
from assistant.rules import judge_inputs
from assistant.rules.amounts import give_or_take, least, percent_change
from segment.objects import Lesions


def load_ml(lesions: Lesions, *, error_share: float, cite: str) -> Amount:
    """Return the volume of all lesions of an examination, known to a share of itself."""
    return give_or_take(lesions.load_ml, error_share * lesions.load_ml, cite)


def judge(volumes_ml: Sequence[Amount]) -> tuple[Judgement, ...]:
    """Say which criteria are met by total volumes: the baseline first, today's last.

    The smallest volume is that of the examinations before today's. Raises ValueError for fewer
    than two.
    """
    if len(volumes_ml) < 2:
        msg = f"expected the volumes of at least two examinations, found {len(volumes_ml)}"
        raise ValueError(f"{msg}; add that of the baseline")
    *earlier, now = volumes_ml
    smallest = least(earlier)
    inputs = {
        "relative change of the smallest enhancing volume": percent_change(now, smallest),
        "relative change of the baseline enhancing volume": percent_change(now, earlier[0]),
    }
    return judge_inputs("rano", inputs)
