"""Pictures of two dates beside each other and as their difference. Knows nothing of reports.

Both scans are read once, along the planes of the later one's space; the earlier lies there by a
rigid map. Scans of MR share no scale of grey values: those of the earlier are matched first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from PIL import Image, ImageDraw
from skimage.measure import find_contours

from assistant.views import (
    ALARM,
    ENGLISH,
    FIELD_MM,
    INK,
    MARGIN_PX,
    MUTED,
    PAPER,
    TEXT_PX,
    Colour,
    Convention,
    Plane,
    View,
    Words,
    drawn,
    font,
    lay_out,
    marked,
    planes,
    sample,
    windowed,
    write_legends,
    write_text,
)
from segment.geometry import Geometry
from segment.volume import Volume

Panel = Float32[np.ndarray, "row column"]
# Between these shares of the grey values shown, two dates are matched: a lesion moves neither.
MATCHED_AT = (0.1, 0.9)
FULL_COLOUR = 0.5  # a difference of this share of the window, or more, has the full colour
NEUTRAL: Colour = (56, 56, 56)
# Orange and blue for brighter and darker, as apart in grey as in colour (Okabe and Ito 2008).
BRIGHTER, DARKER = (255, 140, 0), (0, 180, 255)
SCALE_PX = 120
LETTER_GAP_PX = 6

# Words beside those of assistant.views.
WORDS: Mapping[str, str] = MappingProxyType(
    {
        **ENGLISH,
        "earlier": "earlier",
        "current": "current",
        "difference": "difference",
        "undated": "date unknown",
        "scale": "current minus earlier, share of the window",
        "matched": "Aligned rigidly; grey values of the earlier date matched to the current ones",
    }
)


@dataclass(frozen=True, eq=False)
class Dated:
    """A scan, its date, and the map from the current scan's millimetres to its own.

    ``outlines`` are drawn on its panel.
    """

    volume: Volume
    to_own: Float64[np.ndarray, "4 4"]
    outlines: tuple["Outline", ...] = ()

    @property
    def placed(self) -> Geometry:
        """Where its grid lies in the current scan's space."""
        return in_current(self.volume.geometry, self.to_own)


@dataclass(frozen=True, eq=False)
class Outline:
    """What is outlined in a colour: a mask, or a field that is positive inside, and its legend.

    ``letter`` stands beside it, where it has one; ``geometry`` lies in the current scan's space.
    """

    field: Float32[np.ndarray, "i j k"]
    geometry: Geometry
    colour: Colour
    legend: str
    letter: str = ""

    @classmethod
    def of_mask(
        cls,
        mask: Bool[np.ndarray, "i j k"],
        geometry: Geometry,
        colour: Colour,
        legend: str,
        letter: str = "",
    ) -> "Outline":
        """Outline the voxels of a mask half-way to their neighbours."""
        return cls(mask.astype(np.float32) - np.float32(0.5), geometry, colour, legend, letter)

    def may_cross(self, plane: Plane) -> bool:
        """Tell whether the box that holds it reaches a plane's window."""
        last = [n - 1 for n in self.geometry.shape]
        corners = np.array(list(product(*((0.0, float(n)) for n in last))))
        world = np.c_[self.geometry.to_world(corners), np.ones(len(corners))]
        pixels = (world @ np.linalg.inv(plane.pixel_to_world).T)[:, :3]
        lower, upper = pixels.min(axis=0), pixels.max(axis=0)
        side = plane.side_px
        return bool((lower <= (side, side, 0)).all() and (upper >= 0).all())


def in_current(grid: Geometry, to_own: Float64[np.ndarray, "4 4"]) -> Geometry:
    """Lay a grid into the space from which a rigid map leads to its own."""
    return replace(grid, affine=np.linalg.inv(to_own) @ grid.affine)


def side_by_side(
    now: Dated,
    before: Dated,
    centre_mm: Float64[np.ndarray, " 3"],
    *,
    name: str,
    title: str,
    convention: Convention = "radiological",
    labels: Mapping[str, str] = MappingProxyType({}),
    field_mm: float = FIELD_MM,
) -> View:
    """Draw three planes through a point: the earlier date, the current one and their difference.

    The point is in the current scan's millimetres. All panels share one window; the difference is
    grey where nothing changed, orange where it is brighter now and blue where darker, by the scale
    below it, and black outside of either scan; outlines on it are white.
    """
    words = Words({**WORDS, **labels})
    three = tuple(replace(p, field_mm=field_mm) for p in planes(centre_mm, convention))
    later = [sample(now.volume.array, now.placed, plane, np.nan) for plane in three]
    earlier = [sample(before.volume.array, before.placed, plane, np.nan) for plane in three]
    earlier = matched(earlier, later)
    grey = windowed([*earlier, *later])
    dates = [one.volume.date or words["undated"] for one in (before, now)]
    heads = (f"{words['earlier']} {dates[0]}", f"{words['current']} {dates[1]}")
    rows: list[list[Image.Image]] = []
    both = (*before.outlines, *now.outlines)
    changed = differences(earlier, later)
    for n, plane in enumerate(three):
        panels = (
            (grey[n], heads[0], before.outlines),
            (grey[len(three) + n], heads[1], now.outlines),
            (coloured(changed[n]), words["difference"], tuple(map(_pale, both))),
        )
        rows.append([_panel(seen, head, drawn_on, plane, words) for seen, head, drawn_on in panels])
    seen = [outline for outline in both if any(map(outline.may_cross, three))]
    legends = {outline.legend: outline.colour for outline in seen if outline.legend}
    page = _page(rows, title, legends, convention, words)
    facts = {
        "convention": convention,
        "date": now.volume.date or "",
        "earlier_date": before.volume.date or "",
        "centre_mm": ", ".join(f"{value:.1f}" for value in centre_mm),
        "field_mm": f"{field_mm:g}",
    }
    return View(name, np.asarray(page, dtype=np.uint8), MappingProxyType(facts))


