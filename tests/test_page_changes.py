"""The change of each structure is plotted on the range of repeats, all on one scale."""

import re
from dataclasses import replace

import pytest

import prompts
from assistant.page import changes, prior
from assistant.page.plot import MARGIN, WIDTH, Axis, plot, scale
from assistant.rows import measurement_row
from assistant.ticks import ticks
from segment.change import RELATIVE
from segment.measurement import Interval, Reason
from tests.ledgers import BEFORE, followup_ledger, plain_ledger, withheld
from tests.test_page_desk import desk  # noqa: F401  a fixture

languages = pytest.mark.parametrize("language", prompts.languages())
LOST, KEPT = followup_ledger(1.06), followup_ledger(1.0)


def relative(ledger):
    return [record for record in ledger.records if record.quantity == RELATIVE]


def drawn(picture):
    """Read where band, interval and value of a plot lie, from the left."""
    band = re.search(r'vx-reference" x="([\d.]+)".*? width="([\d.]+)"', picture).groups()
    left, width = map(float, band)
    line = re.search(r'vx-interval" x1="([\d.]+)" x2="([\d.]+)"', picture).groups()
    dot = float(re.search(r'cx="([\d.]+)"', picture)[1])
    return (left, left + width), tuple(map(float, line)), dot


@languages
def test_every_structure_that_was_compared_has_its_change_in_a_plot(language):
    words = prompts.load(language)
    shown = changes.section(LOST.records, words)
    assert shown.count("<svg") == len(relative(LOST)) + 1  # the scale
    for record in relative(LOST):
        assert words.structure(record.structure, record.side) in shown
        assert measurement_row(record, words)[4] in shown
        assert f'href="#cite-{record.id}"' in shown
    assert BEFORE in shown


def test_a_loss_beyond_the_repeats_lies_left_of_their_band():
    axis = Axis.around(relative(LOST), 0.0)
    for record in relative(LOST):
        band, line, dot = drawn(plot(record, prompts.load("en"), axis))
        assert line[0] <= dot <= line[1]
        assert dot < band[0]
        assert band[0] < axis.across(0.0) < band[1]


def test_no_change_lies_inside_the_band():
    band, _, dot = drawn(plot(relative(KEPT)[0], prompts.load("en")))
    assert band[0] < dot < band[1]


def test_all_changes_share_one_scale_and_lie_inside_it():
    axis = Axis.around(relative(LOST), 0.0)
    shown = [drawn(plot(record, prompts.load("en"), axis)) for record in relative(LOST)]
    ends = [end for band, line, _ in shown for end in (*band, *line)]
    assert MARGIN <= min(ends) <= max(ends) <= WIDTH - MARGIN
    assert axis.across(relative(LOST)[0].value) == pytest.approx(shown[0][2], abs=0.06)


@pytest.mark.parametrize(
    ("low", "high", "round_values"),
    [(-7.3, 4.1, [-5, 0]), (-0.04, 0.05, [-0.04, -0.02, 0, 0.02, 0.04]), (-30, 110, [0, 50, 100])],
)
def test_ticks_are_round_numbers(low, high, round_values):
    assert list(ticks(low, high)) == pytest.approx(round_values)
    assert scale(Axis(low, high), prompts.load("en"), "%").count("<text") == len(round_values)


def test_a_plot_of_a_change_says_what_it_is_compared_with():
    words = prompts.load("en")
    assert "repeats of an unchanged structure" in plot(relative(LOST)[0], words)
    assert "reference range" in plot(plain_ledger().records[0], words)


@languages
def test_a_change_that_cannot_be_told_has_its_reason_and_no_plot(language):
    words = prompts.load(language)
    records = [withheld(record, Reason.NOT_ALIGNED) for record in relative(LOST)]
    shown = changes.section([replace(r, interval=None, reference=None) for r in records], words)
    assert "<svg" not in shown
    assert words.reasons[Reason.NOT_ALIGNED] in shown


def test_without_an_earlier_study_there_is_no_section():
    assert changes.section(plain_ledger().records, prompts.load("en")) == ""


def test_a_change_of_a_value_by_hand_has_no_band():
    record = relative(LOST)[0]
    bounds = Interval(record.interval.lower, record.interval.upper, None)
    by_hand = replace(record, interval=bounds, reference=None)
    shown = changes.section([by_hand], prompts.load("en"))
    assert "vx-reference" not in shown
    assert "vx-interval" in shown


def test_a_report_names_the_scans_that_it_compares(desk):  # noqa: F811
    report = desk.report()
    assert prior.compared(report) == ()
    made = replace(report, provenance={**report.provenance, "prior": [{"input_sha256": "b" * 64}]})
    assert prior.compared(made) == ("b" * 64,)
