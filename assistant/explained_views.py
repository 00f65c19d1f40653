"""Pictures of what a volume hangs on: three maps, three planes each. Knows nothing of networks."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw

from assistant.explaining import GRAD_CAM, OCCLUSION, WIDTH, Explained
from assistant.views import (
    ALARM,
    COLOURS,
    ENGLISH,
    MARGIN_PX,
    TEXT_PX,
    Plane,
    View,
    Words,
    centre_of,
    drawn,
    lay_out,
    marked,
    outlines,
    planes,
    sample,
    windowed,
    write_text,
)
from segment.volume import Volume

HEAT, COLD, EDGE = COLOURS[0], COLOURS[1], (255, 255, 255)
STRONGEST = 0.75  # of a map's colour, where it is at its largest
TITLES = MappingProxyType(
    {
        GRAD_CAM: "what speaks for it (Grad-CAM, at most {most:.2f})",
        OCCLUSION: "where hiding 8 mm makes the volume fall (blue: grow), at most {most:.2f} mL",
        WIDTH: "where the interval's width comes from, at most {most:.1%} a voxel",
    }
)


def explained_view(volume: Volume, explained: Explained, *, is_crop: bool = False) -> View:
    """Draw the maps of one structure, orange where they are positive and blue where negative.

    A crop keeps no place in the patient, so none is written on its planes.
    """
    words = Words(ENGLISH)
    middle_mm = centre_of(explained.segmentation)
    three = [replace(p, is_placed=not is_crop) for p in planes(middle_mm, "radiological")]
    grey = windowed([sample(volume.array, volume.geometry, plane, np.nan) for plane in three])
    rows, titles = [], []
    for name, values in explained.maps.items():
        most = max(float(np.abs(values).max()), float(np.finfo(np.float32).tiny))
        shades = [sample(values, volume.geometry, plane, 0.0) / most for plane in three]
        rows.append(
            [
                _panel(panel, shade, plane, explained if name != WIDTH else None, words)
                for panel, shade, plane in zip(grey, shades, three, strict=True)
            ]
        )
        titles.append(TITLES[name].format(most=float(np.abs(values).max())))
    page = _page(rows, titles, explained, words)
    name = f"why_{explained.structure}_{explained.side}".replace(" ", "_")
    facts = {"side": explained.side, "structure": explained.structure}
    return View(name, np.asarray(page, dtype=np.uint8), MappingProxyType(facts))


def heated(
    grey: UInt8[np.ndarray, "r c 3"], shade: Float32[np.ndarray, "r c"]
) -> UInt8[np.ndarray, "r c 3"]:
    """Colour a panel by a map of -1 to 1."""
    share = (np.abs(shade) * STRONGEST)[..., None]
    colour = np.where((shade >= 0)[..., None], np.array(HEAT), np.array(COLD))
    return np.asarray(np.round(grey * (1 - share) + colour * share), dtype=np.uint8)


def _panel(
    grey: UInt8[np.ndarray, "r c 3"],
    shade: Float32[np.ndarray, "r c"],
    plane: Plane,
    outlined: Explained | None,
    words: Words,
) -> Image.Image:
    """Draw one map on one plane, with an outline where that hides nothing of the map."""
    image = Image.fromarray(heated(grey, shade))
    traced = {} if outlined is None else outlines(outlined.segmentation, plane)
    for lines in traced.values():
        image = drawn(image, lines, EDGE)
    return marked(image, plane, words)


def _page(
    rows: Sequence[Sequence[Image.Image]],
    titles: Sequence[str],
    explained: Explained,
    words: Words,
) -> Image.Image:
    """Lay out the panels below a heading; each row says in its first panel what it shows."""
    bar = 2 * TEXT_PX
    page = lay_out(rows, bar + MARGIN_PX // 2, MARGIN_PX)
    pen = ImageDraw.Draw(page)
    middle = (bar + MARGIN_PX // 2) / 2
    name = " ".join(t for t in (words[explained.side], explained.structure) if t)
    write_text(pen, (MARGIN_PX, middle), name, anchor="lm")
    right = page.size[0] - MARGIN_PX
    write_text(pen, (right, middle), words["draft"], anchor="rm", colour=ALARM)
    pitch = rows[0][0].height + MARGIN_PX
    for number, title in enumerate(titles):
        y = bar + MARGIN_PX // 2 + number * pitch + 2 * MARGIN_PX + TEXT_PX
        write_text(pen, (2 * MARGIN_PX, y), title, colour=HEAT)
    return page
