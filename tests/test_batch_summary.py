"""The summary page: its counts, its plots, its words, and nothing from elsewhere."""

import re
import string
from dataclasses import replace

import numpy as np
import pytest

import prompts
from assistant import Settings
from assistant.batch.histogram import histogram
from assistant.batch.item import Item, Plan
from assistant.batch.outcome import Outcome, failed
from assistant.batch.summary import write_summary
from assistant.batch.tally import MOST_OUTLIERS, tally_of
from assistant.report import holds_quantity
from prompts import batch as words_of
from tests.ledgers import plain_ledger

NOW = "2021-03-04T05:06:07+00:00"
languages = pytest.mark.parametrize("language", prompts.languages())
WHOLE = next(r for r in plain_ledger().records if r.reference is not None and r.unit == "mL")


def drafted(name, *records):
    seconds = {"read": 0.5, "segment": 2.0, "save": 0.1}
    return Outcome(name, "drafted", "hippocampus", "en", NOW, seconds=seconds, measurements=records)


def of_volume(value_ml):
    """A volume whose interval is a tenth of a millilitre to each side."""
    interval = replace(WHOLE.interval, lower=value_ml - 0.1, upper=value_ml + 0.1)
    return replace(WHOLE, value=value_ml, interval=interval)


def page(tmp_path, outcomes, language="en", **plan):
    planned = Plan(tmp_path, Settings(writer="template", language=language), (), **plan)
    write_summary(tmp_path / "summary.html", outcomes, planned)
    return (tmp_path / "summary.html").read_text(encoding="utf-8")


def slots(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


@languages
def test_a_language_has_the_keys_and_slots_of_english(language):
    english, other = (dict(words_of.load(name)) for name in ("en", language))
    assert {k: slots(text) for k, text in other.items()} == {
        k: slots(text) for k, text in english.items()
    }


@languages
def test_no_word_of_the_page_holds_a_number(language):
    texts = [re.sub(r"\{[^}]*\}", "", text) for text in words_of.load(language).values()]
    assert [text for text in texts if holds_quantity(text)] == []


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="unknown language 'xx'"):
        words_of.load("xx")


@languages
def test_the_page_says_how_many_studies_ended_in_which_way(tmp_path, language):
    item = Item("c", (), "hippocampus", "en")
    found = [drafted("a"), drafted("b"), failed(item, "not-mr", "c: expected MR, found CT", NOW)]
    text, own = page(tmp_path, found, language), words_of.load(language)
    drafted_row = rf'<td>{own["drafted"]}</td><td class="number">2</td>'
    assert re.search(drafted_row, text)
    assert '<td>not-mr</td><td class="number">1</td><td>c: expected MR, found CT</td>' in text


@languages
def test_the_page_loads_nothing_and_runs_nothing(tmp_path, language):
    text = page(tmp_path, [drafted("a", *plain_ledger().records)], language)
    assert not re.search(r"<script|<link|<img|<iframe|https?:|url\(|@import|\son\w+=", text)
    assert f'<html lang="{prompts.load(language).export["tag"]}">' in text
    assert prompts.load(language).marks["disclaimer"] in text


def test_what_others_wrote_is_shown_and_never_obeyed(tmp_path):
    item = Item("c", (), "hippocampus", "en")
    hostile = "<script>alert()</script>"
    text = page(tmp_path, [failed(item, "missing", hostile, NOW)], absent=(hostile,))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 2


def test_a_value_is_an_outlier_only_if_its_whole_interval_lies_outside():
    low, high = WHOLE.reference.lower, WHOLE.reference.upper
    values = {"below": low - 0.2, "crossing": low - 0.05, "in": (low + high) / 2, "above": high + 1}
    tally = tally_of(drafted(name, of_volume(value)) for name, value in values.items())
    assert [(one.study, one.place) for one in tally.outliers] == [
        ("below", "below"),
        ("above", "above"),
    ]


def test_a_page_lists_so_many_outliers_and_counts_the_rest(tmp_path):
    far = of_volume(WHOLE.reference.upper + 1)
    found = [drafted(f"x{n}", far) for n in range(MOST_OUTLIERS + 3)]
    text = page(tmp_path, found)
    assert f"<td>x{MOST_OUTLIERS - 1}</td>" in text
    assert f"<td>x{MOST_OUTLIERS}</td>" not in text
    assert words_of.load("en")["more"].format(count=3) in text


def test_a_value_that_is_withheld_is_counted_and_in_no_histogram():
    tally = tally_of([drafted("a", *plain_ledger().records)])
    reported = [r for r in plain_ledger().records if r.reason is None]
    assert sum(len(spread.values) for spread in tally.spreads.values()) == len(reported)


def test_a_distribution_is_told_with_its_median_and_its_reference_range(tmp_path):
    values = [of_volume(value) for value in (2.9, 3.1, 3.2, 3.3, 3.6)]
    text = page(tmp_path, [drafted(f"x{n}", record) for n, record in enumerate(values)])
    low, high = WHOLE.reference.lower, WHOLE.reference.upper
    assert "5 values, median 3.20 mL" in text
    assert prompts.load("en").range(low, high, "mL", 2) in text


@pytest.mark.parametrize("values", [[3.0], [3.0] * 50, list(np.linspace(2, 4, 500)), [0.0, 1e6]])
def test_the_bars_of_a_histogram_count_every_value_once(values):
    drawn = histogram(values, (2.5, 3.5), lambda v: f"{v:g}", "volume <of> x")
    assert sum(map(int, re.findall(r"<title>(\d+)</title>", drawn))) == len(values)
    assert 'aria-label="volume &lt;of&gt; x"' in drawn


def test_the_band_of_a_histogram_lies_where_its_bounds_do():
    drawn = histogram([0.0, 10.0], (0.0, 5.0), lambda v: f"{v:g}", "x")
    x, width = map(
        float, re.search(r'class="band" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn).groups()
    )
    assert x == 10
    assert width == 310  # half of 640 without both margins


@languages
def test_what_is_absent_and_set_aside_is_told(tmp_path, language):
    text = page(tmp_path, [], language, absent=("sub-09",), aside={"CT series": 3})
    own = words_of.load(language)
    assert f"<h2>{own['absent']}</h2>\n<ul><li>sub-09</li></ul>" in text
    assert "<li>CT series: 3</li>" in text


def test_numbers_on_the_axis_of_a_histogram_do_not_cover_each_other():
    drawn = histogram([2.6, 3.9], (2.57, 3.96), lambda v: f"{v:g}", "x")
    assert re.findall(r">([\d.]+)</text>", drawn) == ["2.57", "3.96"]


def test_values_that_are_all_the_same_make_one_narrow_bar():
    drawn = histogram([3.1, 3.1], (2.57, 3.96), lambda v: f"{v:g}", "x")
    widths = re.findall(r'class="bar" x="[\d.]+" y="[\d.]+" width="([\d.]+)"', drawn)
    assert len(widths) == 1
    assert float(widths[0]) < 20
