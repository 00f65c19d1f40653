"""Slots are filled from the ledger: precision and hedging come from the interval."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompts
from assistant.draft import Statement
from assistant.ledger import Ledger
from assistant.render import HEDGE_ABOVE, SlotError, is_hedged, render
from assistant.rows import decimals
from assistant.verify.facts import APPROXIMATE_ABOVE
from assistant.writers import assess, difference
from segment.measurement import Interval, Reason, Reference
from tests.ledgers import SCOPE, asymmetry, plain_ledger, volume, withheld

EN = prompts.load("en")


def filled(text, record, words=EN):
    return render(Statement("findings", text, (record.id,), ""), Ledger((record,)), words)


def left(value=3.214, low=2.95, high=3.5):
    return volume("m1", "hippocampus", "left", value, low, high)


@pytest.mark.parametrize(
    ("slot", "text"),
    [
        ("{m1.value}", "3.21 mL"),
        ("{m1.bounds}", "2.95 to 3.50 mL"),
        ("{m1.interval}", "90 % prediction interval 2.95 to 3.50 mL"),
        ("{m1.reading}", "3.21 mL (90 % prediction interval 2.95 to 3.50 mL)"),
        ("{m1.norm}", f"2.57 to 3.96 mL (central 90 % of 181 cases; {EN.scopes[SCOPE]})"),
        ("{m1.coverage}", "90 %"),
        ("{m1.reference}", "2.57 to 3.96 mL"),
        ("{m1.reference_coverage}", "90 %"),
        ("{m1.n}", "181"),
        ("{m1.name}", "left hippocampus"),
        ("{m1.quantity}", "volume"),
    ],
)
def test_a_slot_is_filled_with_its_field(slot, text):
    assert filled(slot, left()) == text


def test_a_date_is_written_as_it_stands_in_the_record():
    assert filled("{m1.date}", replace(left(), date="2021-03-04")) == "2021-03-04"


@pytest.mark.parametrize(
    ("half_width", "unit", "expected"),
    [
        (0.004, "mL", 2),
        (0.35, "mL", 2),
        (1.2, "mL", 1),
        (12.0, "mL", 0),
        (0.5, "%", 1),
        (12.0, "%", 0),
        (450.0, "mm3", 0),
        (0.0, "mL", 2),
    ],
)
def test_decimals_show_two_digits_of_the_half_width_up_to_the_limit_of_the_unit(
    half_width, unit, expected
):
    assert decimals(Interval(50 - half_width, 50 + half_width, 0.9), unit) == expected


@pytest.mark.parametrize(
    ("language", "text"), [("en", "approximately 3.21 mL"), ("zh", "约 3.21 mL")]
)
def test_a_wide_interval_hedges_the_value(language, text):
    assert filled("{m1.value}", left(low=2.8, high=3.7), prompts.load(language)) == text


def test_the_hedge_begins_above_its_threshold():
    assert not is_hedged(left(3.0, 2.7, 3.3 - 1e-9))
    assert is_hedged(left(3.0, 2.7, 3.3 + 1e-9))


def test_renderer_and_verifier_hedge_at_the_same_threshold():
    assert HEDGE_ABOVE == APPROXIMATE_ABOVE


@given(st.floats(0.05, 9), st.floats(0, 1), st.floats(0, 1))
def test_a_written_value_never_lies_outside_its_written_interval(value, below, above):
    record = left(value, value * (1 - below / 2), value * (1 + above))
    numbers = re.findall(r"\d+\.?\d*", filled("{m1.bounds} {m1.value}", record))
    lower, upper, shown = map(float, numbers)
    assert lower <= shown <= upper


@pytest.mark.parametrize(
    "field", ["value", "interval", "bounds", "coverage", "reference", "n", "reading", "norm"]
)
def test_a_withheld_record_has_no_number_to_be_written(field):
    record = withheld(left(), Reason.TRUNCATED)
    with pytest.raises(SlotError, match="m1 is not reliable"):
        filled(f"{{m1.{field}}}", record)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{m2.value}", "not cited"),
        ("{m1.colour}", "unknown"),
        ("{value}", "a record and a field"),
        ("{m1.value", "a record and a field"),
        ("{m1.value} or 3", "written as slots"),
        ("{m1.value} 或三毫升", "written as slots"),
        ("{m1.value}²", "written as slots"),
        ("{m1.denominator}", "no words"),
        ("{m1.date}", "no date"),
    ],
)
def test_a_slot_that_the_ledger_does_not_carry_is_refused(text, why):
    with pytest.raises(SlotError, match=why):
        filled(text, left())


def test_a_slot_of_a_record_that_is_not_cited_is_refused():
    statement = Statement("findings", "{m4.value}", ("m1",), "")
    with pytest.raises(SlotError, match="not cited"):
        render(statement, plain_ledger(), EN)


def test_a_term_with_a_digit_is_no_number():
    assert filled("T1: {m1.value}", left()) == "T1: 3.21 mL"


def test_no_space_is_left_between_chinese_words():
    wide, words = left(low=2.8, high=3.7), prompts.load("zh")
    assert filled("{m1.name}体积 {m1.value}", wide, words) == "左侧海马体积约 3.21 mL"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.9, 2.5, "below"),
        (2.6, 3.9, "within"),
        (4.0, 4.4, "above"),
        (2.4, 2.8, "overlaps"),
        (3.8, 4.2, "overlaps"),
        (2.2, 4.2, "overlaps"),
    ],
)
def test_the_whole_interval_decides_the_comparison(low, high, expected):
    assert assess(left((low + high) / 2, low, high)) == expected


def test_without_a_reference_range_nothing_is_compared():
    assert assess(replace(left(), reference=None)) is None
    assert assess(withheld(left(), Reason.TRUNCATED)) is None


@pytest.mark.parametrize(
    ("right_ml", "half_width", "expected"),
    [(2.5, 5.0, "left_larger"), (4.0, 5.0, "right_larger"), (3.1, 5.0, "no_difference_shown")],
)
def test_a_side_is_larger_only_if_the_interval_excludes_zero(right_ml, half_width, expected):
    right = volume("m4", "hippocampus", "right", right_ml, right_ml - 0.2, right_ml + 0.2)
    assert difference(asymmetry(left(), right, half_width)) == expected


def test_a_reference_range_takes_the_decimals_of_the_value():
    record = replace(left(), reference=Reference(2.0, 4.0, 0.9, 10, "source", "protocol_no_ages"))
    assert filled("{m1.reference}", record) == "2.00 to 4.00 mL"
