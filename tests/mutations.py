"""Ways in which a rendered line can become wrong, each a function that makes one such line.

A mutation returns None where the line gives it nothing to change; what it returns is wrong.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from assistant.report import Line, Report
from prompts import Phrasebook
from segment.measurement import Measurement, Reason

NUMBER = re.compile(r"(?<![\w.])−?\d+(?:\.\d+)?")
RANGE = re.compile(r"(−?\d+(?:\.\d+)?)( %)?( to |～)(−?\d+(?:\.\d+)?)")
UNITS = ["mL", "mm3", "cm3", "L", "%", "mm", "升", "litres", ""]
BENGALI, ARABIC, FULLWIDTH = "০১২৩৪৫৬৭৮৯", "٠١٢٣٤٥٦٧٨٩", "０１２３４５６７８９"
SUPERSCRIPT, HAN, MATHEMATICAL = "⁰¹²³⁴⁵⁶⁷⁸⁹", "〇一二三四五六七八九", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗"
FOREIGN = {
    "en": [" Total intracranial volume is 1432 mL.", " It was 3.2 mL before.", " The grade is 2."],
    "zh": ["颅内总体积 1432 mL。", "既往为 3.2 mL。", "分级为 2 级。"],
}
UNMEASURED = {
    "en": [" There is no atrophy.", " This is normal for age.", " No mass is shown."],
    "zh": ["未见萎缩。", "符合年龄。", "未见占位。"],
}
# Words that make another statement of one; none may be glue.
HOSTILE = {
    "en": "no not never without normal abnormal atrophic atrophy suspicious unremarkable slightly "
    "severely mildly clearly possibly probably or if unless except only almost outside than both "
    "significant stable reduced enlarged sclerosis tumour excellent poor motion artefact",
    "zh": "不 未 无 非 没有 正常 异常 萎缩 可疑 轻度 重度 明显 可能 或 若 除外 仅 几乎 硬化 肿瘤 "
    "稳定 缩小 增大 "
    "图像质量良好 运动伪影",
}
QUALITY = {
    "en": [", on images of good quality", "; the images show motion", ", despite noise"],
    "zh": ["，图像质量良好", "；图像有运动伪影", "，噪声较大"],
}
CLAIMS = ("comparators", "sizes", "differences", "zero", "precision", "reportable", "withheld")
WORDS = {
    "en": ["three", "twice", "half", "one hundred", "a third", "percent", "threefold"],
    "zh": ["三", "两倍", "一半", "三点二", "百分之九十", "十", "叁"],
}
COMPARATORS = {
    "en": [f"{word} the reference range" for word in ("below", "within", "above")],
    "zh": ["低于参考范围", "在参考范围内", "高于参考范围"],
}
CHANGES = {"en": [" has increased", " decreased", " larger"], "zh": ["增大", "缩小", "较前减少"]}
DENOMINATORS = {
    "en": ["sum of both sides", "left side", "intracranial volume", "whole brain"],
    "zh": ["左右两侧之和", "左侧值", "颅内体积", "全脑"],
}
# Words that a mutation replaces by others, of either language.
WORD_PAIRS = {
    "side": "left>right right>left 左>右 右>左",
    "structure": "anterior>posterior posterior>anterior hippocampus>amygdala hippocampi>amygdalae "
    "前部>后部 后部>前部 前部> 后部> 海马>杏仁核",
    "quantity": "volume>thickness Volume>Length asymmetry>volume 体积>厚度 体积>长度 不对称>体积",
    "order of the difference": "minus>plus 左侧减右侧>右侧减左侧 减>加",
    "dropped hedge": "approximately> 约>",
    "dropped negation": "not> no>a No>A excludes>includes includes>excludes "
    "inconclusive>conclusive 不可靠>可靠 未予>已予 未显示>显示 "
    "不含>包含 包含>不含 不可视为>可视为 无定论>有定论 "
    "neither>either cannot>can could_not>could without>with never>ever has_not>has "
    "unassessed>assessed "
    "withheld>reported 未能>能 无法>可以 尚不能>已能 既不>既 也不>也 未见>可见 未超>超 未达>已达 "
    "不足>足 不予>予 未获>已获 "
    "未作>已作 无可靠>有可靠 暂不>已",
    "inserted negation": "is>is_not was>was_not within>not_within 在参考>不在参考 低于>不低于",
    "size": "small_by>large_by large_by>small_by 偏小>偏大 偏大>偏小 neither_small_nor_large>small "
    "既不偏小也不偏大>偏小",
    "limit": "below_the_lower>above_the_upper above_the_upper>below_the_lower "
    "lower_limit>upper_limit "
    "upper_limit>lower_limit lower_than>higher_than higher_than>lower_than within_the>below_the "
    "inside_the>above_the 下限>上限 上限>下限 以上>以下 以下>以上 低于>高于 高于>低于 "
    "范围内>范围外",
    "larger side": "left_side_is>right_side_is right_side_is>left_side_is "
    "左侧较大>右侧较大 右侧较大>左侧较大 the_left_is>the_right_is the_right_is>the_left_is "
    "on_the_left>on_the_right on_the_right>on_the_left left_side_larger>right_side_larger "
    "right_side_larger>left_side_larger the_left_being>the_right_being "
    "the_right_being>the_left_being "
    "左侧大于右侧>右侧大于左侧 右侧大于左侧>左侧大于右侧 左侧体积较大>右侧体积较大 "
    "右侧体积较大>左侧体积较大 "
    "以左侧为大>以右侧为大 以右侧为大>以左侧为大 左侧较小>右侧较小 右侧较小>左侧较小",
    "claimed side": "no_difference_in_volume>the_left_side_is_larger neither_side>the_left_side "
    "do_not_differ>differ without_a_demonstrable>with_a_demonstrable "
    "no_side_difference>a_side_difference "
    "左右侧差异未获证实>左侧较大 未见可证实的左右侧差异>右侧较大 "
    "尚不能证实左右侧存在差异>左右侧存在差异 "
    "左右两侧未显示差异>左侧较大 不足以说明左右侧有差异>左右侧有差异",
    "claimed difference": "no_difference_between_the_sides_is_shown>the_left_side_is_larger "
    "no_difference_between_the_sides_is_shown>the_right_side_is_larger "
    "未显示左右侧差异>左侧较大 未显示左右侧差异>右侧较大",
}


@dataclass(frozen=True)
class Case:
    """A line to be made wrong, with all it can take a wrong word from."""

    line: Line
    report: Report
    words: Phrasebook
    generator: random.Random

    @property
    def records(self) -> dict[str, Measurement]:
        return {record.id: record for record in self.report.measurements}

    @property
    def cited(self) -> Measurement:
        return self.records[self.line.cites[0]]

    @property
    def language(self) -> str:
        return self.words.language

    def text(self, text: str) -> Line | None:
        """Return the line with another text, or None if it is the same."""
        return None if text == self.line.text else replace(self.line, text=text)

    def pick(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Return a random match of a pattern in the line."""
        found = list(pattern.finditer(self.line.text))
        return self.generator.choice(found) if found else None

    def instead(self, match: re.Match[str] | None, text: str) -> Line | None:
        """Return the line with another text in place of a match."""
        if match is None:
            return None
        whole = self.line.text
        return self.text(whole[: match.start()] + text + whole[match.end() :])

    def exchanged(self, pattern: re.Pattern[str]) -> Line | None:
        """Return the line with the two matches of a pattern in each other's place."""
        found = list(pattern.finditer(self.line.text))
        if len(found) != 2:
            return None
        first, second = found
        whole = self.line.text
        middle = whole[first.end() : second.start()]
        around = whole[: first.start()], whole[second.end() :]
        return self.text(around[0] + second[0] + middle + first[0] + around[1])

    def swap(self, old: str, new: str) -> Line | None:
        """Return the line with one random occurrence of a text replaced."""
        return self.instead(self.pick(re.compile(re.escape(old))), new)

    def any_of(self, pairs: list[tuple[str, str]]) -> Line | None:
        """Return the line with one of the pairs that occur in it replaced."""
        present = [pair for pair in pairs if pair[0] in self.line.text]
        return self.swap(*self.generator.choice(present)) if present else None


