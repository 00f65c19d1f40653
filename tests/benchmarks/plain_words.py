"""Whether the words of a line hold of the records it cites, by a plain list of expressions.

Knows neither the renderer nor the verifier, so that what both read wrongly is still seen here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from segment.measurement import Measurement

# In this order; what one has read the next ones do not see.
CLAIMS: tuple[tuple[str, str], ...] = (
    ("withheld", r"cannot be compared|are not comparable|as not comparable|cannot be stated"),
    ("withheld", r"is not stated|不可比"),
    ("within error", r"no change(?: beyond [^,;]*?)? is shown|not beyond the measurement error"),
    ("within error", r"no change beyond (?:the )?measurement error"),
    ("within error", r"within (?:the )?measurement error|未超出测量误差(?:范围)?|测量误差范围内"),
    ("within error", r"未显示有?变化|尚不能证实有变化|变化未获证实"),
    ("increased", r"(?:an|the|has) increase[sd]?\b|增大|增加"),
    ("decreased", r"(?:a|the|has) decrease[sd]?\b|缩小|减少"),
    ("unchanged", r"unchanged|stable|无变化|稳定"),
    ("overlaps", r"cross\w* a limit[^,;.]*|overlap\w* a limit[^,;.]*|reach\w* across[^,;.]*"),
    ("overlaps", r"inconclusive|neither inside nor outside[^,;.]*|cannot be told whether[^,;.]*"),
    ("overlaps", r"(?:尚不能|无法)判定是否在参考范围内|是否在参考范围内尚无定论|比较无定论"),
    ("overlaps", r"无定论|跨越参考范围界限|与参考范围界限重叠"),
    ("no difference", r"neither side is shown[^,;.]*|no (?:side )?difference[^,;.]*shown"),
    (
        "no difference",
        r"(?:without a demonstrable|a) difference[^,;.]*?(?:sides|shown)(?: is not shown)?",
    ),
    (
        "no difference",
        r"do not differ|未能?显示[^，；。]*差异|差异未获证实|未见可证实的[^，；。]*差异",
    ),
    ("no difference", r"尚不能证实[^，；。]*差异|不足以说明[^，；。]*差异|两侧未显示差异"),
    (
        "within",
        r"neither (?:below nor above|small nor large)|既不低于也不高于|既不偏小也不偏大|未超出",
    ),
    ("within", r"(?:within|inside) the (?:limits of the )?reference|参考范围(?:之)?内"),
    (
        "below",
        r"(?:below|lower than|under) the (?:lower limit of the )?reference|small by the reference",
    ),
    ("below", r"(?:低于|小于|未达)参考范围|下限以下|参考范围偏小"),
    (
        "above",
        r"(?:above|higher than|over) the (?:upper limit of the )?reference|large by the reference",
    ),
    ("above", r"(?:高于|大于|超出)参考范围|上限以上|参考范围偏大"),
    ("left larger", r"left side (?:is |being )?larger|left (?:is|being) larger|larger on the left"),
    ("left larger", r"right side is smaller|左侧(?:体积)?较大|左侧大于右侧|右侧较小|以左侧为大"),
    (
        "right larger",
        r"right side (?:is |being )?larger|right (?:is|being) larger|larger on the right",
    ),
    ("right larger", r"left side is smaller|右侧(?:体积)?较大|右侧大于左侧|左侧较小|以右侧为大"),
    ("withheld", r"not reliabl\w*|withheld|not reported|could not be (?:measured|assessed)"),
    ("withheld", r"(?:was|has) not (?:been )?assessed|unassessed|could not be assessed"),
    ("withheld", r"不可靠|[不未]予报告|未能(?:可靠)?测量|无可靠测量值|未达报告所需|暂不报告"),
    ("withheld", r"未予评估|未能(?:进行)?评估|无法评估|未评估|未作评估"),
)


def contradictions(text: str, cited: Sequence[Measurement]) -> tuple[str, ...]:
    """Name each claim in a line that does not hold of every record it cites."""
    return tuple(_contradictions(text, cited))


def claims(text: str) -> tuple[str, ...]:
    """List what a line says of its records: placed, compared or withheld."""
    found = []
    for claim, expression in CLAIMS:
        text, times = re.subn(expression, " ", text, flags=re.IGNORECASE)
        found += [claim] * bool(times)
    return tuple(dict.fromkeys(found))


def _contradictions(text: str, cited: Sequence[Measurement]) -> Iterator[str]:
    if not cited:
        yield "says something that no record carries"
    said = claims(text)
    for record in cited:
        true = _true_of(record)
        yield from (f"{claim} of {record.id}" for claim in said if claim not in true)
        if record.reason is not None and "withheld" not in said:
            yield f"{record.id} as if it were reliable"


def _true_of(record: Measurement) -> frozenset[str]:
    """List the claims that hold of a record."""
    if record.reason is not None or record.interval is None:
        return frozenset({"withheld"})
    if record.comparator is not None:
        return frozenset({_changed(record)})
    return frozenset({_placed(record), _compared(record)})


def _changed(record: Measurement) -> str:
    """Say how a change lies to its error: beyond it by its value, and by a sure sign besides."""
    assert record.value is not None
    assert record.interval is not None
    error = record.reference
    if error is None:
        return "not judged"
    if record.value > error.upper and record.interval.lower > 0:
        return "increased"
    is_less = record.value < error.lower and record.interval.upper < 0
    return "decreased" if is_less else "within error"


def _placed(record: Measurement) -> str:
    assert record.interval is not None
    low, high, reference = record.interval.lower, record.interval.upper, record.reference
    if reference is None:
        return "no reference"
    outside: Mapping[str, bool] = {"below": high < reference.lower, "above": low > reference.upper}
    inside = reference.lower <= low and high <= reference.upper
    return next((name for name, so in outside.items() if so), "within" if inside else "overlaps")


def _compared(record: Measurement) -> str:
    assert record.interval is not None
    if record.expression is None:
        return "no side compared"
    if record.interval.lower > 0:
        return "left larger"
    return "right larger" if record.interval.upper < 0 else "no difference"
