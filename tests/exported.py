"""Reads exported files back with programs that did not write them: pdftotext, python-docx, ..."""

import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

import prompts
from assistant import exports
from assistant.exports.source import Source
from tests.sources import Fitted

MADE = "2021-03-04T05:06:07+00:00"
HAN = "fc-list :lang=zh family"


def exporter(name):
    """Return an export, or skip with what this machine lacks for it or for reading it back."""
    try:
        export = exports.load(name, Source(Path("scan"), Path("labels")))
    except (exports.UnavailableError, Warning) as missing:
        pytest.skip(str(missing))
    if name == "pdf":
        for program in ("pdftotext", "pdfinfo", "pdffonts", "fc-list"):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")
        if not subprocess.run(HAN.split(), capture_output=True, check=True).stdout.strip():
            pytest.skip("no font with Chinese glyphs is installed")
    needs_source = exports.describe(name)["needs_source"]
    return Fitted(name, export.suffix) if needs_source else export


def poppler(program, data, *options):
    """Run one of poppler's programs on a PDF."""
    tail = ["-"] if program == "pdftotext" else []
    command = [program, *options, "-", *tail]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode()


def picture(folder, name):
    """Write a small picture as a draft does."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"overlay_{name}.png"
    Image.new("RGB", (60, 40), (30, 90, 60)).save(path)
    return path


def pdf_pages(data):
    """Return the text of each page, cell after cell."""
    return poppler("pdftotext", data, "-raw").split("\f")[:-1]


def docx_pages(data):
    """Return the whole text as one page, since its header stands on every page."""
    import docx

    document = docx.Document(io.BytesIO(data))
    header = [p.text for section in document.sections for p in section.header.paragraphs]
    body = [p.text for p in document.paragraphs]
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return ["\n".join([*header, *body, *cells])]


def markdown_pages(data):
    """Return the text as it is shown, without the backslashes."""
    return [re.sub(r"\\([\\`*<>\[\]&|])", r"\1", data.decode())]


def json_pages(data):
    """Return every text, and the mark of the status in words."""
    table = json.loads(data)
    mark = prompts.load(table["language"]).marks["draft"] if table["status"] == "draft" else ""
    return [f"{mark} {table['signed_by']} {json.dumps(table, ensure_ascii=False)}"]


def fhir_pages(data):
    """Return the text of the report's narrative, and of the provenance's."""
    found = [resource["text"]["div"] for resource in resources(data) if "text" in resource]
    texts = [re.sub("<[^>]*>", "", div) for div in found]
    plain = "\n".join(texts).replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
    return [plain.replace("&#x27;", "'").replace("&amp;", "&")]


def resources(data):
    """Return the resources of a bundle that the R4 models accept."""
    from fhir.resources.R4B.bundle import Bundle

    Bundle.model_validate_json(data)
    return [entry["resource"] for entry in json.loads(data)["entry"]]


def sr_pages(data):
    """Return every text of the tree, and the name of who verified it, as one page."""
    instance = instance_of(data)
    texts = [item.TextValue for item in items_of(instance) if item.ValueType == "TEXT"]
    return ["\n".join([instance.SeriesDescription, *texts])]


def seg_pages(data):
    """Return what a viewer shows of a segmentation in words: it holds no sentence of the report."""
    instance = instance_of(data)
    return [instance.SeriesDescription, instance.ContentDescription, instance.ImageComments]


def instance_of(data):
    """Read a DICOM file."""
    import pydicom

    return pydicom.dcmread(io.BytesIO(data))


def items_of(item):
    """List the content items below one, from the top."""
    for child in item.get("ContentSequence", ()):
        yield child
        yield from items_of(child)


OF_PIXELS = {"dicom_seg", "dicom_pm"}  # they hold none of the report's sentences
PAGES = {
    "dicom_pm": seg_pages,
    "dicom_seg": seg_pages,
    "dicom_sr": sr_pages,
    "pdf": pdf_pages,
    "docx": docx_pages,
    "markdown": markdown_pages,
    "json": json_pages,
    "fhir": fhir_pages,
}
