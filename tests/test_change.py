"""What changed between two dates: by arithmetic, with its interval, and judged by its error."""

import math
from dataclasses import replace

import pytest

from assistant.ledger import Ledger
from segment.change import ABSOLUTE, RELATIVE, TREND, YEARLY, Visit, compare, days_between
from segment.measurement import EARLIER, Interval, Reason, Reliability
from segment.repeatability import Repeatability, RepeatLevel, Within
from tests.ledgers import (
    BEFORE,
    NOW,
    RANGES,
    REPEATABILITY,
    followed,
    followup_ledger,
    plain_ledger,
    visit,
    withheld,
)

PLAIN = plain_ledger()
DAYS = 397  # between BEFORE and NOW


def record_of(ledger, quantity, side="left", structure="hippocampus"):
    wanted = (quantity, side, structure)
    (found,) = [r for r in ledger.records if (r.quantity, r.side, r.structure) == wanted]
    return found


def pair(correlation=0.95, sd_log=0.011, scale=1.06):
    """Return the relative change of the left side for a certain repeatability."""
    within = dict.fromkeys(RANGES, Within(sd_log, correlation, 17, 224))
    repeatability = Repeatability("r", "tests", (RepeatLevel(1.0, within),))
    records = tuple(replace(record, date=NOW) for record in PLAIN.records)
    now = Visit(records, (1.0, 1.0, 1.0), {}, NOW)
    made = compare(now, [visit(PLAIN.records, scale, BEFORE)], ("hippocampus",), repeatability)
    return record_of(Ledger((*records, *made)), RELATIVE)


def test_a_change_is_the_difference_of_the_stated_volumes_in_three_units():
    ledger = followup_ledger(1.25)
    assert record_of(ledger, EARLIER).value == pytest.approx(1.25 * 3.214)
    assert record_of(ledger, ABSOLUTE).value == pytest.approx(-0.25 * 3.214)
    assert record_of(ledger, RELATIVE).value == pytest.approx(-20.0)
    assert record_of(ledger, YEARLY).value == pytest.approx(-20.0 * 365.25 / DAYS)


def test_every_change_names_its_dates_and_is_an_expression_over_volumes():
    changes = [r for r in followup_ledger(1.06).records if r.comparator is not None]
    assert {(r.comparator, r.date) for r in changes} == {(BEFORE, NOW)}
    assert all(r.expression for r in changes)
    assert [r.unit for r in changes if r.structure != "hippocampus"] == ["%"] * 4


def test_days_are_counted_across_leap_years():
    assert days_between("2020-02-28", "2020-03-01") == 2
    assert days_between(None, "2020-03-01") is None


def test_equal_intervals_of_uncorrelated_errors_add_in_squares():
    change = pair(correlation=0.0)
    half = math.log(1.09)  # of both volumes
    ratio = 1 / 1.06
    assert change.interval.lower == pytest.approx(
        100 * (ratio * math.exp(-math.sqrt(2) * half) - 1)
    )
    assert change.interval.upper == pytest.approx(100 * (ratio * math.exp(math.sqrt(2) * half) - 1))


def test_errors_that_are_the_same_on_both_dates_cancel():
    change = pair(correlation=1.0)
    assert change.interval.upper - change.interval.lower == pytest.approx(0, abs=1e-6)


def test_the_range_of_no_change_is_the_repeatability_coefficient():
    reference = pair(sd_log=0.011).reference
    assert reference.upper == pytest.approx(100 * math.expm1(1.96 * math.sqrt(2) * 0.011))
    assert reference.lower == pytest.approx(100 * math.expm1(-1.96 * math.sqrt(2) * 0.011))
    assert (reference.coverage, reference.n) == (0.95, 17)


def test_all_units_of_one_change_lie_alike_in_their_range():
    ledger = followup_ledger(1.04)
    records = [record_of(ledger, quantity) for quantity in (ABSOLUTE, RELATIVE, YEARLY)]
    shares = [record.value / record.reference.lower for record in records]
    reaches = [record.interval.lower / record.value for record in records]
    assert shares == pytest.approx([shares[0]] * 3)
    assert reaches == pytest.approx([reaches[0]] * 3)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"reason": Reason.NOT_ALIGNED}, Reason.NOT_ALIGNED),
        ({"spacing_mm": (1.0, 1.0, 1.3)}, Reason.OTHER_RESOLUTION),
    ],
)
def test_what_cannot_be_compared_is_withheld_with_its_reason(options, reason):
    change = record_of(followup_ledger(1.06, **options), RELATIVE)
    assert (change.reliability, change.reason) == (Reliability.NOT_RELIABLE, reason)
    assert change.interval is None


@pytest.mark.parametrize(
    ("fact", "old", "new", "reason"),
    [
        ("manufacturer", "Siemens", "GE", Reason.OTHER_PROTOCOL),
        ("magnetic_field_t", "1.5", "3", Reason.OTHER_PROTOCOL),
        ("magnetic_field_t", "1.5", "1.494", None),
        ("echo_time_ms", "3.0", "4.7", Reason.OTHER_PROTOCOL),
        ("flip_angle_degrees", "9", "8", None),
        ("manufacturer", "GE", "GE", None),
        ("slice_thickness_mm", "1", "1.1", None),
    ],
)
def test_a_scanner_that_is_known_to_be_another_cannot_be_compared(fact, old, new, reason):
    records = tuple(replace(record, date=NOW) for record in PLAIN.records)
    now = Visit(records, (1.0, 1.0, 1.0), {fact: new}, NOW)
    before = visit(PLAIN.records, 1.06, BEFORE, facts={fact: old})
    made = compare(now, [before], ("hippocampus",), REPEATABILITY)
    assert {r.reason for r in made if r.quantity == RELATIVE} == {reason}


