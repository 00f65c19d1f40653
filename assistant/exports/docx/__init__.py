"""The report as a Word document, to be edited before it is signed: through python-docx.

What is edited there is no longer checked: only report.json can be verified.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import docx
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt, RGBColor

from assistant.exports.sheet import Figure, Sentence, Sheet, moment, sheet, unbroken
from assistant.report import Report

if TYPE_CHECKING:
    from docx.document import Document
    from docx.table import _Cell
    from docx.text.paragraph import Paragraph

LATIN, EAST_ASIAN = "Arial", "Microsoft YaHei"
STYLES = ("Normal", "Title", "Heading 1", "List Bullet", "Caption")
ALARM, INK, MUTED = RGBColor(0xBB, 0, 0), RGBColor(0x22, 0x33, 0x44), RGBColor(0x55, 0x55, 0x55)
WIDTHS_MM = (12, 27, 11, 20, 17, 35, 29, 29)
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # of a zip; equal reports give equal bytes


@dataclass(frozen=True)
class Docx:
    """Writes Office Open XML, marked in the header of every page while nobody signed it."""

    suffix: str = ".docx"

    def __call__(self, report: Report, pictures: Sequence[Path], created: str) -> bytes:
        """Write the document."""
        shown = sheet(report, pictures, created)
        document = docx.Document()
        _set_up(document, shown, created)
        _add_text(document, shown)
        _add_table(document, shown)
        _add_pictures(document, shown)
        _add_provenance(document, shown)
        buffer = io.BytesIO()
        document.save(buffer)
        return _timeless(buffer.getvalue())


def _set_up(document: "Document", shown: Sheet, created: str) -> None:
    """Set page, fonts, language, header, footer and properties."""
    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin = section.right_margin = Mm(15)
    section.top_margin = section.bottom_margin = Mm(18)
    for name in STYLES:
        _set_font(document, name, shown.language)
    document.styles["Normal"].font.size = Pt(10)
    header = section.header.paragraphs[0]
    header.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    _add_mark(header, shown, Pt(14))
    footer = section.footer.paragraphs[0]
    footer.add_run(shown.made + " · ")
    _add_page_numbers(footer, shown.words.export["page"])
    time = moment(created).astimezone(UTC).replace(tzinfo=None)
    properties = document.core_properties
    properties.title, properties.author, properties.comments = shown.title, "voxcite", ""
    properties.language = shown.language
    properties.created = properties.modified = time
    properties.last_modified_by, properties.revision = "voxcite", 1


def _set_font(document: "Document", name: str, language: str) -> None:
    """Give a style a Latin and a Chinese font, and its language."""
    style = document.styles[name]
    style.font.name = LATIN
    if name in ("Title", "Heading 1"):
        style.font.color.rgb = INK
        style.font.size = Pt(18 if name == "Title" else 12)
    properties = style.element.get_or_add_rPr()
    fonts = properties.find(qn("w:rFonts"))
    for attribute in list(fonts.attrib):
        if attribute.endswith("Theme"):
            del fonts.attrib[attribute]
    fonts.set(qn("w:eastAsia"), EAST_ASIAN)
    fonts.set(qn("w:cs"), LATIN)
    tag = OxmlElement("w:lang")
    tag.set(qn("w:val"), language if language.startswith("en") else "en")
    tag.set(qn("w:eastAsia"), language if language.startswith("zh") else "zh-CN")
    for old in properties.findall(qn("w:lang")):
        properties.remove(old)
    properties.append(tag)


def _add_mark(paragraph: "Paragraph", shown: Sheet, size: Pt) -> None:
    """Write the mark, in red while nobody signed."""
    run = paragraph.add_run(shown.mark)
    run.bold, run.font.size = True, size
    if shown.is_draft:
        run.font.color.rgb = ALARM


def _add_page_numbers(paragraph: "Paragraph", form: str) -> None:
    """Number the pages in the report's language, as fields that the program fills."""
    parts = form.format(page="\0PAGE\0", pages="\0NUMPAGES\0").split("\0")
    for n, part in enumerate(parts):
        if n % 2 == 0:
            paragraph.add_run(part)
            continue
        field = OxmlElement("w:fldSimple")
        field.set(qn("w:instr"), part)
        paragraph._p.append(field)


def _add_text(document: "Document", shown: Sheet) -> None:
    """Write title, mark, disclaimer and the sections."""
    _add_mark(document.add_paragraph(), shown, Pt(12))
    document.add_paragraph(shown.title, style="Title")
    document.add_paragraph(shown.disclaimer)
    for heading, sentences in shown.sections:
        document.add_heading(heading, level=1)
        for sentence in sentences:
            _add_sentence(document, sentence)


def _add_sentence(document: "Document", sentence: Sentence) -> None:
    """Write one sentence and its citations."""
    paragraph = document.add_paragraph(unbroken(sentence.text), style="List Bullet")
    run = paragraph.add_run(sentence.marks)
    run.font.size, run.font.color.rgb = Pt(8), MUTED


def _add_table(document: "Document", shown: Sheet) -> None:
    """Write all records under headings that every page of the table repeats."""
    document.add_heading(shown.words.headings["measurements"], level=1)
    document.add_paragraph(shown.words.export["cited"])
    table = document.add_table(rows=0, cols=len(shown.columns), style="Table Grid")
    table.autofit = False
    for number, texts in enumerate((shown.columns, *shown.rows)):
        row = table.add_row()
        for cell, text, width_mm in zip(row.cells, texts, WIDTHS_MM, strict=True):
            cell.width = Mm(width_mm)
            _fill(cell, unbroken(text), is_bold=number == 0)
        properties = row._tr.get_or_add_trPr()
        properties.append(OxmlElement("w:cantSplit"))
        if number == 0:
            properties.append(OxmlElement("w:tblHeader"))


def _fill(cell: "_Cell", text: str, *, is_bold: bool) -> None:
    """Write one cell, small."""
    paragraph = cell.paragraphs[0]
    paragraph.paragraph_format.space_after = Pt(1)
    run = paragraph.add_run(text)
    run.bold, run.font.size = is_bold, Pt(8)


def _add_pictures(document: "Document", shown: Sheet) -> None:
    """Add the pictures with their captions, if there are any."""
    if shown.figures:
        document.add_heading(shown.words.export["pictures"], level=1)
        document.add_paragraph(shown.words.export["legend"])
    for figure in shown.figures:
        _add_picture(document, figure)


def _add_picture(document: "Document", figure: Figure) -> None:
    """Add one picture on the page of its caption, which is also its description."""
    picture = document.add_picture(io.BytesIO(figure.png), width=Mm(130))
    picture._inline.docPr.set("descr", figure.caption)
    document.paragraphs[-1].paragraph_format.keep_with_next = True
    caption = document.add_paragraph(figure.caption, style="Caption")
    caption.runs[0].font.color.rgb = INK


def _add_provenance(document: "Document", shown: Sheet) -> None:
    """Write what the report was made with, small."""
    document.add_heading(shown.words.headings["provenance"], level=1)
    for label, value in shown.provenance:
        paragraph = document.add_paragraph()
        paragraph.paragraph_format.space_after = Pt(0)
        run = paragraph.add_run(label + shown.words.marks["colon"] + value)
        run.font.size, run.font.color.rgb = Pt(7), MUTED


def _timeless(archive: bytes) -> bytes:
    """Write a zip anew without the time at which it was made."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            entry = zipfile.ZipInfo(name, FIRST_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, old.read(name))
    return buffer.getvalue()