def scaled(factor: float) -> Callable[[Case], Line | None]:
    def mutate(case: Case) -> Line | None:
        match = case.pick(NUMBER)
        if match is None or not float(match[0].replace("−", "-")):
            return None
        digits = len(match[0].partition(".")[2])
        number = float(match[0].replace("−", "-")) * factor
        return case.instead(match, f"{number:.{digits}f}".replace("-", "−"))

    return mutate


def replaced(pairs: str) -> Callable[[Case], Line | None]:
    halves = [pair.replace("_", " ").partition(">") for pair in pairs.split()]
    return lambda case: case.any_of([(old, new) for old, _, new in halves])


def last_digit(case: Case) -> Line | None:
    match = case.pick(NUMBER)
    if match is None:
        return None
    digit = (int(match[0][-1]) + case.generator.choice([1, 9])) % 10
    return case.instead(match, f"{match[0][:-1]}{digit}")


def any_digit(case: Case) -> Line | None:
    match = case.pick(re.compile(r"\d"))
    other = str((int(match[0]) + case.generator.randint(1, 9)) % 10) if match else ""
    return case.instead(match, other)


def sign(case: Case) -> Line | None:
    match = case.pick(NUMBER)
    if match is None or not float(match[0].replace("−", "-")):
        return None
    return case.instead(match, match[0][1:] if match[0][0] == "−" else f"−{match[0]}")


