"""What every file for people shows of a report, in its order. Knows nothing of any file format."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import prompts
from assistant.report import SECTIONS, Report, report_rows, said
from assistant.rows import columns_of, one_line, provenance_rows
from prompts import Phrasebook
from segment.errors import Refusal, ScanError

AMOUNT = re.compile(r"(?<=\d) (?=(?:mL|mm3|%))")
LESION = re.compile("overlay_change_lesion_([A-Z])")
# The caption of a picture of a structure, and how its file's name begins.
CAPTIONS = {
    "caption": "overlay",
    "caption_change": "overlay_change",
    "caption_trend": "overlay_trend",
}
NO_BREAK_SPACE = "\u00a0"


@dataclass(frozen=True)
class Sentence:
    """One sentence and the ids of the records that it rests on."""

    text: str
    cites: tuple[str, ...]

    @property
    def marks(self) -> str:
        """Write the citations behind the sentence."""
        return "".join(f" [{cite}]" for cite in self.cites)


@dataclass(frozen=True)
class Figure:
    """A picture (PNG) and what it shows."""

    png: bytes
    caption: str


@dataclass(frozen=True)
class Sheet:
    """A report in words, rows and pictures: each text one line, each heading its own."""

    words: Phrasebook
    is_draft: bool
    mark: str
    title: str
    disclaimer: str
    made: str
    sections: tuple[tuple[str, tuple[Sentence, ...]], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: tuple[Figure, ...]
    provenance: tuple[tuple[str, str], ...]

    @property
    def language(self) -> str:
        """Name the language as HTML and Word do."""
        return self.words.export["tag"]


def sheet(report: Report, pictures: Sequence[Path], created: str) -> Sheet:
    """Lay a report out; raises ScanError for a picture that is none, ValueError for a bad time."""
    words = prompts.load(report.language)
    exam = words.exams.get(report.exam, report.exam)
    return Sheet(
        words=words,
        is_draft=report.status == "draft",
        mark=report.mark(),
        title=words.marks["title"].format(exam=one_line(exam)),
        disclaimer=report.disclaimer(),
        made=words.export["created"].format(time=moment(created).strftime("%Y-%m-%d %H:%M %Z")),
        sections=tuple(_sections(report, words)),
        columns=tuple(columns_of(report.measurements, words).values()),
        rows=report_rows(report, words),
        figures=tuple(Figure(read_png(path), _caption(path, report, words)) for path in pictures),
        provenance=provenance_rows(report.provenance, words),
    )


def moment(created: str) -> datetime:
    """Read a report's time, which states its zone."""
    try:
        time = datetime.fromisoformat(created)
    except ValueError as error:
        msg = f"expected the time of a report as in 2020-01-31T12:00:00+00:00, found {created!r}"
        raise ValueError(msg) from error
    if time.tzinfo is None:
        msg = f"expected the time of a report with its zone, found {created!r}; add +00:00"
        raise ValueError(msg)
    return time


def unbroken(text: str) -> str:
    """Keep each number and its unit on one line."""
    return AMOUNT.sub(NO_BREAK_SPACE, text)


def read_png(path: Path) -> bytes:
    """Read a picture whole; raises ScanError where it is no PNG."""
    from PIL import Image

    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        msg = f"{path.name}: expected a PNG picture, found none; remove it or draft again"
        raise ScanError(Refusal.UNREADABLE, msg) from error
    return data


def _sections(report: Report, words: Phrasebook) -> "list[tuple[str, tuple[Sentence, ...]]]":
    """List the sections that hold a line, under their headings."""
    found = []
    for section in SECTIONS:
        lines = [line for line in report.lines if line.section == section]
        sentences = tuple(Sentence(said(line, words), line.cites) for line in lines)
        if sentences:
            found.append((words.headings[section], sentences))
    return found


def _caption(path: Path, report: Report, words: Phrasebook) -> str:
    """Say which structure of which side a picture shows, as its file is named."""
    if lesion := LESION.fullmatch(path.stem):
        return words.export["caption_lesion"].format(letter=lesion[1])
    for record in report.measurements:
        parts = (record.structure, *(() if record.side == "none" else (record.side,)))
        for caption, start in CAPTIONS.items():
            if path.stem == "_".join((start, *parts)).replace(" ", "_"):
                name = words.structure(record.structure, record.side)
                return words.export[caption].format(name=name)
    return words.export["picture"]
