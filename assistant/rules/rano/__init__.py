"""Volumes of enhancing tumour of several examinations as what volumetric RANO goes by.

The criteria and their limits stand in ``rule.toml``; knows nothing of images or of categories.
"""

from collections.abc import Sequence

from assistant.judgement import Amount, Input, Judgement
from assistant.rules import judge_inputs
from assistant.rules.amounts import give_or_take, least, percent_change
from segment.lesion_records import SINCE_BASELINE, SINCE_SMALLEST
from segment.objects import Lesions


def load_ml(lesions: Lesions, *, error_share: float, cite: str) -> Amount:
    """Return the volume of all lesions of an examination, known to a share of itself."""
    return give_or_take(lesions.load_ml, error_share * lesions.load_ml, cite)


def judge(volumes_ml: Sequence[Amount | None]) -> tuple[Judgement, ...]:
    """Say which criteria are met by total volumes: the baseline first, today's last.

    The smallest volume is that of the examinations before today's. Where one was not measured
    (None), the criteria that need it name what is missing. Raises ValueError for fewer than two.
    """
    if len(volumes_ml) < 2:
        msg = f"expected the volumes of at least two examinations, found {len(volumes_ml)}"
        raise ValueError(f"{msg}; add that of the baseline")
    *earlier, now = volumes_ml
    baseline, known = earlier[0], [volume for volume in earlier if volume is not None]
    inputs: dict[str, Input] = {}
    if now is not None and len(known) == len(earlier):
        inputs[SINCE_SMALLEST] = percent_change(now, least(known))
    if now is not None and baseline is not None:
        inputs[SINCE_BASELINE] = percent_change(now, baseline)
    return judge_inputs("rano", inputs)
