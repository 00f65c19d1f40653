"""The picture of a trend shows its records where the axes say, in the words of the ledger."""

import random
import re
from dataclasses import replace
from datetime import date
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import theilslopes

import prompts
from assistant import trend_views as drawing
from assistant.exports.sheet import sheet
from assistant.ledger import Ledger
from assistant.render import slot
from assistant.rows import measurement_row
from assistant.trend_views import SLOPE, VOLUMES, Course, Frame, trend_views
from assistant.views import can_draw
from segment.change import TREND
from segment.measurement import Reason
from tests.exported import MADE, picture
from tests.ledgers import NOW, followed, plain_ledger, random_lesion_ledger, visit, withheld
from tests.test_exports import drafted

EN = prompts.load("en")
DATES, SCALES = ("2020-06-01", "2021-07-15", "2023-12-01"), (1.11, 1.06, 1.02)
languages = pytest.mark.parametrize("language", prompts.languages())


def followed_over(dates=DATES, scales=SCALES, **options):
    """A ledger of today after visits at which all volumes were so many times as large."""
    records = plain_ledger().records
    pairs = zip(scales, dates, strict=True)
    return followed(plain_ledger(), *(visit(records, *pair, **options) for pair in pairs))


LEDGER = followed_over()


def trends(ledger):
    return [record for record in ledger.records if record.quantity == TREND]


def course(ledger=LEDGER):
    return Course.of(trends(ledger)[0], ledger)