def unit(case: Case) -> Line | None:
    match = case.pick(re.compile(r"(?<=\d )(?:mL|%)"))
    others = [u for u in UNITS if match and u != match[0]]
    is_first_of_range = match and re.match(r"～", case.line.text[match.end() :])
    return (
        case.instead(match, case.generator.choice(others))
        if others and not is_first_of_range
        else None
    )


def spelled_in(digits: str) -> Callable[[Case], Line | None]:
    table = str.maketrans("0123456789", digits)
    return lambda case: (m := case.pick(NUMBER)) and case.instead(m, m[0].translate(table))


def one_digit_in(digits: str) -> Callable[[Case], Line | None]:
    return lambda case: (m := case.pick(re.compile(r"\d"))) and case.instead(m, digits[int(m[0])])


def number_word(case: Case) -> Line | None:
    return case.instead(case.pick(NUMBER), case.generator.choice(WORDS[case.language]))


def added_word(case: Case) -> Line | None:
    word = case.generator.choice(WORDS[case.language])
    match = case.pick(NUMBER)
    return case.instead(match, f"{word} {match[0]}") if match else None


def exponent(case: Case) -> Line | None:
    match = case.pick(NUMBER)
    tail = case.generator.choice(["e1", "×10", "²", "E-3", ",000", "½", " × 10", "/2", "‰", "k"])
    return case.instead(match, match[0] + tail) if match else None


def reversed_range(case: Case) -> Line | None:
    match = case.pick(RANGE)
    if match is None or match[1] == match[4]:
        return None
    return case.instead(match, f"{match[4]}{match[2] or ''}{match[3]}{match[1]}")


def coverage(case: Case) -> Line | None:
    return case.swap("90 %", case.generator.choice(["95 %", "9 %", "99 %", "80 %", "0.9 %"]))


def count(case: Case) -> Line | None:
    n = case.cited.reference.n if case.cited.reference else 0
    return case.swap(str(n), str(n + case.generator.choice([-1, 1, 10, 100])))


def swapped_ranges(case: Case) -> Line | None:
    return case.exchanged(RANGE)


def swapped_records(case: Case) -> Line | None:
    others = [
        line for line in case.report.lines if len(line.cites) == 1 and NUMBER.search(line.text)
    ]
    others = [line for line in others if line.cites != case.line.cites]
    mine = NUMBER.search(case.line.text)
    if not others or not mine:
        return None
    theirs = NUMBER.search(case.generator.choice(others).text)
    return case.instead(mine, theirs[0]) if theirs and theirs[0] != mine[0] else None


