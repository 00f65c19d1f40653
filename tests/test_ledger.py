"""The ledger holds each record once and derives what it derives."""

import pytest

from assistant.ledger import Ledger, evaluate, names_in
from segment.measurement import Interval, Measurement, Reason, Reliability

ASYMMETRY = "200 * (m1 - m2) / (m1 + m2)"


def record(record_id, value, /, **changes):
    known = {
        "id": record_id,
        "structure": "hippocampus",
        "code": "5366008",
        "side": "left",
        "quantity": "volume",
        "unit": "mL",
        "value": value,
        "interval": Interval(value - 1, value + 1, 0.9),
        "reliability": Reliability.REPORTABLE,
        "reason": None,
        "method": "voxel count",
    }
    return Measurement(**(known | changes))


def index(value, expression=ASYMMETRY):
    return record("m3", value, unit="%", denominator="mean", expression=expression)


def test_a_record_is_found_by_its_id():
    ledger = Ledger((record("m1", 3.0), record("m2", 2.0)))
    assert ledger["m2"].value == 2.0
    assert "m1" in ledger
    assert "m9" not in ledger


def test_an_unknown_id_is_a_key_error():
    with pytest.raises(KeyError, match="m9"):
        Ledger((record("m1", 3.0),))["m9"]


def test_the_same_id_twice_is_refused():
    with pytest.raises(ValueError, match="an id twice"):
        Ledger((record("m1", 3.0), record("m1", 2.0)))


def test_a_derived_value_that_follows_is_accepted():
    assert Ledger((record("m1", 3.0), record("m2", 2.0), index(40.0)))["m3"].value == 40.0


@pytest.mark.parametrize("value", [40.1, -40.0, 0.4])
def test_a_derived_value_that_does_not_follow_is_refused(value):
    with pytest.raises(ValueError, match=r"is 40\.0"):
        Ledger((record("m1", 3.0), record("m2", 2.0), index(value)))


def test_an_expression_over_an_unknown_record_is_refused():
    with pytest.raises(ValueError, match=r"unknown records \['m2'\]"):
        Ledger((record("m1", 3.0), index(40.0)))


def test_a_derived_value_over_a_missing_one_is_refused():
    absent = record(
        "m2",
        2.0,
        value=None,
        interval=None,
        reliability=Reliability.NOT_ASSESSED,
        reason=Reason.OUTSIDE_FIELD,
    )
    with pytest.raises(ValueError, match="known records"):
        Ledger((record("m1", 3.0), absent, index(40.0)))


def test_a_derived_record_that_was_not_assessed_needs_no_value():
    derived = record(
        "m3",
        0.0,
        value=None,
        interval=None,
        reliability=Reliability.NOT_ASSESSED,
        reason=Reason.DEPENDS_ON_UNRELIABLE,
        expression=ASYMMETRY,
    )
    assert Ledger((record("m1", 3.0), record("m2", 2.0), derived))["m3"].value is None


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("m1", 3.0),
        ("-m1 + 2", -1.0),
        ("m1 * m2", 6.0),
        ("(m1 - m2) / m2", 0.5),
        ("1.5", 1.5),
        ("median(m1, 2 * m2, 7)", 4.0),
    ],
)
def test_expressions_are_arithmetic(expression, value):
    assert evaluate(expression, {"m1": 3.0, "m2": 2.0}) == value


@pytest.mark.parametrize(
    "expression",
    [
        "m1 ** 2",
        "abs(m1)",
        "m1.real",
        "m9",
        "'a'",
        "m1 if m1 else 2",
        "[m1][0]",
        "m1 < 2",
        "+m1",
        "median()",
        "max(m1, m2)",
        "median(m1, key=m2)",
    ],
)
def test_anything_but_arithmetic_is_refused(expression):
    with pytest.raises(ValueError, match="more than numbers"):
        evaluate(expression, {"m1": 3.0})


def test_the_names_of_an_expression_are_its_records():
    assert names_in(ASYMMETRY) == {"m1", "m2"}
    assert names_in("median(m1, m2, 3)") == {"m1", "m2"}
