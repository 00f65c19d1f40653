"""Pictures of the volumes of three or more dates and of the slope through them.

Draws records of a ledger and measures nothing; knows no scan.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw

import prompts
from assistant.ledger import Ledger, names_in
from assistant.render import slot
from assistant.rows import measurement_row
from assistant.ticks import tick_decimals, ticks
from assistant.views import (
    ALARM,
    COLOURS,
    ENGLISH,
    INK,
    MARGIN_PX,
    MUTED,
    OUTLINE_PX,
    OVERSAMPLING,
    PAPER,
    TEXT_PX,
    Colour,
    View,
    can_draw,
    font,
    write_legends,
    write_text,
)
from prompts import Phrasebook
from segment.change import TREND, days_between
from segment.measurement import Interval, Measurement, Reliability
from segment.trend import YEAR_DAYS

WIDTH_PX, LEFT_PX, PLOT_PX = 860, 76, 320  # of the page, beside its plot, and the plot's height
ROOM = 0.06  # of a scale, kept free at either end
POINT_PX, CAP_PX, TICK_PX, GAP_PX = 4.5, 6.0, 6.0, 6.0
LINE_PX = 1.5 * TEXT_PX  # from one line of text to the next
TOP_PX = 2 * LINE_PX + MARGIN_PX  # of the plot
VOLUMES, SLOPE = COLOURS[:2]
BAND: Colour = (0, 74, 104)  # of the slope's colour, as pale as still stands out from the paper
GRID: Colour = (62, 62, 62)
VALUE = 4  # the column of a row that holds it
BREAK = re.compile(" (?!mL|%)")
Point = tuple[float, float]


def trend_views(ledger: Ledger, words: Phrasebook) -> tuple[View, ...]:
    """Draw one picture for each trend that may be reported.

    Words that the built-in font cannot draw are English.
    """
    told = [r for r in ledger.records if r.quantity == TREND and r.basis == "predicted"]
    may = [record for record in told if record.reliability is Reliability.REPORTABLE]
    return tuple(_view(Course.of(record, ledger), ledger, words) for record in may)


@dataclass(frozen=True)
class Course:
    """A trend, its value and its interval, and the volumes that it is of, the oldest first."""

    trend: Measurement
    percent: float
    interval: Interval
    volumes: tuple[Measurement, ...]

    @classmethod
    def of(cls, trend: Measurement, ledger: Ledger) -> "Course":
        """Gather the volumes in the expression of a trend that has a value."""
        assert trend.value is not None
        assert trend.interval is not None
        ids = names_in(trend.expression or "")
        volumes = [record for record in ledger.records if record.id in ids]
        ordered = sorted(volumes, key=lambda record: record.date or "")
        return cls(trend, trend.value, trend.interval, tuple(ordered))

    @property
    def days(self) -> list[int]:
        """Count the days from the first date to each."""
        found = [days_between(self.volumes[0].date, record.date) for record in self.volumes]
        return [day for day in found if day is not None]

    @property
    def values_ml(self) -> list[float]:
        """List the volumes."""
        return [record.value for record in self.volumes if record.value is not None]

    @property
    def intervals(self) -> list[Interval]:
        """List the intervals of the volumes."""
        return [record.interval for record in self.volumes if record.interval is not None]

    def line_ml(self, percent: float) -> tuple[float, float]:
        """Return where a line of so many percent a year begins and ends.

        The estimator gives a slope and no height: the line is the one through the median of the
        dates and the median of the volumes (Conover 1980, Practical Nonparametric Statistics). The
        percent are of the first volume as it was measured.
        """
        days, values = self.days, self.values_ml
        a_day = percent / 100 * values[0] / YEAR_DAYS
        middle = median(values) - a_day * median(days)
        return middle + a_day * days[0], middle + a_day * days[-1]


@dataclass(frozen=True)
class Frame:
    """Where days and millilitres lie on the page, in pixels from its upper left corner."""

    first_day: float
    last_day: float
    low_ml: float
    high_ml: float
    top_px: float

    @classmethod
    def around(cls, course: Course, top_px: float) -> "Frame":
        """Hold every whisker, the line and its band, with some room."""
        percents = (course.interval.lower, course.interval.upper)
        ends = [end for percent in percents for end in course.line_ml(percent)]
        ends += [end for each in course.intervals for end in (each.lower, each.upper)]
        high, wide = ROOM * (max(ends) - min(ends)), ROOM * course.days[-1]
        return cls(-wide, course.days[-1] + wide, min(ends) - high, max(ends) + high, top_px)

    @property
    def bottom_px(self) -> float:
        """Where the axis of the dates lies."""
        return self.top_px + PLOT_PX

    def across(self, day: float) -> float:
        """Say how far from the left a day lies."""
        share = (day - self.first_day) / (self.last_day - self.first_day)
        return LEFT_PX + share * (WIDTH_PX - MARGIN_PX - LEFT_PX)

    def down(self, volume_ml: float) -> float:
        """Say how far from the top a volume lies."""
        share = (volume_ml - self.low_ml) / (self.high_ml - self.low_ml)
        return self.bottom_px - share * PLOT_PX


@dataclass(frozen=True)
class Label:
    """A date and its volume in words, their middle, and in which row below the axis they stand."""

    lines: tuple[str, ...]
    middle_px: float
    row: int

    @property
    def top_px(self) -> float:
        """How far below the axis they begin."""
        return TICK_PX + GAP_PX + self.row * (len(self.lines) * LINE_PX + GAP_PX)


def _view(course: Course, ledger: Ledger, words: Phrasebook) -> View:
    """Draw a trend between a heading, and the legends and numbers below."""
    trend, first = course.trend, course.volumes[0]
    frame = Frame.around(course, TOP_PX)
    labels = _labels(course, frame, words)
    below = frame.bottom_px + max(label.top_px for label in labels) + 2 * LINE_PX + MARGIN_PX

    def field(name: str, record: Measurement = trend) -> Callable[[Phrasebook], str]:
        return lambda book: slot(record.id, name, ledger, book)

    told = [
        _said(_filled("slope", quantity=field("quantity"), reading=field("reading")), words),
        _said(_filled("verdict", verdict=field("verdict")), words),
        _said(_filled("through"), words),
    ]
    lines = [line for text in told for line in _wrapped(text)]
    page = _shapes(course, frame, labels, round(below + (1.75 + len(lines)) * LINE_PX))
    pen = ImageDraw.Draw(page)
    head = (MARGIN_PX, LINE_PX * 0.7)
    write_text(pen, head, _said(_filled("title", name=field("name")), words), anchor="lm")
    right = (WIDTH_PX - MARGIN_PX, head[1])
    write_text(pen, right, ENGLISH["draft"], anchor="rm", colour=ALARM)
    _write_scales(pen, frame, labels, words)
    legends = {
        _said(_filled("point", coverage=field("coverage", first)), words): VOLUMES,
        _said(_filled("line"), words): SLOPE,
        _said(_filled("band", coverage=field("coverage")), words): BAND,
    }
    write_legends(pen, below + LINE_PX / 2, legends.items())
    for n, text in enumerate(lines):
        write_text(pen, (MARGIN_PX, below + (n + 1.75) * LINE_PX), text, anchor="lm")
    facts = {"record": trend.id, "side": trend.side, "date": trend.date or ""}
    name = f"trend_{trend.structure}_{trend.side}".replace(" ", "_")
    return View(name, np.asarray(page, dtype=np.uint8), MappingProxyType(facts))


def _filled(key: str, **parts: Callable[[Phrasebook], str]) -> Callable[[Phrasebook], str]:
    """Return what fills a phrase of a picture in any language."""
    return lambda book: book.trends[key].format(
        **{name: write(book) for name, write in parts.items()}
    )


def _cell(record: Measurement) -> Callable[[Phrasebook], str]:
    """Return what writes a value as the table of a report does."""
    return lambda book: measurement_row(record, book)[VALUE]


def _number(value: float, decimals: int) -> Callable[[Phrasebook], str]:
    """Return what writes the number beside a tick."""
    return lambda book: book.number(value, decimals)


def _said(write: Callable[[Phrasebook], str], words: Phrasebook) -> str:
    """Write a text in a language, or in English where the font cannot draw it.

    The font has no minus sign, so that a hyphen stands in its place.
    """
    own, english = (
        write(book).replace(book.numbers["minus"], "-") for book in (words, prompts.load("en"))
    )
    return own if can_draw(own) else english


def _wrapped(text: str) -> list[str]:
    """Break a text into lines that fit the page, none between a number and its unit."""
    letters, lines = font(TEXT_PX), [""]
    for word in BREAK.split(text):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and letters.getlength(longer) > WIDTH_PX - 2 * MARGIN_PX:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _labels(course: Course, frame: Frame, words: Phrasebook) -> list[Label]:
    """Lay a date and a volume below each point, in the first row that has room."""
    letters, labels = font(TEXT_PX), list[Label]()
    ends: list[float] = []  # of the rows, from the top
    for day, record in zip(course.days, course.volumes, strict=True):
        value = _said(_cell(record), words)
        lines = (record.date or "", value)
        half = max(letters.getlength(line) for line in lines) / 2
        room = (MARGIN_PX + half, WIDTH_PX - MARGIN_PX - half)
        middle = min(max(frame.across(day), room[0]), room[1])
        free = [row for row, end in enumerate(ends) if end + GAP_PX <= middle - half]
        row = free[0] if free else len(ends)
        ends[row : row + 1] = [middle + half]
        labels.append(Label(lines, middle, row))
    return labels


def _write_scales(
    pen: ImageDraw.ImageDraw, frame: Frame, labels: Sequence[Label], words: Phrasebook
) -> None:
    """Write what the axes are, the numbers of the volumes and the dates."""
    unit = _said(lambda book: book.unit("mL"), words)
    title = _said(_filled("volume", unit=lambda _: unit), words)
    write_text(pen, (MARGIN_PX, 1.9 * LINE_PX), title, anchor="lm", colour=MUTED)
    values = ticks(frame.low_ml, frame.high_ml)
    for value in values:
        place = (LEFT_PX - TICK_PX - GAP_PX, frame.down(value))
        write_text(pen, place, _said(_number(value, tick_decimals(values)), words), anchor="rm")
    for label in labels:
        for n, line in enumerate(label.lines):
            place = (label.middle_px, frame.bottom_px + label.top_px + (n + 0.5) * LINE_PX)
            write_text(pen, place, line, anchor="mm", colour=VOLUMES if n else INK)
    place = (MARGIN_PX, frame.bottom_px + labels[0].top_px + 0.5 * LINE_PX)
    write_text(pen, place, _said(_filled("date"), words), anchor="lm", colour=MUTED)


def _shapes(course: Course, frame: Frame, labels: Sequence[Label], height_px: int) -> Image.Image:
    """Draw everything but the words, smoothed at its edges."""
    size = (WIDTH_PX * OVERSAMPLING, height_px * OVERSAMPLING)
    page = Image.new("RGB", size, PAPER)
    pen = _Pen(ImageDraw.Draw(page))
    days, right = course.days, WIDTH_PX - MARGIN_PX
    for value in ticks(frame.low_ml, frame.high_ml):
        pen.line([(LEFT_PX - TICK_PX, frame.down(value)), (right, frame.down(value))], GRID, 1)
    ends = [frame.across(days[0]), frame.across(days[-1])]
    low, high = (
        list(zip(ends, map(frame.down, course.line_ml(percent)), strict=True))
        for percent in (course.interval.lower, course.interval.upper)
    )
    pen.area([*low, *reversed(high)], BAND)
    corner = (LEFT_PX, frame.bottom_px)
    pen.line([(LEFT_PX, frame.top_px), corner, (right, frame.bottom_px)], MUTED, 1)
    line = list(zip(ends, map(frame.down, course.line_ml(course.percent)), strict=True))
    pen.line(line, SLOPE, OUTLINE_PX)
    for day, volume_ml, interval, label in zip(
        days, course.values_ml, course.intervals, labels, strict=True
    ):
        x = frame.across(day)
        leader = [(x, frame.bottom_px), (x, frame.bottom_px + TICK_PX)]
        pen.line([*leader, (label.middle_px, frame.bottom_px + label.top_px)], MUTED, 1)
        whisker = [frame.down(interval.lower), frame.down(interval.upper)]
        pen.line([(x, y) for y in whisker], VOLUMES, OUTLINE_PX)
        for y in whisker:
            pen.line([(x - CAP_PX, y), (x + CAP_PX, y)], VOLUMES, OUTLINE_PX)
        pen.dot((x, frame.down(volume_ml)), VOLUMES)
    return page.resize((WIDTH_PX, height_px), Image.Resampling.BOX)


@dataclass(frozen=True)
class _Pen:
    """Draws in pixels of the page on a page so many times as large."""

    pen: ImageDraw.ImageDraw

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        self.pen.line(_enlarged(points), colour, round(width * OVERSAMPLING), joint="curve")

    def area(self, points: Sequence[Point], colour: Colour) -> None:
        self.pen.polygon(_enlarged(points), colour)

    def dot(self, middle: Point, colour: Colour) -> None:
        x, y = middle
        ends = [(x - POINT_PX, y - POINT_PX), (x + POINT_PX, y + POINT_PX)]
        self.pen.ellipse(_enlarged(ends), colour, PAPER, OVERSAMPLING)


def _enlarged(points: Sequence[Point]) -> list[Point]:
    return [(x * OVERSAMPLING, y * OVERSAMPLING) for x, y in points]