def test_a_scanner_that_one_file_does_not_name_is_not_held_against_it():
    change = followup_ledger(1.06, facts={"manufacturer": "GE"})
    assert record_of(change, RELATIVE).reason is None


@pytest.mark.parametrize("place", [0, 2])
def test_a_volume_that_is_withheld_on_either_date_has_no_change(place):
    records = list(PLAIN.records)
    records[place] = withheld(records[place], Reason.TRUNCATED)
    structure = records[place].structure
    today = followed(Ledger(tuple(records)), visit(PLAIN.records, 1.06, BEFORE))
    earlier = followed(PLAIN, visit(records, 1.06, BEFORE))
    for ledger in (today, earlier):
        change = record_of(ledger, RELATIVE, structure=structure)
        assert change.reason is Reason.DEPENDS_ON_UNRELIABLE
        assert record_of(ledger, RELATIVE, side="right").reason is None


def test_a_volume_that_was_not_assessed_has_no_change_at_all():
    never = Reliability.NOT_ASSESSED
    records = [withheld(r, Reason.OUTSIDE_FIELD, never) for r in PLAIN.records[:6]]
    change = record_of(followed(PLAIN, visit(records, 1.0, BEFORE)), RELATIVE)
    assert (change.value, change.reliability) == (None, never)


@pytest.mark.parametrize(
    ("date", "reason"), [(None, Reason.DATES_UNKNOWN), ("2024-05-01", Reason.DATES_TOO_CLOSE)]
)
def test_without_two_dates_far_enough_apart_there_is_no_rate_and_yet_a_change(date, reason):
    ledger = followup_ledger(1.06, date)
    assert record_of(ledger, YEARLY).reason is reason
    assert record_of(ledger, YEARLY).value is None
    assert record_of(ledger, RELATIVE).reason is None


def test_a_resolution_without_a_repeatability_cannot_be_compared():
    records = tuple(replace(record, date=NOW) for record in PLAIN.records)
    now = Visit(records, (1.0, 1.0, 4.0), {}, NOW)
    before = visit(PLAIN.records, 1.06, BEFORE, spacing_mm=(1.0, 1.0, 4.0))
    made = compare(now, [before], ("hippocampus",), REPEATABILITY)
    assert {r.reason for r in made if r.comparator} == {Reason.OUTSIDE_CALIBRATION}


def test_three_dates_have_a_trend_and_two_have_none():
    visits = [
        visit(PLAIN.records, scale, date) for scale, date in ((1.2, "2022-04-01"), (1.1, BEFORE))
    ]
    ledger = followed(PLAIN, *visits)
    trend = record_of(ledger, TREND)
    assert trend.comparator == "2022-04-01"
    assert trend.interval.lower < trend.value < trend.interval.upper < 0
    assert "median" in trend.expression
    assert TREND not in {record.quantity for record in followed(PLAIN, visits[1]).records}


@pytest.mark.parametrize(
    ("dates", "reason"),
    [
        ((None, BEFORE), Reason.DATES_UNKNOWN),
        ((BEFORE, BEFORE), Reason.DATES_TOO_CLOSE),
        (("2024-05-01", "2024-05-10"), Reason.DATES_TOO_CLOSE),
    ],
)
def test_a_trend_needs_dates_far_enough_apart(dates, reason):
    ledger = followed(PLAIN, *(visit(PLAIN.records, 1.1, date) for date in dates))
    assert record_of(ledger, TREND).reason is reason


def test_a_trend_leaves_out_a_date_that_cannot_be_compared():
    first, last = (visit(PLAIN.records, 1.2, "2021-04-01"), visit(PLAIN.records, 1.1, BEFORE))
    bad = visit(PLAIN.records, 3.0, "2022-04-01", reason=Reason.NOT_ALIGNED)
    with_bad = record_of(followed(PLAIN, first, bad, last), TREND)
    without = record_of(followed(PLAIN, first, last), TREND)
    assert with_bad.reason is None
    assert (with_bad.value, with_bad.interval) == (without.value, without.interval)
    assert with_bad.comparator == "2021-04-01"


def test_a_trend_begins_with_the_first_date_that_can_be_compared():
    dates = ("2021-04-01", "2022-04-01", BEFORE)
    reasons = (Reason.NOT_ALIGNED, None, None)
    visits = [
        visit(PLAIN.records, 1.1, day, reason=why) for day, why in zip(dates, reasons, strict=True)
    ]
    trend = record_of(followed(PLAIN, *visits), TREND)
    assert (trend.reason, trend.comparator) == (None, "2022-04-01")


def test_one_visit_of_three_that_cannot_be_compared_leaves_no_trend():
    first = visit(PLAIN.records, 1.1, "2022-04-01", reason=Reason.NOT_ALIGNED)
    ledger = followed(PLAIN, first, visit(PLAIN.records, 1.1, BEFORE))
    assert record_of(ledger, TREND).reason is Reason.NOT_ALIGNED
    assert record_of(ledger, RELATIVE).reason is None


def test_an_interval_of_another_volume_makes_the_change_less_certain():
    wide = tuple(
        replace(r, interval=Interval(r.value / 1.3, r.value * 1.3, 0.9)) for r in PLAIN.records[:6]
    )
    change = record_of(followed(PLAIN, visit(wide, 1.06, BEFORE)), RELATIVE)
    narrow = record_of(followup_ledger(1.06), RELATIVE)
    assert change.interval.lower < narrow.interval.lower
