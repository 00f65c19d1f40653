"""A histogram as inline SVG, with the reference range as a band. Knows no quantities."""

import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np
from jaxtyping import Float64

WIDTH, HEIGHT, MARGIN, FOOT = 640, 150, 10, 22  # of the drawing, in its own units
MOST_BINS = 40
MARK = 40  # what a number on the axis needs, in the drawing's units
Label = Callable[[float], str]


def histogram(
    values: Sequence[float], band: tuple[float, float] | None, label: Label, name: str
) -> str:
    """Draw how often values occur, one or more; ``band`` is shaded, ``label`` writes a number.

    The number of bins follows Freedman and Diaconis (1981), up to 40.
    """
    seen = np.asarray(values, dtype=np.float64)
    counts, edges = np.histogram(seen, bins=_bins(seen), range=_range(seen, band))
    low, high = _field(edges, band)

    def across(value: float) -> float:
        return MARGIN + (value - low) / (high - low) * (WIDTH - 2 * MARGIN)

    tallest = max(1, int(counts.max()))
    ground = HEIGHT - FOOT
    parts = [_band(across(band[0]), across(band[1]), ground)] if band else []
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        height = int(count) / tallest * (ground - MARGIN)
        parts.append(
            f'<rect class="bar" x="{across(left) + 0.5:.1f}" y="{ground - height:.1f}"'
            f' width="{max(across(right) - across(left) - 1, 0.5):.1f}" height="{height:.1f}">'
            f"<title>{int(count)}</title></rect>"
        )
    parts += [_mark(across(low), label(low), "start"), _mark(across(high), label(high), "end")]
    taken = [low, high]
    for bound in band or ():
        if all(abs(across(bound) - across(other)) >= MARK for other in taken):
            parts.append(_mark(across(bound), label(bound), "middle"))
            taken.append(bound)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)}">'
        f"{''.join(parts)}</svg>"
    )


def _bins(values: Float64[np.ndarray, " value"]) -> int:
    quarter, three_quarters = np.percentile(values, (25, 75))
    width = 2 * (three_quarters - quarter) / len(values) ** (1 / 3)
    span = float(values.max() - values.min())
    return 1 if width <= 0 else max(1, min(MOST_BINS, math.ceil(span / width)))


def _range(
    values: Float64[np.ndarray, " value"], band: tuple[float, float] | None
) -> tuple[float, float]:
    """Return the range of the values; where all are the same, a narrow one around them."""
    low, high = float(values.min()), float(values.max())
    if low < high:
        return low, high
    around = (band[1] - band[0] if band else abs(low) or 1.0) / MOST_BINS / 2
    return low - around, high + around


def _field(
    edges: Float64[np.ndarray, " edge"], band: tuple[float, float] | None
) -> tuple[float, float]:
    """Return the range that is drawn: all bins and the whole band."""
    bounds = [float(edges[0]), float(edges[-1]), *(band or ())]
    return min(bounds), max(bounds)


def _band(left: float, right: float, ground: int) -> str:
    return (
        f'<rect class="band" x="{left:.1f}" y="{MARGIN / 2}" width="{right - left:.1f}"'
        f' height="{ground - MARGIN / 2}"/>'
    )


def _mark(x: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{escape(text)}</text>'