def texts(monkeypatch, ledger=LEDGER, words=EN):
    """List the texts of the first picture with their places and anchors."""
    written = []
    monkeypatch.setattr(
        drawing,
        "write_text",
        lambda pen, place, text, **how: written.append((text, place, how.get("anchor"))),
    )
    legends = []
    monkeypatch.setattr(drawing, "write_legends", lambda pen, y, told: legends.extend(told))
    count = len(trend_views(ledger, words))
    assert count == 2
    return written[: len(written) // count], [name for name, _ in legends[: len(legends) // count]]


def columns_of(view, colour):
    """Find where a colour stands in the plot, from the left."""
    shown = (np.abs(view.rgb[60:370, 80:].astype(int) - colour).max(axis=-1) <= 6).sum(axis=0)
    return 80 + np.flatnonzero(shown > 20)


def test_each_whole_structure_has_one_picture_of_its_trend():
    views = trend_views(LEDGER, EN)
    assert [view.name for view in views] == ["trend_hippocampus_left", "trend_hippocampus_right"]
    assert [view.facts["record"] for view in views] == [record.id for record in trends(LEDGER)]


def test_two_dates_have_no_picture():
    assert trend_views(followed_over(DATES[:1], SCALES[:1]), EN) == ()


@pytest.mark.parametrize(
    "ledger",
    [
        followed_over(reason=Reason.NOT_ALIGNED),
        followed_over(("2024-05-01", "2024-05-20"), (1.1, 1.1)),
        followed_over(("2024-01-01", "2024-01-01"), (1.1, 1.1)),
    ],
    ids=["not aligned", "too close", "one day"],
)
def test_a_trend_that_is_withheld_has_no_picture(ledger):
    assert {record.reason for record in trends(ledger)} != {None}
    assert trend_views(ledger, EN) == ()


def test_one_side_that_is_withheld_leaves_the_picture_of_the_other():
    first, second = trends(LEDGER)
    lost = replace(withheld(first, Reason.EMPTY), expression=None)
    records = [lost if record.id == first.id else record for record in LEDGER.records]
    assert [view.facts["record"] for view in trend_views(Ledger(tuple(records)), EN)] == [second.id]


def test_lesions_have_no_trend_and_no_picture():
    assert trend_views(random_lesion_ledger(random.Random(0)), EN) == ()


def test_the_dates_lie_on_an_axis_of_time():
    (view, _) = trend_views(LEDGER, EN)
    days = [date.fromisoformat(day).toordinal() for day in (*DATES, NOW)]
    found = columns_of(view, VOLUMES)
    groups = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    middles = [group.mean() for group in groups]
    assert len(middles) == len(days)
    shares = np.interp(days, [days[0], days[-1]], [middles[0], middles[-1]])
    assert middles == pytest.approx(shares, abs=0.6)


def test_a_whisker_reaches_from_one_bound_to_the_other():
    (view, _) = trend_views(LEDGER, EN)
    shown = course()
    frame = Frame.around(shown, drawing.TOP_PX)
    for day, interval in zip(shown.days, shown.intervals, strict=True):
        column = view.rgb[60:370, round(frame.across(day))].astype(int)
        rows = 60 + np.flatnonzero(np.abs(column - VOLUMES).max(axis=-1) <= 90)
        ends = [frame.down(interval.upper), frame.down(interval.lower)]
        assert [rows.min(), rows.max()] == pytest.approx(ends, abs=2)


def test_the_line_is_that_of_theil_and_sen_through_the_medians():
    shown = course()
    expected = theilslopes(shown.values_ml, shown.days)
    ends = [expected.intercept + expected.slope * day for day in (shown.days[0], shown.days[-1])]
    assert shown.line_ml(shown.percent) == pytest.approx(ends)


def test_the_band_holds_the_line_and_closes_at_the_medians():
    shown = course()
    low, line, high = (
        shown.line_ml(percent)
        for percent in (shown.interval.lower, shown.percent, shown.interval.upper)
    )
    assert low[0] > line[0] > high[0]
    assert low[1] < line[1] < high[1]
    middle = np.median(shown.days) / shown.days[-1]
    at_middle = [one + middle * (other - one) for one, other in (low, line, high)]
    assert at_middle == pytest.approx([np.median(shown.values_ml)] * 3)


def test_line_and_band_stand_in_the_picture():
    (view, _) = trend_views(LEDGER, EN)
    shown = view.rgb[60:370].astype(int)
    assert (np.abs(shown - SLOPE).max(axis=-1) <= 6).sum() > 400
    assert (np.abs(shown - drawing.BAND).max(axis=-1) <= 6).sum() > 400


@languages
def test_slope_and_volumes_are_written_as_the_ledger_writes_them(monkeypatch, language):
    written, legends = texts(monkeypatch, words=prompts.load(language))
    shown, trend = [text for text, _, _ in written], trends(LEDGER)[0]
    whole = " ".join(shown)
    for name in ("quantity", "reading", "verdict"):
        assert slot(trend.id, name, LEDGER, EN).replace("−", "-") in whole
    assert "%/year" in whole
    values = [measurement_row(record, EN)[4] for record in course().volumes]
    assert [text for text in shown if text in values] == values
    assert [text for text in shown if re.fullmatch(r"\d{4}-\d\d-\d\d", text)] == [*DATES, NOW]
    assert {"volume (mL)", "date", "left hippocampus: volume on each date"} <= {*shown}
    assert "DRAFT - not for diagnosis" in shown
    assert legends[0] == "volume with its 90 % prediction interval"


@languages
def test_the_font_can_draw_every_text_of_the_picture(monkeypatch, language):
    written, legends = texts(monkeypatch, words=prompts.load(language))
    assert [
        text for text in (*(text for text, _, _ in written), *legends) if not can_draw(text)
    ] == []


def test_a_language_that_the_font_can_draw_keeps_its_words(monkeypatch):
    words = replace(EN, trends={**EN.trends, "date": "Datum"})
    written, _ = texts(monkeypatch, words=words)
    assert "Datum" in [text for text, _, _ in written]


@pytest.mark.parametrize(
    "dates",
    [DATES, ("2016-03-01", "2016-03-20", "2016-04-01"), ("2016-03-01", "2024-05-01", "2024-05-20")],
)
def test_no_text_leaves_the_page_or_lies_on_another(monkeypatch, dates):
    ledger = followed_over(dates)
    written, _ = texts(monkeypatch, ledger)
    monkeypatch.undo()
    height, width, _ = trend_views(ledger, EN)[0].rgb.shape
    boxes = [
        drawing.font(drawing.TEXT_PX).getbbox(text, anchor=anchor) for text, _, anchor in written
    ]
    boxes = [
        (x + left, y + top, x + right, y + bottom)
        for (left, top, right, bottom), (_, (x, y), _) in zip(boxes, written, strict=True)
    ]
    assert all(min(a, b) >= 0 and c <= width and d <= height for a, b, c, d in boxes)
    apart = [
        a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        for a, b in combinations(boxes, 2)
    ]
    assert all(apart)


@pytest.mark.parametrize("words_before", range(8, 20))
def test_a_number_and_its_unit_stay_on_one_line(words_before):
    text = " ".join(["word"] * words_before) + " -0.7 to 0.2 %/year and 3.21 mL more" * 3
    lines = drawing._wrapped(text)
    assert len(lines) > 1
    assert not any(line.startswith(("%", "mL")) for line in lines)
    assert " ".join(lines) == text


def test_the_same_ledger_gives_the_same_picture():
    first, second = (trend_views(LEDGER, EN)[0].rgb for _ in range(2))
    assert np.array_equal(first, second)


@languages
def test_a_file_captions_the_picture_by_what_it_shows(language, tmp_path):
    words = prompts.load(language)
    path = picture(tmp_path, "trend_hippocampus_left")
    (figure,) = sheet(replace(drafted(), language=language), [path], MADE).figures
    name = words.structure("hippocampus", "left")
    assert figure.caption == words.export["caption_trend"].format(name=name)
