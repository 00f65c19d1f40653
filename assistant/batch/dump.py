"""The DICOM series below a folder, of any number of patients, whichever way the files lie.

Reads headers a few hundred files at a time and keeps of each file its path alone. Which patient a
series is of is never looked at.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from assistant.exams import Exam
from segment.errors import ScanError
from segment.reading.header import Header, read_headers
from segment.reading.series import has_image, is_localiser, other_object, unsupported_kind

FILES_AT_ONCE = 512
Key = tuple[str, str, bool, bool]


@dataclass(frozen=True)
class Dump:
    """The files of each series that an exam may use, in an order of their own identifiers.

    ``numbers`` are those that the scanner gave them, None where there is none. ``aside`` counts
    the other series by what they are. Files that cannot be read stand together, a folder's as one
    series, so that whoever reads it says what is wrong with them.
    """

    series: tuple[tuple[Path, ...], ...]
    numbers: tuple[int | None, ...]
    aside: Mapping[str, int]


@dataclass
class _Pile:
    """What is known of a series while its files are counted."""

    first: Header
    pictures: int = 0
    paths: dict[Path, None] = field(default_factory=dict)


def find(files: Sequence[Path], exam: Exam) -> Dump:
    """Sort DICOM files into series, and set aside what is no scan of the exam's modality."""
    piles: dict[Key, _Pile] = {}
    damaged: list[Path] = []
    for some in _batches(files):
        for header in _readable(some, damaged):
            key = _key(header)
            pile = piles.setdefault(key, _Pile(header))
            pile.pictures += 1
            pile.paths[header.path] = None
    reasons = {key: _aside(pile, exam) for key, pile in piles.items()}
    used = [piles[key] for key in sorted(piles) if reasons[key] is None]
    together = tuple(tuple(group) for _, group in groupby(damaged, key=lambda path: path.parent))
    return Dump(
        (*(tuple(pile.paths) for pile in used), *together),
        (*(_number(pile.first) for pile in used), *(None for _ in together)),
        Counter(why for why in reasons.values() if why is not None),
    )


def _batches(files: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    """Part the files by folder and then by number, so that a damaged one costs few others time."""
    for _, group in groupby(files, key=lambda path: path.parent):
        rest = tuple(group)
        for start in range(0, len(rest), FILES_AT_ONCE):
            yield rest[start : start + FILES_AT_ONCE]


def _readable(files: Sequence[Path], damaged: list[Path]) -> Iterator[Header]:
    """Yield the headers of files; where that fails, halve them until the bad ones are alone."""
    try:
        headers = tuple(read_headers(files))
    except ScanError:
        if len(files) == 1:
            damaged.append(files[0])
            return
        middle = len(files) // 2
        yield from _readable(files[:middle], damaged)
        yield from _readable(files[middle:], damaged)
        return
    yield from headers


def _key(header: Header) -> Key:
    """Tell series apart as a single study's are: by identifiers and by the kind of picture."""
    study, series = header.text["StudyInstanceUID"], header.text["SeriesInstanceUID"]
    return study, series, has_image(header), is_localiser(header)


def _number(header: Header) -> int | None:
    """Return the number of a series, which people know it by."""
    return None if header.number("SeriesNumber") is None else header.count("SeriesNumber")


def _aside(pile: _Pile, exam: Exam) -> str | None:
    """Say what a series is if it is no scan for the exam; None where it may be one."""
    first = pile.first
    if (other := other_object(first)) is not None:
        return other
    if not has_image(first):
        return "DICOM objects without an image"
    if first.modality != exam.modality:
        return f"{first.modality} series"
    if unsupported_kind(first) is not None or pile.pictures < 2:
        return "localisers, mosaics and single pictures"
    return None
