"""A phrasebook writes numbers as its language does and refuses what it does not know."""

import pytest

import prompts


def test_an_unknown_language_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown language 'tlh'; there are en"):
        prompts.load("tlh")


def test_english_and_chinese_are_there():
    assert {"en", "zh"} <= set(prompts.languages())


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(3.214, 2, "3.21"), (-2.35, 1, "−2.4"), (-0.04, 1, "0.0"), (12.6, 0, "13"), (0.0, 2, "0.00")],
)
def test_a_number_is_written_with_a_true_minus_and_never_as_minus_zero(value, decimals, text):
    assert prompts.load("en").number(value, decimals) == text


@pytest.mark.parametrize(("share", "text"), [(0.9, "90 %"), (0.95, "95 %"), (0.975, "97.5 %")])
def test_a_share_is_written_as_a_plain_percentage(share, text):
    assert prompts.load("en").share(share) == text


@pytest.mark.parametrize(
    ("language", "volume", "percent"),
    [
        ("en", "2.95 to 3.50 mL", "−1.7 to 9.3 %"),
        ("zh", "2.95～3.50 mL", "−1.7 %～9.3 %"),
    ],
)
def test_a_range_is_written_as_the_language_does(language, volume, percent):
    words = prompts.load(language)
    assert words.range(2.95, 3.5, "mL", 2) == volume
    assert words.range(-1.7, 9.3, "%", 1) == percent


@pytest.mark.parametrize(
    ("language", "name"),
    [("en", "anterior part of the left hippocampus"), ("zh", "左侧海马前部")],
)
def test_a_structure_is_named_with_its_side(language, name):
    assert prompts.load(language).structure("hippocampus anterior", "left") == name
