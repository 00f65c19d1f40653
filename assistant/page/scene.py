"""What the viewer loads of a study: scan, labels, uncertainty and surfaces, as files.

Knows nothing of the viewer, and of who may fetch the files.
"""

import io
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
from jaxtyping import Float32, Int16
from PIL import Image

from assistant.entropy import write_maps
from assistant.folder import LABELS
from assistant.maps import write_map
from assistant.views import COLOURS, centre_of
from segment.infer import Found, Side, paint
from segment.segmentation import Segmentation
from segment.surface import Surface, lead, surface_of
from segment.surface_file import surface_bytes
from segment.volume import Volume

SCAN = "scan.nii.gz"
PLACES = "places.json"
SURFACE = "surface.glb"
# Apart from the colours of the parts, so that none means two things.
SIDE_COLOURS = {"left": COLOURS[2], "right": COLOURS[3], "none": COLOURS[2]}
LARGEST = 30_000  # of the integers that the scan is shown with
Plane = Literal["sagittal", "coronal", "axial"]
PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")


def write_scan(folder: Path, volume: Volume, name: str = SCAN) -> None:
    """Write a scan for the viewer on its own grid, as integers with a slope."""
    array, slope, intercept = _integers(volume.array)
    write_map(folder / name, array, volume.geometry, slope, intercept)


def write_found(folder: Path, volume: Volume, sides: Sequence[Side]) -> None:
    """Write labels, maps of uncertainty, a surface a side and where each structure lies."""
    found = [side for side in sides if isinstance(side, Found)]
    write_map(folder / LABELS, paint(volume.geometry, sides).astype(np.uint8), volume.geometry)
    write_maps(folder, volume.geometry, found)
    places: dict[str, list[float]] = {}
    surfaces = []
    for side in found:
        drawn = surface(side.segmentation)
        (folder / f"{side.side}.mz3").write_bytes(_mz3(drawn))
        surfaces.append(drawn)
        places |= _places(side.segmentation)
    (folder / SURFACE).write_bytes(surface_bytes(surfaces, "glb"))
    (folder / PLACES).write_text(json.dumps(places), encoding="utf-8")


def read_places(folder: Path) -> dict[str, list[float]]:
    """Read where each structure lies, in world millimetres by ``side|structure``."""
    path = folder / PLACES
    if not path.is_file():
        return {}
    places: dict[str, list[float]] = json.loads(path.read_text(encoding="utf-8"))
    return places


def surface(segmentation: Segmentation) -> Surface:
    """Return the surface of everything segmented, for display: volumes are counts of voxels."""
    field = lead(segmentation.mean, range(1, len(segmentation.structures)))
    drawn = surface_of(segmentation.side, field, segmentation.geometry)
    return replace(drawn, colour=SIDE_COLOURS[segmentation.side])


def _mz3(drawn: Surface) -> bytes:
    """Write a mesh as MZ3: magic, attributes, counts, then faces and points."""
    header = struct.pack("<HHIII", 23117, 3, len(drawn.faces), len(drawn.points), 0)
    faces, points = drawn.faces.astype("<i4"), drawn.points.astype("<f4")
    return header + faces.tobytes() + points.tobytes()


def _places(segmentation: Segmentation) -> dict[str, list[float]]:
    """Say where the middle of each structure, and of all of them, lies."""
    side = segmentation.side
    whole = segmentation.structures[1].partition(" ")[0]
    places = {f"{side}|{whole}": [float(value) for value in centre_of(segmentation)]}
    for name in segmentation.structures[1:]:
        inside = np.argwhere(segmentation.mask(name)).astype(np.float64)
        if len(inside):
            middle = inside[np.linalg.norm(inside - inside.mean(axis=0), axis=1).argmin()]
            point = segmentation.geometry.to_world(middle[None])[0]
            places[f"{side}|{name}"] = [float(value) for value in point]
    return places


def _integers(
    array: Float32[np.ndarray, "i j k"],
) -> tuple[Int16[np.ndarray, "i j k"], float, float]:
    """Return a scan as integers, and the slope and intercept that take them back."""
    low, high = float(array.min()), float(array.max())
    slope = max((high - low) / LARGEST, 1e-9)
    return np.round((array - low) / slope).astype(np.int16), slope, low


@dataclass(frozen=True, eq=False)
class Stack:
    """A scan and its labels turned to right, front, head, for slices without WebGL."""

    scan: np.ndarray
    labels: np.ndarray
    spacing_mm: tuple[float, float, float]
    affine: np.ndarray
    window: tuple[float, float]


def read_stack(folder: Path) -> Stack:
    """Read the files of the viewer back, as they are now."""
    files = (folder / SCAN, folder / LABELS)
    return _read_stack(folder, tuple(p.stat().st_mtime_ns for p in files if p.is_file()))


def forget_stacks() -> None:
    """Drop what was read of any study from memory."""
    _read_stack.cache_clear()


@lru_cache(maxsize=2)
def _read_stack(folder: Path, _written: tuple[int, ...]) -> Stack:
    """Read the files that were written at these times."""
    scan = nibabel.as_closest_canonical(nibabel.load(folder / SCAN))
    values = np.asarray(scan.dataobj, dtype=np.float32)
    labels = np.zeros(values.shape, dtype=np.uint8)
    if (folder / LABELS).is_file():
        image = nibabel.as_closest_canonical(nibabel.load(folder / LABELS))
        labels = np.asarray(image.dataobj).astype(np.uint8)
    low, high = np.percentile(values[::2, ::2, ::2], (1, 99))
    i, j, k = (float(length) for length in scan.header.get_zooms()[:3])
    window = (float(low), float(max(high, low + 1e-6)))
    return Stack(values, labels, (i, j, k), scan.affine, window)


def slice_png(stack: Stack, plane: Plane, number: int) -> bytes:
    """Draw one slice with its labels, radiological: the patient's right or front on the left."""
    axis = PLANES.index(plane)
    number = min(max(number, 0), stack.scan.shape[axis] - 1)
    low, high = stack.window
    grey = np.clip((np.take(stack.scan, number, axis) - low) / (high - low), 0, 1) * 255
    rgb = np.repeat(grey[..., None], 3, axis=-1)
    marks = np.take(stack.labels, number, axis)
    for label in range(1, int(marks.max(initial=0)) + 1):
        colour = np.array(COLOURS[(label - 1) % 2], dtype=np.float32)
        rgb[marks == label] = 0.5 * rgb[marks == label] + 0.5 * colour
    shown = np.rot90(rgb[::-1])
    rest = [spacing for n, spacing in enumerate(stack.spacing_mm) if n != axis]
    size = (round(shown.shape[1] * rest[0]), round(shown.shape[0] * rest[1]))
    stream = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(shown).round().astype(np.uint8))
    image.resize((max(size[0], 1), max(size[1], 1))).save(stream, "PNG")
    return stream.getvalue()


def describe(folder: Path) -> dict[str, Any]:
    """Say how many slices each plane has and how world millimetres become their numbers."""
    stack = read_stack(folder)
    return {
        "counts": dict(zip(PLANES, stack.scan.shape, strict=True)),
        "to_index": np.linalg.inv(stack.affine).tolist(),
    }