def both_sides(case: Case) -> Line | None:
    text = case.line.text
    for one, other in (("left", "right"), ("左", "右")):
        text = text.replace(one, "\0").replace(other, one).replace("\0", other)
    is_stated = any(record.reason is Reason.ORIENTATION_IMPLAUSIBLE for record in [case.cited])
    return None if is_stated else case.text(text)


def denominator(case: Case) -> Line | None:
    words = case.words.denominators["mean of left and right"]
    return case.swap(words, case.generator.choice(DENOMINATORS[case.language]))


def added_hedge(case: Case) -> Line | None:
    hedge = {"en": "approximately ", "zh": "约 "}[case.language]
    match = NUMBER.search(case.line.text)
    if match is None or hedge in case.line.text:
        return None
    return case.instead(match, hedge + match[0])


def comparator(case: Case) -> Line | None:
    words = COMPARATORS[case.language]
    return case.any_of([(one, other) for one in words for other in words if one != other])


def change(case: Case) -> Line | None:
    end = case.line.text[-1]
    return case.text(case.line.text[:-1] + case.generator.choice(CHANGES[case.language]) + end)


def certain_when_withheld(case: Case) -> Line | None:
    if case.cited.reason is None or len(case.line.cites) > 1:
        return None
    name = case.words.structure(case.cited.structure, case.cited.side)
    texts = {
        "en": [
            f"The volume of the {name} is 3.21 mL (90 % prediction interval 2.95 to 3.50 mL).",
            f"The volume of the {name} is within the reference range.",
            f"The {name} differ in volume: the left side is larger.",
            f"No difference in volume between the {name} is shown.",
        ],
        "zh": [
            f"{name}体积 3.21 mL（90 % 预测区间 2.95～3.50 mL）。",
            f"{name}体积在参考范围内。",
            f"{name}体积有差异，左侧较大。",
            f"{name}体积未显示左右侧差异。",
        ],
    }
    return case.text(case.generator.choice(texts[case.language]))


def withheld_when_certain(case: Case) -> Line | None:
    if case.cited.reason is not None:
        return None
    name = case.words.structure(case.cited.structure, case.cited.side)
    reason = case.words.reasons["empty"]
    texts = {
        "en": f"The volume of the {name} is withheld as not reliable: {reason}.",
        "zh": f"{name}体积测量不可靠，不予报告：{reason}。",
    }
    return case.text(texts[case.language])


def other_reason(case: Case) -> Line | None:
    if case.cited.reason is None:
        return None
    other = case.generator.choice([r for r in Reason if r is not case.cited.reason])
    return case.swap(case.words.reasons[case.cited.reason], case.words.reasons[other])


def date(case: Case) -> Line | None:
    return case.text(case.line.text[:-1] + " 2024-05-01" + case.line.text[-1])


def dropped_interval(case: Case) -> Line | None:
    return case.instead(case.pick(re.compile(r" ?[(（]90 %[^)）]*[)）]")), "")


def foreign_sentence(case: Case) -> Line | None:
    return case.text(case.line.text + case.generator.choice(FOREIGN[case.language]))


def unmeasured_finding(case: Case) -> Line | None:
    return case.text(case.line.text + case.generator.choice(UNMEASURED[case.language]))


def hostile_word(case: Case) -> Line | None:
    """Put a word that changes what is said between any two words."""
    word = case.generator.choice(HOSTILE[case.language].split())
    text, is_latin = case.line.text, case.language == "en"
    places = [m.start() for m in re.finditer(" ", text)] if is_latin else range(1, len(text))
    place = case.generator.choice(list(places))
    if any(reason in text for reason in case.words.reasons.values()) and not is_latin:
        place = 0
    return case.text(f"{text[:place]}{' ' if is_latin else ''}{word}{text[place:]}")


def claim_of_quality(case: Case) -> Line | None:
    end = case.line.text[-1]
    return case.text(case.line.text[:-1] + case.generator.choice(QUALITY[case.language]) + end)


