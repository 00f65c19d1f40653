"""The report's words as text items, after its measurements; TID 1500 is extensible.

Knows nothing of numbers: what a sentence says of one was checked before.
"""

from collections.abc import Iterator, Sequence

from highdicom.sr import (
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.codedict import codes

from assistant.exports.dicom.codes import own
from assistant.exports.sheet import Sheet
from assistant.report import SECTIONS, Report, said

CONTAINS = RelationshipTypeValues.CONTAINS
COMMENT = CodedConcept.from_code(codes.DCM.Comment)
# PS3.16 CID 7001 and 7002: a heading and what stands under it.
HEADINGS = {
    "indication": (codes.DCM.IndicationsForProcedure, codes.DCM.Comment),
    "technique": (codes.DCM.CurrentProcedureDescriptions, codes.DCM.ProcedureDescription),
    "comparison": (codes.DCM.PreviousFindings, codes.DCM.PreviousFinding),
    "findings": (codes.DCM.Findings, codes.DCM.Finding),
    "impression": (codes.DCM.Impressions, codes.DCM.Impression),
}


def narrative(report: Report, shown: Sheet) -> Iterator[ContentItem]:
    """Write the mark and the disclaimer, the sections, and what the report was made with."""
    for text in (shown.mark, shown.disclaimer):
        yield TextContentItem(COMMENT, text, CONTAINS)
    for section in SECTIONS:
        lines = [line for line in report.lines if line.section == section]
        marks = ["".join(f" [{cite}]" for cite in line.cites) for line in lines]
        texts = [said(line, shown.words) + mark for line, mark in zip(lines, marks, strict=True)]
        if texts:
            yield _container(*_names(section), texts)
    colon = shown.words.marks["colon"]
    rows = [*_read(report, shown), *(f"{label}{colon}{value}" for label, value in shown.provenance)]
    if rows:
        yield _container(own("provenance"), COMMENT, rows)


def _read(report: Report, shown: Sheet) -> Iterator[str]:
    """Write judgements and cited scores, which are no measurements and have no group, as lines."""
    colon, none = shown.words.marks["colon"], shown.words.marks["none"]
    ids = {*(one.id for one in report.judgements), *(score.id for score in report.scores)}
    for record_id, *cells in shown.rows:
        if record_id in ids:
            yield f"{record_id}{colon}{', '.join(cell for cell in cells if cell != none)}"


def _names(section: str) -> tuple[CodedConcept, CodedConcept]:
    """Name a section and its sentences."""
    if section not in HEADINGS:
        return own(section.replace("_", "-")), COMMENT
    heading, item = HEADINGS[section]
    return CodedConcept.from_code(heading), CodedConcept.from_code(item)


def _container(
    name: CodedConcept, item: CodedConcept, texts: Sequence[str]
) -> ContainerContentItem:
    container = ContainerContentItem(name, is_content_continuous=False, relationship_type=CONTAINS)
    container.ContentSequence = ContentSequence(
        [TextContentItem(item, text, CONTAINS) for text in texts]
    )
    return container
