"""The volumes that one series holds, told apart by their tags. Knows nothing of pixels.

A tag that differs may mean nothing: one volume can have many acquisition numbers. So slices are
parted by a tag of the first list alone, and by another one only where positions are repeated.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from segment.reading.header import Header

SAME_POSITION_MM = 0.01
# What tells volumes apart wherever it differs: PS3.3 C.8.3.1, C.7.6.16.2.2 and C.8.13.5.9.
VOLUME_TAGS = {
    "StackID": "stack",
    "EchoNumbers": "echo",
    "TemporalPositionIdentifier": "time point",
    "TemporalPositionIndex": "time point",
    "DiffusionBValue": "b-value",
}
# What tells them apart where slices lie at the same position.
OTHER_TAGS = {
    "EchoTime": "echo time in ms",
    "InversionTime": "inversion time in ms",
    "FlipAngle": "flip angle in degrees",
    "DiffusionGradientOrientation": "gradient",
    "ComplexImageComponent": "component",
    "ImageType": "kind",
    "FrameReferenceTime": "frame reference time in ms",
    "AcquisitionNumber": "acquisition",
    "AcquisitionTime": "acquisition time",
}
Mark = tuple[str | float, ...]
Parts = dict[Mark, list[Header]]


def split_volumes(headers: Sequence[Header]) -> list[tuple[str, tuple[Header, ...]]]:
    """Part a series into volumes, each with the words that tell it from the others."""
    firm = [tag for tag in VOLUME_TAGS if len({_mark(h, [tag]) for h in headers}) > 1]
    found: list[tuple[str, tuple[Header, ...]]] = []
    for mark, part in _sorted(_parted(headers, firm)):
        for more, volume in _untangled(part):
            words = [text for text in (_words(firm, mark), more) if text]
            found.append((", ".join(words), tuple(volume)))
    return found


def _untangled(headers: Sequence[Header]) -> list[tuple[str, list[Header]]]:
    """Part slices that lie at the same positions; all in one where nothing tells them apart."""
    places = _places(headers)
    if places is None or len(set(places)) == len(places):
        return [("", list(headers))]
    tags = [tag for tag in OTHER_TAGS if len({_mark(h, [tag]) for h in headers}) > 1]
    for chosen in [*([tag] for tag in tags), tags]:
        parts = _parted(headers, chosen)
        if _is_told_apart(parts):
            return [(_words(chosen, mark), part) for mark, part in _sorted(parts)]
    return _by_order(headers, places)


def _by_order(headers: Sequence[Header], places: Sequence[int]) -> list[tuple[str, list[Header]]]:
    """Take the n-th picture at each position as the n-th volume, in the scanner's own order."""
    numbers = [header.number("InstanceNumber") for header in headers]
    copies = {places.count(place) for place in set(places)}
    is_ordered = None not in numbers and len(set(numbers)) == len(numbers)
    if not is_ordered or len(copies) != 1:
        return [("", list(headers))]
    order = sorted(range(len(headers)), key=lambda index: numbers[index] or 0)
    parts: list[list[Header]] = [[] for _ in range(copies.pop())]
    seen: dict[int, int] = defaultdict(int)
    for index in order:
        parts[seen[places[index]]].append(headers[index])
        seen[places[index]] += 1
    return [(f"number {count} in order", part) for count, part in enumerate(parts, start=1)]


def _is_told_apart(parts: Parts) -> bool:
    """Whether every part is a whole volume: as many slices as the others, each at its own place."""
    if len({len(part) for part in parts.values()}) != 1:
        return False
    placed = [_places(part) for part in parts.values()]
    return all(p is not None and len(p) > 1 and len(set(p)) == len(p) for p in placed)


def _places(headers: Sequence[Header]) -> list[int] | None:
    """Number the positions along the normal of the first slice; None where one has none."""
    across = headers[0].vectors.get("ImageOrientationPatient")
    positions = [header.vectors.get("ImagePositionPatient") for header in headers]
    if across is None or None in positions:
        return None
    normal = np.cross(*np.reshape(across, (2, 3)))
    distances_mm = np.array(positions, dtype=np.float64) @ normal
    order = np.argsort(distances_mm, kind="stable")
    steps = np.diff(distances_mm[order], prepend=distances_mm[order[0]]) >= SAME_POSITION_MM
    places = np.empty(len(order), dtype=int)
    places[order] = np.cumsum(steps)
    found: list[int] = places.tolist()
    return found


def _parted(headers: Sequence[Header], tags: Sequence[str]) -> Parts:
    parts: Parts = defaultdict(list)
    for header in headers:
        parts[_mark(header, tags)].append(header)
    return parts


def _sorted(parts: Parts) -> list[tuple[Mark, list[Header]]]:
    """Sort by mark, numbers as numbers; a missing one comes first."""
    return sorted(
        parts.items(),
        key=lambda part: [
            (isinstance(item, float), item if isinstance(item, float) else 0.0, str(item))
            for item in part[0]
        ],
    )


def _mark(header: Header, tags: Sequence[str]) -> Mark:
    return tuple(_value(header, tag) for tag in tags)


def _value(header: Header, tag: str) -> str | float:
    if tag in header.numbers:
        return header.numbers[tag]
    if tag in header.vectors:
        return " ".join(f"{item:.3g}" for item in header.vectors[tag])
    return header.text.get(tag) or " ".join(sorted(header.words.get(tag, ())))


def _words(tags: Sequence[str], mark: Mark) -> str:
    """Say what marks a volume; text of a file is shown only as far as it is plain."""
    words = VOLUME_TAGS | OTHER_TAGS
    shown = [f"{item:g}" if isinstance(item, float) else _plain(item) for item in mark]
    return ", ".join(f"{words[tag]} {item}" for tag, item in zip(tags, shown, strict=True))


def _plain(text: str) -> str:
    return "".join(c for c in text if c.isascii() and (c.isalnum() or c in " .-"))[:40] or "none"