def other_claim(case: Case) -> Line | None:
    """Replace what is claimed by something else that the language can claim."""
    claims = {
        phrase: (table, key)
        for table in CLAIMS
        for key, phrases in case.words.lexicon[table].items()
        for phrase in phrases
    }
    said = [phrase for phrase in sorted(claims, key=len, reverse=True) if phrase in case.line.text]
    if not said:
        return None
    table, key = claims[said[0]]
    others = [p for p, (t, k) in claims.items() if t == table and k != key]
    return case.swap(said[0], case.generator.choice(others)) if others else None


def added_claim(case: Case) -> Line | None:
    """Add a claim that the record does not carry: its opposites are in the line or it has none."""
    withheld = {
        "en": ["was judged reliable", "is reportable", "the interval is wide"],
        "zh": ["测量可靠，予以报告", "可予报告", "区间较宽"],
    }
    certain = {
        "en": ["withheld as not reliable", "was not assessed", "could not be measured reliably"],
        "zh": ["测量不可靠，不予报告", "未予评估", "无可靠测量值"],
    }
    claims = (certain if case.cited.reason is None else withheld)[case.language]
    comma = {"en": ", ", "zh": "，"}[case.language]
    end = case.line.text[-1]
    return case.text(f"{case.line.text[:-1]}{comma}{case.generator.choice(claims)}{end}")


def unbound_reference(case: Case) -> Line | None:
    """Place the value by words instead of a claim: "in the reference range"."""
    words = {"en": " in the reference range", "zh": "为参考范围"}[case.language]
    return case.text(case.line.text[:-1] + words + case.line.text[-1])


def hidden_character(case: Case) -> Line | None:
    match = case.pick(NUMBER)
    hidden = case.generator.choice(["\u200b", "\u2060", "\u0663", "\u00ad"])
    return case.instead(match, match[0][:1] + hidden + match[0][1:]) if match else None


def unknown_citation(case: Case) -> Line | None:
    return replace(case.line, cites=case.generator.choice([("m99",), (*case.line.cites, "m99")]))


def wrong_citation(case: Case) -> Line | None:
    others = [r for r in case.records if r not in case.line.cites]
    return replace(case.line, cites=(case.generator.choice(others),))


def added_citation(case: Case) -> Line | None:
    others = [r for r in case.records if r not in case.line.cites]
    return replace(case.line, cites=(*case.line.cites, case.generator.choice(others)))


def removed_citation(case: Case) -> Line | None:
    if len(case.line.cites) > 1:
        return replace(case.line, cites=case.line.cites[1:])
    try:
        return replace(case.line, cites=(), origin="stated")
    except ValueError:
        return None


MADE = {
    "value times ten": scaled(10),
    "value times a thousand": scaled(1000),
    "value by a thousand": scaled(0.001),
    "superscript digits": one_digit_in(SUPERSCRIPT),
    "han digits": spelled_in(HAN),
    "one han digit": one_digit_in(HAN),
    "bengali digits": spelled_in(BENGALI),
    "arabic digits": spelled_in(ARABIC),
    "fullwidth digits": spelled_in(FULLWIDTH),
    "mathematical digits": spelled_in(MATHEMATICAL),
}
NAMED = [
    (last_digit, any_digit, sign, unit, number_word, added_word, exponent, reversed_range),
    (coverage, count, swapped_ranges, swapped_records, both_sides, denominator, added_hedge),
    (comparator, change, certain_when_withheld, withheld_when_certain, other_reason, date),
    (hostile_word, claim_of_quality, other_claim, added_claim, unbound_reference),
    (dropped_interval, foreign_sentence, unmeasured_finding, hidden_character),
    (unknown_citation, wrong_citation, added_citation, removed_citation),
]
MUTATIONS: dict[str, Callable[[Case], Line | None]] = (
    MADE
    | {name: replaced(pairs) for name, pairs in WORD_PAIRS.items()}
    | {mutate.__name__.replace("_", " "): mutate for group in NAMED for mutate in group}
)
