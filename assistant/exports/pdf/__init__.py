"""The report as a page that a department sends: PDF/UA-1 through WeasyPrint.

Nothing is fetched: pictures stand in the page itself, and every other address is refused.
"""

import base64
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from weasyprint import CSS, HTML
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import URLFetcher

from assistant.exports.sheet import Figure, Sentence, Sheet, sheet, unbroken
from assistant.report import Report

VARIANT = "pdf/ua-1"
LONGEST_ON_ONE_LINE = 28  # characters of a cell
ADVICE = "install a font with Chinese and Latin glyphs (Debian: fonts-wqy-microhei)"


@dataclass(frozen=True)
class Pdf:
    """Writes a tagged PDF, marked on every page while nobody signed it."""

    suffix: str = ".pdf"

    def __call__(self, report: Report, pictures: Sequence[Path], created: str) -> bytes:
        """Write the pages; raises ValueError rather than leave out a glyph or a picture."""
        shown = sheet(report, pictures, created)
        fonts = FontConfiguration()
        names = ("page.css", "draft.css") if shown.is_draft else ("page.css",)
        texts = [files(__package__).joinpath(name).read_text(encoding="utf-8") for name in names]
        with nothing_left_out():
            document = HTML(string=html(shown, created), url_fetcher=closed_fetcher())
            style = [CSS(string=text, font_config=fonts) for text in (*texts, _footer(shown))]
            pdf = document.write_pdf(
                stylesheets=style, font_config=fonts, pdf_variant=VARIANT, optimize_images=False
            )
        return bytes(pdf)


def html(shown: Sheet, created: str) -> str:
    """Write the page; all that comes from a report is escaped."""
    words = shown.words
    kind = "draft" if shown.is_draft else "signed"
    parts = [
        f'<!doctype html><html lang="{_text(shown.language)}"><head><meta charset="utf-8">',
        f'<title>{_text(shown.title)}</title><meta name="author" content="voxcite">',
        f'<meta name="dcterms.created" content="{_text(created)}"></head><body class="{kind}">',
        f'<p class="mark">{_text(shown.mark)}</p><h1>{_text(shown.title)}</h1>',
        f'<p class="made">{_text(shown.made)}</p>',
        f'<p class="disclaimer">{_text(shown.disclaimer)}</p>',
    ]
    for heading, sentences in shown.sections:
        parts.append(_section(heading, sentences, words.headings))
    parts += [_table(shown), *_pictures(shown), _provenance(shown), "</body></html>"]
    return "".join(parts)


def _section(heading: str, sentences: Sequence[Sentence], headings: Mapping[str, str]) -> str:
    """Write one section; the impression stands out."""
    kind = ' class="impression"' if heading == headings["impression"] else ""
    items = "".join(
        f'<li>{_text(unbroken(s.text))}<span class="cite">{_text(s.marks)}</span></li>'
        for s in sentences
    )
    return f"<section{kind}><h2>{_text(heading)}</h2><ul>{items}</ul></section>"


def _long(cell: str) -> str:
    """Let a long cell wrap: a table that is wider than its page loses numbers at the edge."""
    return " long" if len(cell) > LONGEST_ON_ONE_LINE else ""


def _table(shown: Sheet) -> str:
    """Write all records, each under the headings of its columns."""
    heading = shown.words.headings["measurements"]
    head = "".join(
        f'<th scope="col" class="c{n}">{_text(column)}</th>'
        for n, column in enumerate(shown.columns)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="c{n}{_long(cell)}">{_text(unbroken(cell))}</td>'
            for n, cell in enumerate(row)
        )
        + "</tr>"
        for row in shown.rows
    )
    note = f'<p class="note">{_text(shown.words.export["cited"])}</p>'
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<section><h2>{_text(heading)}</h2>{note}{table}</section>"


def _pictures(shown: Sheet) -> Iterator[str]:
    """Write the pictures with their captions, if there are any."""
    if shown.figures:
        words = shown.words.export
        yield f'<section class="pictures"><h2>{_text(words["pictures"])}</h2>'
        yield f'<p class="note">{_text(words["legend"])}</p>'
        yield from (_figure(figure) for figure in shown.figures)
        yield "</section>"


def _figure(figure: Figure) -> str:
    """Write one picture, held by the page itself."""
    data = base64.b64encode(figure.png).decode()
    caption = _text(figure.caption)
    image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _provenance(shown: Sheet) -> str:
    """Write what the report was made with, small."""
    colon = shown.words.marks["colon"]
    lines = "".join(
        f"<p>{_text(label)}{_text(colon)}{_text(value)}</p>" for label, value in shown.provenance
    )
    heading = _text(shown.words.headings["provenance"])
    return f'<section class="provenance"><h2>{heading}</h2>{lines}</section>'


def _footer(shown: Sheet) -> str:
    """Number the pages in the report's language."""
    form = shown.words.export["page"].format(page="\0page\0", pages="\0pages\0")
    parts = [
        f"counter({part})" if n % 2 else '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for n, part in enumerate(form.split("\0"))
    ]
    return (
        f"@page {{ @bottom-right {{ content: {' '.join(parts)}; font-size: 8pt; color: #555 }} }}"
    )


def _text(text: str) -> str:
    """Escape a text for HTML, also inside an attribute."""
    return escape(text, quote=True)


def closed_fetcher() -> URLFetcher:
    """Open nothing but what stands in the page itself."""
    return URLFetcher(allowed_protocols={"data"}, allow_redirects=False)


class _Complaints(logging.Handler):
    """Keeps what WeasyPrint complains of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one complaint."""
        self.found.append(record.getMessage())


@contextmanager
def nothing_left_out() -> Iterator[None]:
    """Raise ValueError where WeasyPrint only logs: a glyph no font has, a picture not shown."""
    complaints, logger = _Complaints(), logging.getLogger("weasyprint")
    logger.addHandler(complaints)
    try:
        yield
    finally:
        logger.removeHandler(complaints)
    if complaints.found:
        msg = f"the PDF would not hold the whole report ({complaints.found[0][:200]}); {ADVICE}"
        raise ValueError(msg)
