"""A value with its interval, on the range that it is compared with, as SVG. Knows no table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from assistant.page.markup import tag, text
from assistant.rows import decimals
from assistant.ticks import tick_decimals, ticks
from prompts import Phrasebook, page
from segment import organs
from segment.measure import VOLUME
from segment.measurement import Measurement

WIDTH, HEIGHT, MARGIN = 220.0, 34.0, 6.0


@dataclass(frozen=True)
class Axis:
    """The part of a scale that is drawn, in the unit of its records."""

    low: float
    high: float

    @classmethod
    def around(cls, records: Sequence[Measurement], *others: float) -> "Axis":
        """Hold the intervals and references of records, and other values, with some room."""
        spans = [span for r in records if is_plotted(r) for span in (r.interval, r.reference)]
        ends = [end for span in spans if span is not None for end in (span.lower, span.upper)]
        ends += others
        room = max(max(ends) - min(ends), 1e-9) * 0.045
        return cls(min(ends) - room, max(ends) + room)

    def across(self, value: float) -> float:
        """Say where a value lies, from the left of the picture."""
        return MARGIN + (value - self.low) / (self.high - self.low) * (WIDTH - 2 * MARGIN)


def is_plotted(record: Measurement) -> bool:
    """Tell whether a record has a value that may be shown and an interval around it."""
    return record.value is not None and record.interval is not None and record.reason is None


def plot(record: Measurement, words: Phrasebook, axis: Axis | None = None) -> str:
    """Draw a value and its interval on their reference, with its own words; nothing for none.

    The scale is the record's own, or one that several share. A change has a line at no change.
    """
    interval, reference = record.interval, record.reference
    if record.value is None or interval is None or not is_plotted(record):
        return ""
    is_change = record.comparator is not None
    axis = axis or Axis.around([record], *([0.0] if is_change else []))
    middle = HEIGHT / 2
    parts = []
    if reference:
        left, right = axis.across(reference.lower), axis.across(reference.upper)
        parts.append(_box("vx-reference", left, right))
        parts += _spread(record, axis)
    if is_change:
        parts.append(_upright("vx-zero", axis.across(0.0), 0, HEIGHT))
    left, right = axis.across(interval.lower), axis.across(interval.upper)
    parts.append(f'<line class="vx-interval" x1="{left:.1f}" x2="{right:.1f}" {_level(middle)}/>')
    at = axis.across(record.value)
    parts.append(f'<circle class="vx-value" cx="{at:.1f}" cy="{middle}" r="4"/>')
    return _picture(parts, _told(record, words))


def scale(axis: Axis, words: Phrasebook, unit: str) -> str:
    """Draw the ticks of a scale that several plots share, with their numbers."""
    values = ticks(axis.low, axis.high)
    digits = tick_decimals(values)
    parts = []
    for tick in values:
        at, number = axis.across(tick), text(words.amount(tick, unit, digits))
        parts.append(_upright("vx-tick", at, 0, 6))
        parts.append(f'<text class="vx-number" x="{at:.1f}" y="18">{number}</text>')
    return _picture(parts, None)


def _spread(record: Measurement, axis: Axis) -> Iterator[str]:
    """Draw how the cases of the reference lie between its ends: the more, the higher."""
    reference = record.reference
    percentiles = _percentiles_ml(record.structure) if record.quantity == VOLUME else ()
    ends = (percentiles[0], percentiles[-1]) if percentiles else None
    if reference is None or ends != (reference.lower, reference.upper):
        return  # of another reference than the one that is known here
    floor = HEIGHT - 4
    widths = [high - low for low, high in pairwise(percentiles)]
    top = (HEIGHT - 8) * min(widths)
    path = f"M{axis.across(ends[0]):.1f} {floor:g}"
    for (low, high), width in zip(pairwise(percentiles), widths, strict=True):
        y = floor - top / width
        path += f"L{axis.across(low):.1f} {y:.1f}L{axis.across(high):.1f} {y:.1f}"
    yield f'<path class="vx-spread" d="{path}L{axis.across(ends[1]):.1f} {floor:g}Z"/>'


@cache
def _percentiles_ml(structure: str) -> tuple[float, ...]:
    """Find the reference distribution of a structure's volume, where one is known."""
    loaded = (s for name in organs.available() for s in organs.load(name).structures)
    found = (s.volume_percentiles_ml for s in loaded if s.name == structure)
    return next(found, ())


def _told(record: Measurement, words: Phrasebook) -> str:
    """Say what a plot shows."""
    assert record.interval is not None
    assert record.value is not None
    digits = decimals(record.interval, record.unit)
    reference = record.reference
    key = "plot.told" if record.comparator is None else "plot.told_change"
    return page.load(words.language)[key].format(
        value=words.amount(record.value, record.unit, digits),
        bounds=words.range(record.interval.lower, record.interval.upper, record.unit, digits),
        reference=words.marks["none"]
        if reference is None
        else words.range(reference.lower, reference.upper, record.unit, digits),
    )


def _picture(parts: Sequence[str], told: str | None) -> str:
    """Put shapes into a picture; one without words of its own is passed over when read out."""
    shape = f"0 0 {WIDTH:.0f} {HEIGHT:.0f}"
    role = {"role": "img", "aria_label": told} if told else {"aria_hidden": "true"}
    return tag("svg", "".join(parts), class_="vx-plot", viewBox=shape, **role)


def _box(kind: str, left: float, right: float) -> str:
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="4" width="{max(right - left, 1):.1f}"'
        f' height="{HEIGHT - 8:.0f}" rx="3"/>'
    )


def _upright(kind: str, x: float, top: float, bottom: float) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:g}"/>'


def _level(y: float) -> str:
    return f'y1="{y:g}" y2="{y:g}"'