def matched(earlier: Sequence[Panel], later: Sequence[Panel]) -> list[Panel]:
    """Take the grey values of one date to those of the other, by the same shares of both.

    Where either is empty or all the same, the earlier ones stay as they are.
    """
    before, after = np.stack(list(earlier)), np.stack(list(later))
    both = np.isfinite(before) & np.isfinite(after)
    if not both.any():
        return list(before)
    low_before, high_before = np.quantile(before[both], MATCHED_AT)
    low_after, high_after = np.quantile(after[both], MATCHED_AT)
    if high_before <= low_before or high_after <= low_after:
        return list(before)
    slope = (high_after - low_after) / (high_before - low_before)
    return list(((before - low_before) * slope + low_after).astype(np.float32))


def differences(earlier: Sequence[Panel], later: Sequence[Panel]) -> list[Panel]:
    """Subtract the earlier panels, as shares of the window that both are shown in."""
    before, after = np.stack(list(earlier)), np.stack(list(later))
    seen = np.concatenate([x[np.isfinite(x)] for x in (before, after)])
    low, high = np.percentile(seen, (1, 99)) if seen.size else (0.0, 1.0)
    span = max(float(high - low), float(np.finfo(np.float32).tiny))
    return list(((after - before) / np.float32(span)).astype(np.float32))


def coloured(difference: Panel) -> UInt8[np.ndarray, "row column 3"]:
    """Colour a difference: the more of it, the nearer to orange or blue; black where it is none."""
    share = np.clip(np.nan_to_num(difference, nan=0.0) / FULL_COLOUR, -1, 1)[..., None]
    ends = np.where(share > 0, np.array(BRIGHTER), np.array(DARKER))
    mixed = (1 - np.abs(share)) * np.array(NEUTRAL) + np.abs(share) * ends
    mixed[~np.isfinite(difference)] = PAPER
    return np.asarray(mixed.round(), dtype=np.uint8)


def _pale(outline: Outline) -> Outline:
    """Outline in white, which stands out from both colours of a difference."""
    return replace(outline, colour=INK)


def _panel(
    pixels: UInt8[np.ndarray, "row column 3"],
    head: str,
    outlines: Sequence[Outline],
    plane: Plane,
    words: Words,
) -> Image.Image:
    """Draw one panel with its outlines, its letters, its date and its sides."""
    image = Image.fromarray(pixels)
    letters = []
    for outline in outlines:
        if not outline.may_cross(plane):
            continue
        field = sample(outline.field, outline.geometry, plane, float(outline.field.min()))
        lines = list(find_contours(field, 0.0))  # type: ignore[no-untyped-call]
        image = drawn(image, lines, outline.colour)
        if lines and outline.letter:
            letters.append((outline, np.concatenate(lines).max(axis=0)))
    image = marked(image, plane, words)
    pen = ImageDraw.Draw(image)
    write_text(pen, (plane.side_px - LETTER_GAP_PX, LETTER_GAP_PX), head, anchor="rt", size=13)
    for outline, (row, column) in letters:
        place = (min(column + LETTER_GAP_PX, plane.side_px - 12), row)
        write_text(pen, place, outline.letter, anchor="lm", colour=outline.colour)
    return image


def _page(
    rows: Sequence[Sequence[Image.Image]],
    title: str,
    legends: Mapping[str, Colour],
    convention: Convention,
    words: Words,
) -> Image.Image:
    """Lay out the panels between a heading, and the scale and legends below."""
    bar = 2 * TEXT_PX
    top, foot = bar + MARGIN_PX // 2, 3 * bar
    page = lay_out(rows, top, foot)
    width, height = page.size
    pen = ImageDraw.Draw(page)
    write_text(pen, (MARGIN_PX, top / 2), title, anchor="lm")
    write_text(pen, (width - MARGIN_PX, top / 2), words["draft"], anchor="rm", colour=ALARM)
    lines = [height - foot + bar * (n + 0.5) for n in range(3)]
    write_legends(pen, lines[0], legends.items())
    _scale(page, lines[1], words)
    write_text(pen, (MARGIN_PX, lines[2]), words["matched"], anchor="lm", colour=MUTED, size=13)
    right = width - MARGIN_PX
    write_text(pen, (right, lines[2]), words[convention], anchor="rm", colour=MUTED, size=13)
    return page


def _scale(page: Image.Image, y: float, words: Words) -> None:
    """Draw the colours of the difference with their ends, and what they are a share of."""
    pen = ImageDraw.Draw(page)
    shares = np.linspace(-FULL_COLOUR, FULL_COLOUR, SCALE_PX, dtype=np.float32)
    strip = Image.fromarray(coloured(np.repeat(shares[None], TEXT_PX, axis=0)))
    ends = (f"-{FULL_COLOUR:.0%}", f"+{FULL_COLOUR:.0%}")
    x = float(MARGIN_PX)
    letters = font(TEXT_PX)
    write_text(pen, (x, y), ends[0], anchor="lm", colour=DARKER)
    x += pen.textlength(ends[0], letters) + 8
    page.paste(strip, (round(x), round(y - TEXT_PX / 2)))
    x += SCALE_PX + 8
    write_text(pen, (x, y), ends[1], anchor="lm", colour=BRIGHTER)
    x += pen.textlength(ends[1], letters) + 12
    write_text(pen, (x, y), words["scale"], anchor="lm")
