"""The draft as HTML: each sentence with its citations, its origin and what can be done to it.

Knows nothing of how it is written or kept.
"""

from collections.abc import Mapping, Sequence

from assistant.draft import Section
from assistant.edit import Passage
from assistant.page.markup import tag, text
from assistant.report import SECTIONS, Line, Report
from assistant.rows import measurement_row
from prompts import Phrasebook, page

Rows = Mapping[str, Sequence[str]]  # of the evidence, by the record's name
ORIGINS = {
    "measured": "origin.measured",
    "read from the image": "origin.read",
    "not assessed": "origin.not_assessed",
    "edited by": "origin.edited",
    "stated": "origin.stated",
    "quoted": "origin.quoted",
}


def cites(line: Line, language: str) -> str:
    """Write the citations of a line as links that the page answers by moving the viewer."""
    say = page.load(language)
    return "".join(
        tag(
            "a",
            text(f"[{cite}]"),
            href=f"#cite-{cite}",
            class_="vx-cite",
            data_record=cite,
            aria_label=say["evidence.show"].format(record=cite),
        )
        for cite in line.cites
    )


def growing(lines: Sequence[Line], words: Phrasebook, language: str) -> str:
    """Write the lines that are there so far, while others are being written."""
    passages = [_line(line, language, "") for line in lines]
    marked = tag("p", text(words.marks["draft"]), class_="vx-status vx-draft")
    return _paper(marked, _list(passages), words, is_busy=True)


def document(report: Report, passages: Sequence[Passage], words: Phrasebook, language: str) -> str:
    """Write the whole report under its headings, with a button to change each line.

    ``words`` are those of the report; marks and buttons speak the ``language`` of the page.
    """
    is_draft = report.status == "draft"
    kind = "vx-draft" if is_draft else "vx-signed"
    mark = tag("p", text(_mark(report)), class_=f"vx-status {kind}", role="status")
    told = tag("p", text(report.disclaimer()), class_="vx-disclaimer")
    rows = {record.id: measurement_row(record, words) for record in report.measurements}
    blocks = [_section(section, passages, words, language, rows) for section in SECTIONS]
    return _paper(mark, told + "".join(blocks), words)


def _mark(report: Report) -> str:
    """Say that this is a draft, or who signed it and when, to the minute."""
    at = str(report.provenance.get("signed_at", ""))
    if report.status == "draft" or not at:
        return report.mark()
    return f"{report.mark()} · {at[:16].replace('T', ' ')} UTC"


def _paper(mark: str, inner: str, words: Phrasebook, *, is_busy: bool = False) -> str:
    """Put the mark above what scrolls, so that it is seen whichever line is read."""
    busy = "true" if is_busy else None
    paper = tag("div", inner, class_="vx-report", tabindex="0", aria_busy=busy)
    return tag("div", mark + paper, class_="vx-paper", lang=words.export["tag"])


def _section(
    section: Section, passages: Sequence[Passage], words: Phrasebook, language: str, rows: Rows
) -> str:
    """Write one section; nothing where it holds no line."""
    chosen = [(n, p) for n, p in enumerate(passages) if p.line.section == section]
    if not chosen:
        return ""
    heading = tag("h3", text(words.headings[section]))
    told = [_passage(number, passage, language, rows) for number, passage in chosen]
    return heading + _list(told)


def _list(items: Sequence[str]) -> str:
    return tag("ul", "".join(items), class_="vx-lines")


def _passage(number: int, passage: Passage, language: str, rows: Rows) -> str:
    """Write one line with its marks, its buttons and what speaks against it."""
    say = page.load(language)
    marks, acts = "", ""
    if passage.edited_by is not None:
        told = say["mark.edited"].format(name=passage.edited_by)
        marks += tag("span", text(told), class_="vx-mark vx-human")
    if passage.accepted_by is not None:
        told = say["mark.accepted"].format(name=passage.accepted_by)
        marks += tag("span", text(told), class_="vx-mark vx-accepted")
    for kind, key in (("edit", "line.edit"), ("accept", "line.accept")):
        label = say[f"{key}_number"].format(number=number + 1)
        acts += tag(
            "button",
            text(say[key]),
            type="button",
            class_="vx-act",
            data_act=kind,
            data_line=number,
            aria_label=label,
        )
    marks += tag("span", acts, class_="vx-acts")
    if passage.is_overtaken:
        told = text(say["mark.read_again"])
        marks += tag("div", told, class_="vx-contradiction", role="alert")
    if passage.contradictions:
        reasons = "".join(tag("li", text(why)) for why in passage.contradictions)
        told = text(say["mark.contradicts"]) + tag("ul", reasons)
        cited = [rows[cite] for cite in passage.line.cites if cite in rows]
        if cited:
            told += text(say["mark.measured"]) + tag("ul", "".join(map(_measured, cited)))
        marks += tag("div", told, class_="vx-contradiction", role="alert")
    return _line(passage.line, language, marks, number)


def _measured(row: Sequence[str]) -> str:
    """Write what a record holds, beside a line that says something else."""
    name, structure, _, quantity, value, interval, reliability, _ = row
    return tag("li", text(f"[{name}] {structure}, {quantity}: {value}; {interval}; {reliability}"))


def _line(line: Line, language: str, marks: str, number: int | None = None) -> str:
    say = page.load(language)
    origin = tag(
        "span", text(say[ORIGINS[line.origin]]), class_="vx-mark vx-origin", data_origin=line.origin
    )
    said = tag("span", text(line.text), class_="vx-text")
    return tag(
        "li",
        f"{said} {cites(line, language)} {origin}{marks}",
        class_="vx-line",
        data_line=number,
        tabindex="-1",
    )


def trail(events: Sequence[tuple[str, str, str, str]], language: str) -> str:
    """Write who did what and when, as a table."""
    say = page.load(language)
    names = [say[f"trail.{name}"] for name in ("at", "who", "what", "detail")]
    head = tag("tr", "".join(tag("th", text(name), scope="col") for name in names))
    rows = "".join(tag("tr", "".join(tag("td", text(cell)) for cell in event)) for event in events)
    inner = tag("thead", head) + tag("tbody", rows)
    return tag(
        "div",
        tag("table", inner, class_="vx-trail"),
        class_="vx-scroll",
        tabindex="0",
        role="region",
        aria_label=say["trail.title"],
    )
