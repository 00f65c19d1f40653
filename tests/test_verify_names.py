"""A structure is called by words that name it and state nothing of it."""

import pytest

import prompts
from assistant.verify.names import check_name, is_known
from tests.mutations import HOSTILE

EN, ZH = prompts.load("en"), prompts.load("zh")
JOINED = {"en": "{} amygdala", "zh": "{}杏仁核"}
ANATOMY = (
    *("hippocampal formation", "front part", "central nucleus", "nodulus", "grey matter"),
    *("bed nucleus of the stria terminalis", "left amygdala", "stroma", "substantia innominata"),
)

ANATOMY_ZH = ("海马结构", "自主神经核", "无名质", "未定带", "灰结节")


@pytest.mark.parametrize(
    ("language", "word"), [(name, word) for name in HOSTILE for word in HOSTILE[name].split()]
)
def test_no_word_that_makes_another_statement_stands_in_a_name(language, word):
    name = JOINED[language].format(word)
    with pytest.raises(ValueError, match=f"no finding, negation or judgement, found .* {name!r}"):
        check_name(name, prompts.load(language))


@pytest.mark.parametrize("name", ["lesions", "meningioma", "Normal", "volume", "increased signal"])
def test_what_can_be_found_or_measured_is_no_name_in_any_language(name):
    told = f"expected a name that states no finding, negation or judgement, found .* {name!r}; call"
    with pytest.raises(ValueError, match=told):
        check_name(name, EN)
    with pytest.raises(ValueError, match="negation or judgement, found '无' in '无海马'"):
        check_name("无海马", ZH)


def test_a_name_of_words_that_name_nothing_is_refused():
    with pytest.raises(ValueError, match="with a word of its own, found 'the value'"):
        check_name("the value", EN)


@pytest.mark.parametrize("name", [*ANATOMY, *EN.lexicon["other_structures"]])
def test_a_structure_may_be_called_what_anatomy_calls_it(name):
    check_name(name, EN)
    check_name(name, ZH)


@pytest.mark.parametrize("name", [*ANATOMY_ZH, *ZH.lexicon["other_structures"]])
def test_a_structure_may_be_called_what_anatomy_calls_it_in_chinese(name):
    check_name(name, ZH)


def test_a_name_says_no_side_where_a_report_does():
    check_name("left amygdala", EN)
    with pytest.raises(ValueError, match=r"expected a name without a side, .* found 'left' in"):
        check_name("left amygdala", EN, has_sides=True)
    with pytest.raises(ValueError, match=r"expected a name without a side, .* found '左' in"):
        check_name("左杏仁核", ZH, has_sides=True)


def test_what_something_else_is_called_is_known():
    assert is_known("left hippocampal", EN)
    assert not is_known("left hippocampal formation", EN)
    assert not is_known("left amygdala", EN)
