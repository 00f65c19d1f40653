"""DICOM segmentations as labels on their own grid. Knows nothing of the scan they belong to.

They are parsed in a process with limits; here their frames are put where their positions say.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, UInt16

from segment import organs
from segment.errors import Refusal, ScanError
from segment.geometry import Geometry
from segment.masks.table import LARGEST_LABEL, Label, LabelTable, named
from segment.organs import Organ
from segment.reading import file_name
from segment.reading.sandbox import answers
from segment.reading.source import check_voxel_budget
from segment.segmentation import Side

SIDES: Mapping[str, Side] = {"7771000": "left", "24028007": "right"}  # SNOMED CT, CID 244
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
OFF_MM = 0.1  # of a frame from the straight stack that the others make
Said = Mapping[str, Any]


def read_frames(path: Path) -> tuple[Said, bytes]:
    """Ask for the frames of a file; raises ScanError for what is no segmentation."""
    (answer,) = answers("segments", [{"path": str(path)}], [path])
    return answer.said, answer.content


def table_of(said: Said) -> LabelTable:
    """Name the segments: by their codes and sides, else as TotalSegmentator names them."""
    by_name = named("", [(one["number"], one["name"].lower()) for one in said["segments"]])
    shipped_last = (*organs.available(), *organs.shipped())  # so that no user's hides a shipped one
    known = map(organs.load, shipped_last)
    coded = {organ.code: organ for organ in known if organ.code != organs.UNSAID_CODE}
    labels = [
        _coded(one, coded[one["code"]]) if one["code"] in coded else label
        for one, label in zip(said["segments"], by_name.labels, strict=True)
    ]
    return LabelTable("of the file itself", tuple(labels))


def stacked(
    said: Said, content: bytes, table: LabelTable, path: Path
) -> tuple[UInt16[np.ndarray, "i j k"], Geometry]:
    """Put the frames together; raises ScanError for frames that make no stack, or that overlap."""
    name = file_name(path)
    places, geometry = _stack(said["frames"], said["columns"], said["rows"], name)
    check_voxel_budget(geometry.shape, name)
    labels = np.zeros(geometry.shape, np.uint16)
    if said["bits"] != 1:
        _put_label_maps(labels, said, content, places, name)
        return labels, geometry
    reported = {label.value for label in table.labels if label.structure is not None}
    order = sorted(range(len(places)), key=lambda n: said["frames"][n]["segment"] in reported)
    for n in order:
        number, plane = said["frames"][n]["segment"], labels[:, :, places[n]]
        if not 0 < number <= LARGEST_LABEL:
            raise _refusal(name, f"segments from 1 to {LARGEST_LABEL}", str(number))
        mask = _bits(content, n, said, name)
        under = set(np.unique(plane[mask]).tolist()) & reported - {number}
        if under and number in reported:
            found = f"{sorted(under)[0]} and {number} in one voxel"
            raise _refusal(name, "segments of organs that do not overlap", found)
        plane[mask] = number
    return labels, geometry


def _coded(one: Said, organ: Organ) -> Label:
    """Take a segment for an organ by its code; a part of one, or one without its side, is none."""
    sides: list[Side] = [SIDES[code] for code in one["modifiers"] if code in SIDES]
    structure = organ.structures[0]
    label = Label(one["number"], one["name"] or organ.name)
    is_part = any(s.modifier in one["modifiers"] for s in organ.structures if s.modifier)
    if is_part or structure.name != organ.name:
        return label
    if organ.sides == ("none",):
        return Label(label.value, label.name, structure.name)
    return label if len(sides) != 1 else Label(label.value, label.name, structure.name, sides[0])


def _stack(
    frames: Sequence[Said], columns: int, rows: int, name: str
) -> tuple[list[int], Geometry]:
    """Lay the grid on which all frames lie; return also the slice of each."""
    first = frames[0]
    if any(f["orientation"] != first["orientation"] for f in frames) or any(
        f["spacing"] != first["spacing"] for f in frames
    ):
        raise _refusal(name, "frames of one orientation and spacing", "several")
    axes = np.reshape(first["orientation"], (2, 3))
    normal = np.cross(*axes)
    positions = np.array([f["position"] for f in frames])
    between_rows, between_columns, between_slices = first["spacing"]
    away_mm = positions @ normal
    origin = positions[int(np.argmin(away_mm))]
    steps = away_mm - away_mm.min()
    step_mm = between_slices or _least_step(steps)
    places = np.rint(steps / step_mm).astype(int)
    straight = origin + np.outer(places * step_mm, normal)
    if np.abs(positions - straight).max() > OFF_MM:
        raise _refusal(name, "frames in even, straight steps", "others")
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = axes[0] * between_columns, axes[1] * between_rows
    lps[:3, 2], lps[:3, 3] = normal * step_mm, origin
    shape = (columns, rows, int(places.max()) + 1)
    return places.tolist(), Geometry(shape, LPS_TO_RAS @ lps)


def _least_step(steps: Float64[np.ndarray, " n"]) -> float:
    """Return the least distance between frames; 1 mm where there is a single slice."""
    apart = np.diff(np.unique(np.round(steps, 3)))
    return float(apart.min()) if apart.size else 1.0


def _bits(content: bytes, frame: int, said: Said, name: str) -> Bool[np.ndarray, "i j"]:
    """Unpack one frame; frames follow one another without a gap (PS3.5 8.1.1)."""
    rows, columns = said["rows"], said["columns"]
    start, stop = frame * rows * columns, (frame + 1) * rows * columns
    packed = np.frombuffer(content[start // 8 : (stop + 7) // 8], np.uint8)
    bits = np.unpackbits(packed, bitorder="little")[start % 8 :][: rows * columns]
    if bits.size != rows * columns:
        raise _refusal(name, f"frames of {rows} x {columns} pixels", "a shorter file")
    return bits.reshape(rows, columns).T.astype(bool)


def _put_label_maps(
    labels: UInt16[np.ndarray, "i j k"], said: Said, content: bytes, places: list[int], name: str
) -> None:
    """Lay down frames that hold the numbers of their segments."""
    shape = (len(places), said["rows"], said["columns"])
    if said["bits"] not in (8, 16):
        raise _refusal(name, "labels of 8 or 16 bits", f"{said['bits']} bits")
    values = np.frombuffer(content, f"<u{said['bits'] // 8}")
    if values.size < np.prod(shape):
        raise _refusal(name, f"frames of {shape[1]} x {shape[2]} pixels", "a shorter file")
    for place, frame in zip(places, _planes(values, shape), strict=True):
        labels[:, :, place] = frame.T


def _planes(values: np.ndarray, shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Cut a file's numbers into its frames; an odd byte may follow them."""
    yield from values[: int(np.prod(shape))].reshape(shape)


def _refusal(name: str, expected: str, found: str) -> ScanError:
    msg = f"{name}: expected {expected}, found {found}; export the segmentation again"
    return ScanError(Refusal.WRONG_LABELS, msg)
