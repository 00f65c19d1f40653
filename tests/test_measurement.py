"""A number without what makes it a measurement is refused, one refusal at a time."""

import dataclasses
import math

import pytest

from segment.measurement import Interval, Measurement, Reason, Reliability


@pytest.fixture
def volume():
    """A measurement that nothing is wrong with."""
    return Measurement(
        id="m1",
        structure="hippocampus",
        code="5366008",
        side="left",
        quantity="volume",
        unit="mL",
        value=3.2,
        interval=Interval(2.9, 3.5, 0.9),
        reliability=Reliability.REPORTABLE,
        reason=None,
        method="voxel count",
    )


def test_an_interval_knows_its_bounds_and_coverage():
    interval = Interval(2.0, 3.0, 0.9)
    assert (interval.lower, interval.upper, interval.coverage) == (2.0, 3.0, 0.9)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("bound", ["lower", "upper"])
def test_a_bound_that_is_not_finite_is_refused(bound, value):
    bounds = {"lower": 1.0, "upper": 2.0} | {bound: value}
    with pytest.raises(ValueError, match="finite bounds"):
        Interval(**bounds, coverage=0.9)


def test_bounds_the_wrong_way_round_are_refused():
    with pytest.raises(ValueError, match="not an interval"):
        Interval(2.0, 1.0, 0.9)


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, 90.0])
def test_a_coverage_that_is_no_share_is_refused(coverage):
    with pytest.raises(ValueError, match="coverage"):
        Interval(1.0, 2.0, coverage)


@pytest.mark.parametrize("value", [2.9, 3.5])
def test_a_value_on_a_bound_is_inside(volume, value):
    assert dataclasses.replace(volume, value=value).value == value


@pytest.mark.parametrize("value", [2.89, 3.51])
def test_a_value_outside_its_interval_is_refused(volume, value):
    with pytest.raises(ValueError, match="outside its own interval"):
        dataclasses.replace(volume, value=value)


def test_a_ratio_without_a_denominator_is_refused(volume):
    with pytest.raises(ValueError, match="denominator"):
        dataclasses.replace(volume, unit="%")


def test_a_ratio_with_a_denominator_is_accepted(volume):
    ratio = dataclasses.replace(volume, unit="%", denominator="mean of both sides")
    assert ratio.denominator == "mean of both sides"


def test_a_reportable_value_without_an_interval_is_refused(volume):
    with pytest.raises(ValueError, match="without an interval"):
        dataclasses.replace(volume, interval=None)


def test_a_reportable_value_with_a_reason_is_refused(volume):
    with pytest.raises(ValueError, match="a reason stands exactly"):
        dataclasses.replace(volume, reason=Reason.TRUNCATED)


@pytest.mark.parametrize("reliability", [Reliability.NOT_RELIABLE, Reliability.NOT_ASSESSED])
def test_a_withheld_value_without_a_reason_is_refused(volume, reliability):
    with pytest.raises(ValueError, match="a reason stands exactly"):
        dataclasses.replace(volume, reliability=reliability)


def test_an_unreliable_value_may_lack_an_interval(volume):
    withheld = dataclasses.replace(
        volume, interval=None, reliability=Reliability.NOT_RELIABLE, reason=Reason.TRUNCATED
    )
    assert withheld.value == 3.2


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_an_assessed_record_without_a_finite_value_is_refused(volume, value):
    with pytest.raises(ValueError, match="no finite value"):
        dataclasses.replace(volume, value=value)


@pytest.mark.parametrize("kept", ["value", "interval"])
def test_a_record_that_was_not_assessed_and_holds_a_number_is_refused(volume, kept):
    dropped = {"value": None, "interval": None}
    del dropped[kept]
    with pytest.raises(ValueError, match="not assessed and yet"):
        dataclasses.replace(
            volume,
            reliability=Reliability.NOT_ASSESSED,
            reason=Reason.REGISTRATION_UNTRUSTED,
            **dropped,
        )


def test_a_record_that_was_not_assessed_holds_only_its_reason(volume):
    absent = dataclasses.replace(
        volume,
        value=None,
        interval=None,
        reliability=Reliability.NOT_ASSESSED,
        reason=Reason.REGISTRATION_UNTRUSTED,
    )
    assert absent.reason is Reason.REGISTRATION_UNTRUSTED


def test_an_error_names_the_record(volume):
    with pytest.raises(ValueError, match=r"m1 \(left hippocampus volume\)"):
        dataclasses.replace(volume, value=9.0)


def test_a_measurement_cannot_be_changed(volume):
    with pytest.raises(dataclasses.FrozenInstanceError):
        volume.value = 4.0
