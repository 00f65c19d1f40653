"""What is known of one picture before its pixels are read, as checked numbers and words.

Knows nothing of series, and of no tag outside the allow-list.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from segment.reading.sandbox import answers
from segment.reading.source import file_bytes
from segment.reading.tags import NUMBER_TAGS, TEXT_TAGS, VECTOR_TAGS, WORD_TAGS

# When a picture was taken, the most exact source first: a moment, or a day and its time.
MOMENTS = (
    ("AcquisitionDateTime", None),
    ("AcquisitionDate", "AcquisitionTime"),
    ("SeriesDate", "SeriesTime"),
    ("StudyDate", "StudyTime"),
)
TIME_FORM = re.compile("[0-9]{6}")  # an hour alone is no time


@dataclass(frozen=True)
class Header:
    """The allowed tags of one picture: numbers are finite or absent, text is as it was found.

    ``frame`` is its place in an enhanced multi-frame file, None where it is the only one.
    ``pixels_at`` and ``pixels_bytes`` say where the file's pixels lie; the length of compressed
    ones is -1. ``asked`` holds the tags that the caller asked for besides, and is never printed.
    """

    path: Path
    transfer_syntax: str
    text: dict[str, str]
    words: dict[str, frozenset[str]]
    numbers: dict[str, float]
    vectors: dict[str, tuple[float, ...]]
    frame: int | None = None
    pixels_at: int = 0
    pixels_bytes: int = 0
    asked: Mapping[str, str] = field(default_factory=dict, repr=False)

    def number(self, tag: str) -> float | None:
        """Return a number, or None where the file has none."""
        return self.numbers.get(tag)

    def count(self, tag: str, default: int = 0) -> int:
        """Return a whole number, or the default where the file has none."""
        return int(self.numbers.get(tag, default))

    @property
    def modality(self) -> str:
        """The modality's code, safe to print."""
        modality = self.text["Modality"]
        return modality if re.fullmatch("[A-Z]{2,12}", modality) else "unknown"

    @property
    def moment(self) -> tuple[str, str | None] | None:
        """The day of the picture as YYYY-MM-DD, and the time as HH:MM:SS where it is known."""
        for day_tag, time_tag in MOMENTS:
            found = self.text[day_tag]
            time = found[8:] if time_tag is None else self.text[time_tag]
            if day := _parsed(found[:8], "%Y%m%d"):
                clock = _parsed(time[:6], "%H%M%S") if TIME_FORM.match(time) else None
                return day.date().isoformat(), clock.time().isoformat() if clock else None
        return None

    @property
    def date(self) -> str | None:
        """The day of the scan as YYYY-MM-DD."""
        return self.moment[0] if self.moment else None


def read_headers(files: Sequence[Path], *, asked: Sequence[str] = ()) -> Iterator[Header]:
    """Read the headers of DICOM files, one a picture; refuses a deflated or a damaged file."""
    for path in files:
        file_bytes(path)
    described = answers("describe", [str(path) for path in files], files, asked=asked)
    for path, answer in zip(files, described, strict=True):
        yield from _headers(path, answer.said)


def read_header(path: Path) -> Header:
    """Read the header of a file's first picture."""
    return next(iter(tuple(read_headers([path]))))


def _headers(path: Path, said: Mapping[str, Any]) -> Iterator[Header]:
    """Take one file's description apart; an enhanced file has many pictures."""
    tags, frames = said["tags"], said["frames"]
    if not frames:
        yield _header(path, said, tags, None)
    for index, frame in enumerate(frames):
        yield _header(path, said, {**tags, **frame}, index)


def _header(
    path: Path, said: Mapping[str, Any], tags: Mapping[str, Sequence[str]], frame: int | None
) -> Header:
    numbers = {tag: _numbers(tags[tag]) for tag in (*NUMBER_TAGS, *VECTOR_TAGS)}
    at, length = said["pixels"]
    return Header(
        path=path,
        transfer_syntax=str(said["syntax"]),
        text={tag: "".join(tags[tag][:1]) for tag in TEXT_TAGS},
        words={tag: frozenset(tags[tag]) for tag in WORD_TAGS},
        numbers={tag: numbers[tag][0] for tag in NUMBER_TAGS if numbers[tag]},
        vectors={
            tag: numbers[tag] for tag, length in VECTOR_TAGS.items() if len(numbers[tag]) == length
        },
        frame=frame,
        pixels_at=int(at),
        pixels_bytes=int(length),
        asked={tag: "".join(values) for tag, values in said["asked"].items()},
    )


def _numbers(values: Sequence[str]) -> tuple[float, ...]:
    """Convert to floats; empty where any is no number or not finite."""
    try:
        numbers = tuple(float(item) for item in values)
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def _parsed(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None
