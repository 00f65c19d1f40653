"""Which series of a delivery can be read, each with a small picture. Knows nothing of pages.

A picture is the middle one of its series; where it cannot be decoded there is none.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image

from assistant.choices import Choice, choices
from segment.errors import ScanError

FOLDER, TABLE = "series", "series.json"
MOST_SHOWN = 24
SIDE_PX = 112


@dataclass(frozen=True)
class Shown:
    """One series to choose: its label, what it is, and the name of its picture if there is one."""

    label: str
    described: str
    picture: str | None


def write_choices(folder: Path, source: str | Path) -> None:
    """Write the list of series and their pictures into a study's folder."""
    into = folder / FOLDER
    into.mkdir(exist_ok=True)
    shown = tuple(_written(into, source))
    (folder / TABLE).write_text(json.dumps([asdict(one) for one in shown]), encoding="utf-8")


def read_choices(folder: Path) -> tuple[Shown, ...]:
    """Read the list back; empty where there is nothing to choose."""
    path = folder / TABLE
    if not path.is_file():
        return ()
    return tuple(Shown(**one) for one in json.loads(path.read_text(encoding="utf-8")))


def _written(into: Path, source: str | Path) -> Iterator[Shown]:
    for number, choice in enumerate(choices(source)):
        if number >= MOST_SHOWN:
            return
        name = f"{number}.png"
        yield Shown(choice.label, choice.described, name if _draw(choice, into / name) else None)


def _draw(choice: Choice, path: Path) -> bool:
    try:
        picture = choice.picture()
    except ScanError:
        return False
    thumbnail(picture).save(path, "PNG")
    return True


def thumbnail(picture: Float32[np.ndarray, "rows columns"]) -> Image.Image:
    """Draw one slice small, between the first and the last percentile of its values."""
    finite = np.nan_to_num(picture, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = np.percentile(finite, (1, 99))
    grey = np.clip((finite - low) / max(float(high - low), 1e-6), 0, 1) * 255
    image = Image.fromarray(grey.round().astype(np.uint8))
    image.thumbnail((SIDE_PX, SIDE_PX))
    return image
