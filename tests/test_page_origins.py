"""The page says in its own language how a value was come by and whom its reference describes."""

import re
from dataclasses import replace

import pytest

import prompts
from assistant.edit import Overridden
from assistant.page import evidence, origins
from prompts import page
from segment import models, organs
from segment.change import METHODS
from segment.masks.measure import AVERAGED
from segment.measure import COUNTED, SIDES_COMPARED
from tests.ledgers import plain_ledger
from tests.test_page_edit import manuscript

languages = pytest.mark.parametrize("language", prompts.languages())
MODEL = "unet 1.0"
LATIN = re.compile("[A-Za-z]{3,}")


def methods():
    """Every way that a value on the page can be come by."""
    return {COUNTED, AVERAGED, SIDES_COMPARED, *METHODS.values()}


@languages
def test_each_way_of_measuring_has_words(language):
    assert {f"method.{how}" for how in methods()} <= page.load(language).keys()


def test_a_method_is_told_in_chinese_beside_the_name_of_its_model():
    told = origins.method(f"{COUNTED}, {MODEL}", "zh")
    assert told.endswith(MODEL)
    assert not LATIN.search(told.removesuffix(MODEL))


def test_who_entered_a_value_is_named_whatever_the_name_holds():
    made = manuscript(language="zh")
    at = "2021-03-04T05:06:07+00:00"
    changed = made.with_change(Overridden("m1", 3.9, 3.6, 4.2, "Dr A, B", at))
    (record,) = [r for r in changed.report.measurements if r.id == "m1"]
    assert origins.method(record.method, "zh") == "由 Dr A, B 人工录入"


def test_a_method_without_words_is_shown_as_its_record_says_it():
    assert origins.method("weighed, scales 2", "en") == "weighed, scales 2"


@languages
def test_whom_a_reference_describes_has_words(language):
    structures = [one for name in organs.available() for one in organs.load(name).structures]
    references = [r for one in structures for r in (one.volume_reference, one.asymmetry_reference)]
    known = [models.repeatability(name) for name in models.available()]
    sources = {one.source for one in references if one} | {
        one.source for one in known if one.levels
    }
    assert sources
    assert {f"source.{source}" for source in sources} <= page.load(language).keys()


def test_the_arithmetic_of_a_chinese_page_holds_no_english_method():
    records = [replace(record, method=f"{COUNTED}, {MODEL}") for record in plain_ledger().records]
    shown = evidence.table(records, prompts.load("zh"), {})
    assert origins.method(records[0].method, "zh") in shown
    assert COUNTED not in shown
