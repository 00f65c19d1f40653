"""Ways in which a line about a score can become wrong, each a function that makes one such line.

As in ``mutations``: None where there is nothing to change; what is returned is wrong.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from assistant.report import Line
from tests.mutations import BENGALI, FULLWIDTH, HAN, SUPERSCRIPT, Case, replaced

SHOWN = re.compile(r"[<>]?\d+ %")
NEGATED = replaced(
    "signs_of>no_signs_of show>show_no show>do_not_show probability>improbability "
    "可见>未见 可见>不见 征象>征象不明显 图像>非图像"
)
GRADED = replaced(
    "signs_of>slight_signs_of signs_of>severe_signs_of show>may_show The_pictures>Some_pictures "
    "可见>可见轻度 可见>可见重度 可见>可能有 图像>部分图像"
)
UNREAD = replaced(
    ",_read_from_the_image> read_from_the_image>measured_in_the_image "
    "read_from>said_in ，自图像读取> 自图像读取>测得 自图像>自病历"
)
ADDED = {
    "en": [" There is no noise.", " The quality is good.", " No atrophy is seen.", " It is 4 %."],
    "zh": ["未见噪声。", "图像质量良好。", "未见萎缩。", "另为 4 %。"],
}
WORDS = {"en": ["ninety percent", "certain", "high"], "zh": ["百分之九十", "九成", "很高"]}


def shown(case: Case) -> re.Match[str]:
    """Return the probability of the line."""
    match = SHOWN.search(case.line.text)
    assert match is not None
    return match


def other_probability(case: Case) -> Line | None:
    numbers = [f"{n} %" for n in range(1, 100)] + [">99 %", "<1 %", "100 %", "0 %", "150 %"]
    return case.instead(
        shown(case), case.generator.choice([n for n in numbers if n != shown(case)[0]])
    )


def next_probability(case: Case) -> Line | None:
    old = shown(case)
    if old[0].startswith(">"):
        return case.instead(old, case.generator.choice(["100 %", "98 %"]))
    return case.instead(old, f"{int(old[0][:-2]) + case.generator.choice([-1, 1])} %")


def other_form(case: Case) -> Line | None:
    number = shown(case)[0].removesuffix(" %").lstrip("<>")
    forms = ["0.{}", "{}", "{}.5 %", "{} ‰", "≥{} %", "~{} %", "-{} %", "{}/100", "{} mL", "{}²  %"]
    forms += [
        "{} % to 99 %",
        "{} %～99 %",
        "{},0 %",
        "{}e1 %",
        "{} %%",
        "{} % %",
        ">>{} %",
        "= {} %",
    ]
    return case.instead(shown(case), case.generator.choice(forms).format(number))


def limit_of_another(case: Case) -> Line | None:
    if shown(case)[0].startswith(">"):
        return case.instead(shown(case), case.generator.choice(["<99 %", ">98 %", "<1 %", ">9 %"]))
    return case.instead(shown(case), case.generator.choice([">", "<"]) + shown(case)[0])


def number_word(case: Case) -> Line | None:
    return case.instead(shown(case), case.generator.choice(WORDS[case.language]))


def spelled_in(digits: str) -> Callable[[Case], Line | None]:
    table = str.maketrans("0123456789", digits)
    return lambda case: case.instead(shown(case), shown(case)[0].translate(table))


def hidden_character(case: Case) -> Line | None:
    old = shown(case)[0]
    hidden = case.generator.choice(["\u200b", "\u2060", "\u00ad", "\u0663"])
    return case.instead(shown(case), f"{old[:1]}{hidden}{old[1:]}")


def other_fault(case: Case) -> Line | None:
    """Name another fault, by any of its names, in the place of the one that is cited."""
    mine = case.report.lines[0].cites[0]
    key = next(score.value for score in case.report.scores if score.id == mine)
    others = [name for fault, name in case.words.faults.items() if fault != key]
    others += [n for f, names in case.words.lexicon["faults"].items() if f != key for n in names]
    return case.swap(case.words.faults[key], case.generator.choice(others))


def added_fault(case: Case) -> Line | None:
    """Name a second fault beside the one that is cited."""
    key = next(s.value for s in case.report.scores if s.id == case.line.cites[0])
    name = case.words.faults[key]
    other = case.generator.choice([n for n in case.words.faults.values() if n != name])
    both = {"en": [f"{name} and {other}", f"{other}, {name}"], "zh": [f"{name}及{other}"]}
    return case.swap(name, case.generator.choice(both[case.language]))


def dropped_probability(case: Case) -> Line | None:
    return case.instead(
        re.search(r"probability [<>]?\d+ %, |概率 [<>]?\d+ %，", case.line.text), ""
    )


def added_sentence(case: Case) -> Line | None:
    return case.text(case.line.text + case.generator.choice(ADDED[case.language]))


def other_score(case: Case) -> Line | None:
    others = [score.id for score in case.report.scores if score.id not in case.line.cites]
    return replace(case.line, cites=(case.generator.choice(others),))


def added_score(case: Case) -> Line | None:
    others = [score.id for score in case.report.scores if score.id not in case.line.cites]
    return replace(case.line, cites=(*case.line.cites, case.generator.choice(others)))


def measurement_instead(case: Case) -> Line | None:
    origin = case.generator.choice(["measured", "read from the image"])
    return replace(case.line, cites=(case.generator.choice([*case.records]),), origin=origin)


def added_measurement(case: Case) -> Line | None:
    return replace(case.line, cites=(*case.line.cites, case.generator.choice([*case.records])))


def unknown_score(case: Case) -> Line | None:
    return replace(case.line, cites=case.generator.choice([("s99",), (*case.line.cites, "s99")]))


def no_citation(case: Case) -> Line | None:
    text = case.line.text.replace(shown(case)[0], "")
    return replace(case.line, cites=(), origin="stated", text=text)


def other_origin(case: Case) -> Line | None:
    return replace(case.line, origin=case.generator.choice(["measured", "stated", "not assessed"]))


def score_for_a_measurement(case: Case) -> Line | None:
    """Let a line about a measurement cite the score."""
    line = case.generator.choice([line for line in case.report.lines if line.origin == "measured"])
    return replace(line, cites=case.line.cites, origin=case.generator.choice(ORIGINS))


ORIGINS = ("measured", "read from the image")
NAMED = [
    (other_probability, next_probability, other_form, limit_of_another, number_word),
    (hidden_character, other_fault, added_fault, dropped_probability, added_sentence),
    (other_score, added_score, measurement_instead, added_measurement, unknown_score),
    (no_citation, other_origin, score_for_a_measurement),
]
SCORE_MUTATIONS: dict[str, Callable[[Case], Line | None]] = {
    "times ten": lambda case: case.swap(" %", "0 %"),
    "negated": NEGATED,
    "graded": GRADED,
    "not said to be read": UNREAD,
    "han digits": spelled_in(HAN),
    "bengali digits": spelled_in(BENGALI),
    "fullwidth digits": spelled_in(FULLWIDTH),
    "superscript digits": spelled_in(SUPERSCRIPT),
} | {mutate.__name__.replace("_", " "): mutate for group in NAMED for mutate in group}
