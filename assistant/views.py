"""Pictures of a segmentation on its scan that a radiologist can check. Knows nothing of reports.

Each picture shows the planes of the world's axes through one structure, cut to a field around it:
the face of a real head lies outside and is never drawn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import affine_transform, label
from skimage.measure import find_contours

from segment.geometry import Geometry
from segment.segmentation import Segmentation
from segment.volume import Volume

Convention = Literal["radiological", "neurological"]
Colour = tuple[int, int, int]

FIELD_MM = 90.0
PIXEL_MM = 0.25
SCALE_BAR_MM = 10.0
PNG_LEVEL = 3  # of compression: in half the time of the usual 6 a file that is 6 % larger
WINDOW_PERCENTILES = (1.0, 99.0)
WINDOW_HEADROOM = 0.1  # share of the window kept free above, so that white matter is not white
# Orange and blue stay apart for every kind of colour vision and, by their lightness, in grey
# (Okabe and Ito 2008, "Color Universal Design"; brightened to stand out on a scan); yellow and
# purple serve organs of more structures.
COLOURS: tuple[Colour, ...] = ((255, 140, 0), (0, 180, 255), (240, 228, 66), (204, 121, 167))
PAPER, INK, MUTED, ALARM = (0, 0, 0), (255, 255, 255), (190, 190, 190), (240, 228, 66)
OUTLINE_PX, OVERSAMPLING = 2.0, 3
TIE = np.float32(1e-5)
MARGIN_PX, TEXT_PX, LETTER_PX = 10, 15, 18

# Keys: letters, planes, sides, sentences and the segmenter's structures. English; a page in
# another language passes its own, and words that the built-in font cannot draw stay English.
ENGLISH: Mapping[str, str] = MappingProxyType(
    {
        "R": "R",
        "L": "L",
        "A": "A",
        "P": "P",
        "S": "S",
        "I": "I",
        "axial": "axial",
        "coronal": "coronal",
        "sagittal": "sagittal",
        "left": "left",
        "right": "right",
        "none": "",
        "radiological": "Radiological convention: patient's right on the left",
        "neurological": "Neurological convention: patient's left on the left",
        "draft": "DRAFT - not for diagnosis",
        "note": "",
        "empty": "nothing segmented here",
    }
)


@dataclass(frozen=True, eq=False)
class View:
    """One picture, its name, and what a caption may say about it."""

    name: str
    rgb: UInt8[np.ndarray, "height width 3"]
    facts: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Plane:
    """A square window on the world: where its middle lies and which way its axes run.

    ``right`` and ``down`` are unit vectors in world axes; ``letters`` stand at the left, right,
    upper and lower edge. A crop's middle ``is_placed`` nowhere in the patient.
    """

    name: str
    centre_mm: Float64[np.ndarray, " 3"]
    right: tuple[int, int, int]
    down: tuple[int, int, int]
    letters: tuple[str, str, str, str]
    field_mm: float = FIELD_MM
    is_placed: bool = True

    @property
    def side_px(self) -> int:
        """Pixels along each edge, as many whatever the field."""
        return round(FIELD_MM / PIXEL_MM)

    @property
    def pixel_mm(self) -> float:
        """Length of the edge of a pixel."""
        return self.field_mm / self.side_px

    @property
    def bar_mm(self) -> float:
        """Length of the scale bar, longer in a longer field."""
        return SCALE_BAR_MM if self.field_mm <= 2 * FIELD_MM else 5 * SCALE_BAR_MM

    @property
    def pixel_to_world(self) -> Float64[np.ndarray, "4 4"]:
        """Take row, column and 0 to world millimetres."""
        matrix = np.eye(4)
        matrix[:3, 0] = np.array(self.down) * self.pixel_mm
        matrix[:3, 1] = np.array(self.right) * self.pixel_mm
        matrix[:3, 2] = np.cross(self.down, self.right)
        middle = np.array([(self.side_px - 1) / 2] * 2 + [0.0])
        matrix[:3, 3] = self.centre_mm - matrix[:3, :3] @ middle
        return matrix

    @property
    def position(self) -> str:
        """Say where the plane lies along its normal, as viewers do: ``S 12.0 mm``."""
        axis = int(np.flatnonzero(np.cross(self.down, self.right))[0])
        value = float(self.centre_mm[axis])
        letter = "RAS"[axis] if value >= 0 else "LPI"[axis]
        return f"{letter} {abs(value):.1f} mm" if self.is_placed else ""


def overlays(
    volume: Volume,
    segmentations: Sequence[Segmentation],
    convention: Convention = "radiological",
    labels: Mapping[str, str] = ENGLISH,
    field_mm: float = FIELD_MM,
) -> tuple[View, ...]:
    """Draw one picture a segmentation: three planes through it, plain above and outlined below.

    The scan may lie on any grid, the segmentations on others. ``labels`` overrides words of
    ``ENGLISH``; structures are looked up by their name.
    """
    words = Words({**ENGLISH, **labels})
    return tuple(
        _view(volume, chosen, segmentations, convention, words, field_mm)
        for chosen in segmentations
    )


def write_png(view: View, folder: Path) -> Path:
    """Write a view as ``overlay_<name>.png`` into a folder that exists."""
    path = folder / f"overlay_{view.name}.png"
    Image.fromarray(view.rgb).save(path, compress_level=PNG_LEVEL)
    return path


def planes(centre_mm: Float64[np.ndarray, " 3"], convention: Convention) -> tuple[Plane, ...]:
    """Lay the axial, coronal and sagittal plane through a point.

    Seen from the feet and from the front (radiological, the patient's right on the left) or from
    the head and from behind (neurological); sagittal planes show the front on the left in both.
    """
    x = -1 if convention == "radiological" else 1
    left, right = ("R", "L") if x < 0 else ("L", "R")
    return (
        Plane("axial", centre_mm, (x, 0, 0), (0, -1, 0), (left, right, "A", "P")),
        Plane("coronal", centre_mm, (x, 0, 0), (0, 0, -1), (left, right, "S", "I")),
        Plane("sagittal", centre_mm, (0, -1, 0), (0, 0, -1), ("A", "P", "S", "I")),
    )


def centre_of(segmentation: Segmentation) -> Float64[np.ndarray, " 3"]:
    """Place the centroid of the largest piece that was segmented; of the grid where nothing was."""
    pieces, count = label(segmentation.labels > 0, np.ones((3, 3, 3)))
    if not count:
        return segmentation.geometry.centre_mm
    largest = int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
    inside = np.argwhere(pieces == largest).astype(np.float64)
    return np.asarray(segmentation.geometry.to_world(inside.mean(axis=0, keepdims=True))[0])


def sample(
    array: Float32[np.ndarray, "i j k"], geometry: Geometry, plane: Plane, outside: float
) -> Float32[np.ndarray, "row column"]:
    """Read an array along a plane, linearly between its voxels."""
    to_indices = np.linalg.inv(geometry.affine) @ plane.pixel_to_world
    values = affine_transform(
        array,
        to_indices[:3, :3],
        to_indices[:3, 3],
        output_shape=(plane.side_px, plane.side_px, 1),
        order=1,
        mode="constant",
        cval=outside,
    )
    return np.asarray(values[..., 0], dtype=np.float32)


def outlines(
    segmentation: Segmentation, plane: Plane
) -> dict[str, list[Float64[np.ndarray, "n 2"]]]:
    """Trace each structure on a plane, as rows and columns of pixels.

    A structure's outline is where its probability passes that of every other one: the border of
    the labels that are measured, between voxels placed by the probability.
    """
    mean = segmentation.mean
    sampled = np.stack(
        [
            sample(mean[n], segmentation.geometry, plane, outside=float(n == 0))
            for n in range(len(segmentation.structures))
        ]
    )
    # Between two voxels structures can tie; the first wins, as it does among the labels.
    sampled -= TIE * np.arange(len(sampled), dtype=np.float32)[:, None, None]
    traced = {}
    for n, name in enumerate(segmentation.structures[1:], start=1):
        lead = sampled[n] - np.delete(sampled, n, axis=0).max(axis=0)
        traced[name] = list(find_contours(lead, 0.0))  # type: ignore[no-untyped-call]
    return traced


class Words:
    """Words that the built-in font can draw, English where it cannot."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels

    def __getitem__(self, key: str) -> str:
        text = self._labels.get(key, key)
        return text if can_draw(text) else ENGLISH.get(key, key)


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the built-in font."""
    return ImageFont.load_default(size)


@cache
def can_draw(text: str) -> bool:
    """Whether no character of a text comes out as the font's empty box."""
    drawn = font(TEXT_PX)
    missing = bytes(drawn.getmask("\uffff"))
    return all(bytes(drawn.getmask(c)) != missing for c in text if not c.isspace())


def _view(
    volume: Volume,
    chosen: Segmentation,
    every: Sequence[Segmentation],
    convention: Convention,
    words: Words,
    field_mm: float,
) -> View:
    """Draw the picture of one segmentation; the others' outlines show where they cross it."""
    centre_mm = centre_of(chosen)
    three = tuple(replace(p, field_mm=field_mm) for p in planes(centre_mm, convention))
    grey = [sample(volume.array, volume.geometry, plane, np.nan) for plane in three]
    images = [Image.fromarray(panel) for panel in windowed(grey)]
    plain = [marked(image, plane, words) for image, plane in zip(images, three, strict=True)]
    outlined = [
        marked(_outline(image, plane, every), plane, words)
        for image, plane in zip(images, three, strict=True)
    ]
    parts = chosen.structures[1:]
    name = "_".join(word for word in (_whole(parts), chosen.side) if word != "none")
    facts = {
        "side": chosen.side,
        "convention": convention,
        "centre_mm": ", ".join(f"{value:.1f}" for value in centre_mm),
        "field_mm": f"{field_mm:g}",
        "is_empty": str(not (chosen.labels > 0).any()).lower(),
    }
    page = _page([plain, outlined], chosen, convention, words)
    return View(name.replace(" ", "_"), np.asarray(page, dtype=np.uint8), MappingProxyType(facts))


def _whole(parts: Sequence[str]) -> str:
    """Name what the parts have in common: the words with which every one of them begins."""
    shared = []
    for words in zip(*(part.split() for part in parts), strict=False):
        if len(set(words)) > 1:
            break
        shared.append(words[0])
    return " ".join(shared) or "structures"


def windowed(panels: Iterable[Float32[np.ndarray, "row column"]]) -> UInt8[np.ndarray, "n r c 3"]:
    """Scale the panels of one picture to grey with one window; outside the scan is black."""
    stack = np.stack(list(panels))
    seen = stack[np.isfinite(stack)]
    lower, upper = np.percentile(seen, WINDOW_PERCENTILES) if seen.size else (0.0, 1.0)
    span = float(upper - lower) * (1 + WINDOW_HEADROOM)
    scaled = (stack - lower) / max(span, float(np.finfo(np.float32).tiny))
    grey = np.nan_to_num(np.clip(scaled, 0, 1) * 255, nan=0.0).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _outline(image: Image.Image, plane: Plane, every: Sequence[Segmentation]) -> Image.Image:
    """Draw the outlines of every segmentation that a plane crosses."""
    result = image
    for segmentation in every:
        for colour, lines in zip(COLOURS, outlines(segmentation, plane).values(), strict=False):
            result = drawn(result, lines, colour)
    return result


def drawn(
    image: Image.Image, lines: Sequence[Float64[np.ndarray, "_ 2"]], colour: Colour
) -> Image.Image:
    """Draw lines of rows and columns of pixels onto a square panel, smoothed at their edges."""
    result = image.copy()
    cover = Image.new("L", (image.width * OVERSAMPLING, image.height * OVERSAMPLING))
    pen = ImageDraw.Draw(cover)
    for line in lines:
        points = [((c + 0.5) * OVERSAMPLING, (r + 0.5) * OVERSAMPLING) for r, c in line]
        pen.line(points, fill=255, width=round(OUTLINE_PX * OVERSAMPLING), joint="curve")
    result.paste(colour, (0, 0), cover.resize(result.size, Image.Resampling.BOX))
    return result


def marked(image: Image.Image, plane: Plane, words: Words) -> Image.Image:
    """Write the plane's name, the directions and the scale bar onto a panel."""
    result = image.copy()
    pen = ImageDraw.Draw(result)
    side, gap = plane.side_px, 6
    left, right, upper, lower = (words[letter] for letter in plane.letters)
    places = (
        (left, (gap, side / 2), "lm"),
        (right, (side - gap, side / 2), "rm"),
        (upper, (side / 2, gap), "mt"),
        (lower, (side / 2, side - gap), "mb"),
    )
    for text, place, anchor in places:
        write_text(pen, place, text, anchor=anchor, size=LETTER_PX)
    title = f"{words[plane.name]}  {plane.position}".rstrip()
    write_text(pen, (gap, gap), title, anchor="lt", size=13)
    bar, y = plane.bar_mm / plane.pixel_mm, side - 12
    pen.rectangle((side - 13 - bar, y - 2, side - 12, y + 3), fill=PAPER)
    pen.rectangle((side - 12 - bar, y - 1, side - 13, y + 2), fill=INK)
    write_text(pen, (side - 12 - bar / 2, y - 5), f"{plane.bar_mm:g} mm", anchor="mb", size=13)
    return result


def write_text(
    pen: ImageDraw.ImageDraw,
    place: tuple[float | int, float | int],
    text: str,
    *,
    anchor: str = "lt",
    size: int = TEXT_PX,
    colour: Colour = INK,
) -> None:
    """Write a word with a dark rim, so that it is read on any grey."""
    pen.text(place, text, colour, font(size), anchor, stroke_width=2, stroke_fill=PAPER)


def lay_out(rows: Sequence[Sequence[Image.Image]], top_px: int, foot_px: int) -> Image.Image:
    """Set panels of one size in rows, with room for a heading and for what stands below."""
    pitch = rows[0][0].width + MARGIN_PX
    size = (len(rows[0]) * pitch + MARGIN_PX, top_px + len(rows) * pitch + foot_px)
    page = Image.new("RGB", size, PAPER)
    for row, panels in enumerate(rows):
        for column, panel in enumerate(panels):
            page.paste(panel, (MARGIN_PX + column * pitch, top_px + row * pitch))
    return page


def write_legends(
    pen: ImageDraw.ImageDraw, y: float, legends: Iterable[tuple[str, Colour]]
) -> None:
    """Say what each colour of an outline means."""
    x = float(MARGIN_PX)
    for legend, colour in legends:
        pen.line((x, y, x + 22, y), fill=colour, width=3)
        write_text(pen, (x + 28, y), legend, anchor="lm")
        x += 28 + pen.textlength(legend, font(TEXT_PX)) + 20


def _page(
    rows: Sequence[Sequence[Image.Image]],
    chosen: Segmentation,
    convention: Convention,
    words: Words,
) -> Image.Image:
    """Lay out the panels between a heading and the legend."""
    bar = 2 * TEXT_PX
    page = lay_out(rows, bar + MARGIN_PX // 2, bar + MARGIN_PX // 2)
    width, height = page.size
    pen = ImageDraw.Draw(page)
    middle, last = (bar + MARGIN_PX // 2) / 2, height - (bar + MARGIN_PX // 2) / 2
    parts = chosen.structures[1:]
    name = " ".join(t for t in (words[chosen.side], words[_whole(parts)]) if t)
    title = " - ".join(t for t in (name, words["note"]) if t)
    write_text(pen, (MARGIN_PX, middle), title, anchor="lm")
    write_text(pen, (width - MARGIN_PX, middle), words["draft"], anchor="rm", colour=ALARM)
    write_text(pen, (width - MARGIN_PX, last), words[convention], anchor="rm", colour=MUTED)
    if (chosen.labels > 0).any():
        named = (words[part] for part in parts)
        write_legends(pen, last, zip(named, COLOURS, strict=False))
    else:
        write_text(pen, (MARGIN_PX, last), words["empty"], anchor="lm", colour=ALARM)
    return page
