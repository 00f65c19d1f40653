"""Ways in which a line about a comparison can become wrong, each a function that makes one.

As in ``mutations``: None where there is nothing to change; what is returned is wrong.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from assistant.report import Line
from segment.measurement import EARLIER
from tests.mutations import NUMBER, Case, replaced

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
VERDICTS = {
    "en": {
        "increased": "an increase beyond",
        "decreased": "a decrease beyond",
        "within_error": "within",
    },
    "zh": {"increased": "增大超出", "decreased": "缩小超出", "within_error": "在"},
}
STABLE = {"en": ", and is unchanged", "zh": "，无变化"}
SAID = {
    "en": {
        "increased": " It has increased.",
        "decreased": " It has decreased.",
        "within_error": " No change is shown.",
    },
    "zh": {"increased": "增大。", "decreased": "缩小。", "within_error": "未显示变化。"},
}

NO_CHANGE = {
    "en": "; the bounds include no change, so a change is not shown",
    "zh": "；该界限包含无变化的情形，不能显示变化",
}


def verdict_of(case: Case) -> str | None:
    """Say which verdict stands in a line."""
    told = case.words.lexicon["changes"]
    for key in ("increased", "decreased", "within_error"):
        if any(phrase in case.line.text for phrase in told[key]):
            return key
    return None


def other_verdict(case: Case) -> Line | None:
    """Write the verdict of another change in the place of this one's."""
    mine = verdict_of(case)
    if mine is None:
        return None
    words = VERDICTS[case.language]
    other = case.generator.choice([key for key in words if key != mine])
    phrases = sorted(case.words.lexicon["changes"][mine], key=len, reverse=True)
    said = next(phrase for phrase in phrases if phrase in case.line.text)
    instead = next(
        phrase for phrase in case.words.lexicon["changes"][other] if phrase.startswith(words[other])
    )
    return case.swap(said, instead)


def added_verdict(case: Case) -> Line | None:
    """Say besides what another change would be."""
    mine = verdict_of(case)
    texts = [text for key, text in SAID[case.language].items() if key != mine]
    return case.text(case.line.text + case.generator.choice(texts))


def called_stable(case: Case) -> Line | None:
    """Say that nothing has changed, which no measurement can show."""
    return case.text(case.line.text[:-1] + STABLE[case.language] + case.line.text[-1])


def added_no_change(case: Case) -> Line | None:
    """Say of what has no such bounds that they include no change."""
    told = NO_CHANGE[case.language]
    return None if told in case.line.text else case.text(f"{case.line.text[:-1]}{told}.")


def dropped_no_change(case: Case) -> Line | None:
    """Leave out that the bounds of a change of lesions include none."""
    return case.text(case.line.text.replace(NO_CHANGE[case.language], ""))


def other_sign(case: Case) -> Line | None:
    """Turn the sign of the change itself, the first number that is no date."""
    rest = DAY.sub(lambda match: "x" * len(match[0]), case.line.text)
    match = NUMBER.search(rest)
    if match is None or not float(match[0].replace("−", "-")):
        return None
    turned = match[0][1:] if match[0][0] == "−" else f"−{match[0]}"
    return case.text(case.line.text[: match.start()] + turned + case.line.text[match.end() :])


def other_day(case: Case) -> Line | None:
    match = case.pick(DAY)
    return case.instead(match, "2019-03-05")


def swapped_days(case: Case) -> Line | None:
    return case.exchanged(DAY)


def rate_for_change(case: Case) -> Line | None:
    """Call a change a yearly one, or a yearly one a change."""
    if "%" not in case.line.text or case.cited.reason is not None:
        return None
    unit = {"en": "%/year", "zh": "%/年"}[case.language]
    if unit in case.line.text:
        return case.text(case.line.text.replace(unit, "%"))
    if case.cited.unit != "%":
        return None
    return case.text(re.sub(r"(?<=\d )%", unit, case.line.text))


def earlier_for_current(case: Case) -> Line | None:
    """Cite the volume of the other date."""
    if case.cited.quantity != EARLIER or len(case.line.cites) > 1:
        return None
    wanted = (case.cited.structure, case.cited.side, "volume")
    (other,) = [r for r in case.report.measurements if (r.structure, r.side, r.quantity) == wanted]
    return replace(case.line, cites=(other.id,))


NAMED: tuple[Callable[[Case], Line | None], ...] = (
    *(other_verdict, added_verdict, called_stable, other_sign, other_day, swapped_days),
    *(rate_for_change, earlier_for_current, added_no_change),
)
CHANGE_MUTATIONS: dict[str, Callable[[Case], Line | None]] = {
    "quantity of a change": replaced(
        "earlier_volume>volume relative_volume>yearly_volume yearly_volume>relative_volume "
        "volume_change>volume 既往体积>体积 相对体积变化>体积变化 年体积变化率>相对体积变化"
    ),
    "comparable": replaced(
        "is_withheld,_because>is_withheld,_as_the_examinations_cannot_be_compared: "
        "不予报告，因其>因两次检查不可比而不予报告：其 cannot>can 不可比>可比 "
        "beyond>within 超出>未超出"
    ),
} | {mutate.__name__.replace("_", " "): mutate for mutate in NAMED}
LESION_MUTATIONS: dict[str, Callable[[Case], Line | None]] = {
    "added no change": added_no_change,
    "dropped no change": dropped_no_change,
    "turned no change": replaced(
        "include_no>exclude_no not_shown>shown 包含无变化>不含无变化 不能显示>可见"
    ),
    "increase claimed": lambda case: case.text(case.line.text + SAID[case.language]["increased"]),
    "error claimed": lambda case: case.text(case.line.text + SAID[case.language]["within_error"]),
    "other sign": other_sign,
    "other day": other_day,
}
