"""Whatever export has a folder of its own keeps the contract: one report, one mark, no surprise."""

import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

import prompts
from assistant import exports
from assistant.exams import load as load_exam
from assistant.exports.source import Source
from assistant.finish import finish
from assistant.report import Line
from assistant.rules import judge
from segment.errors import ScanError
from tests.drafts import template_draft
from tests.exported import MADE, OF_PIXELS, PAGES, exporter, picture
from tests.ledgers import followup_ledger
from tests.test_report import drafted

HOSTILE = '<img src=x onerror="alert()"> & <b>[link](file:///etc/passwd)'
EXTRAS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
every_export = pytest.mark.parametrize("name", exports.available())
every_text = pytest.mark.parametrize("name", sorted({*exports.available()} - OF_PIXELS))
every_language = pytest.mark.parametrize("language", prompts.languages())


def signed(report):
    return replace(report, status="signed", signed_by="Dr A")


@every_export
def test_an_export_says_what_installs_it(name):
    facts = exports.describe(name)
    assert facts["extra"] in {"", *EXTRAS["project"]["optional-dependencies"]}


@every_export
def test_an_export_can_be_read_back_by_these_tests(name):
    assert name in PAGES


@every_export
def test_a_loaded_export_is_one_and_names_its_files(name):
    export = exporter(name)
    assert isinstance(export, exports.Export)
    assert export.suffix.startswith(".")


def test_no_two_exports_write_the_same_file():
    suffixes = [exporter(name).suffix for name in exports.available()]
    assert len(set(suffixes)) == len(suffixes)


@every_export
@every_language
def test_an_unsigned_report_is_marked_as_a_draft_on_every_page(name, language, tmp_path):
    pictures = [picture(tmp_path, f"hippocampus_{side}") for side in ("left", "right")]
    pages = PAGES[name](exporter(name)(drafted("plain", language), pictures, MADE))
    assert pages
    assert all(prompts.load(language).marks["draft"] in page for page in pages)


@every_export
@every_language
def test_a_signed_report_is_no_draft_and_names_who_signed(name, language):
    pages = PAGES[name](exporter(name)(signed(drafted("plain", language)), [], MADE))
    assert not any(prompts.load(language).marks["draft"] in page for page in pages)
    assert "Dr A" in pages[0]


@pytest.mark.slow
@every_export
@every_language
def test_equal_reports_give_equal_bytes(name, language, tmp_path):
    export, pictures = exporter(name), [picture(tmp_path, "hippocampus_left")]
    first, second = (export(drafted("wide", language), pictures, MADE) for _ in range(2))
    assert first == second


@every_text
@every_language
def test_an_export_carries_every_sentence_about_a_change(name, language):
    ledger, exam, words = followup_ledger(1.06), load_exam("hippocampus"), prompts.load(language)
    report = finish(template_draft(ledger, exam, words), ledger, exam, words, {})
    text = "".join("".join(PAGES[name](exporter(name)(report, [], MADE))).split())
    compared = [line for line in report.lines if line.section == "comparison"]
    assert len(compared) == 16
    for line in compared:
        assert "".join(line.text.split()) in text


@every_text
@every_language
def test_an_export_carries_every_sentence_about_a_criterion(name, language):
    ledger, exam, words = followup_ledger(1.06), load_exam("hippocampus"), prompts.load(language)
    ledger = replace(ledger, judgements=judge(exam.rules, ledger))
    report = finish(template_draft(ledger, exam, words), ledger, exam, words, {})
    text = "".join("".join(PAGES[name](exporter(name)(report, [], MADE))).split())
    told = [line for line in report.lines if line.section == "criteria"]
    assert len(told) == 6
    for line in told:
        assert "".join(line.text.split()) in text


@every_text
def test_markup_in_a_report_is_text(name):
    report = drafted()
    line = Line("findings", HOSTILE, (), "edited by")
    changed = replace(
        report,
        lines=(*report.lines, line),
        provenance={"input": {HOSTILE: HOSTILE}},
        status="signed",
        signed_by=HOSTILE,
    )
    text = "".join("".join(PAGES[name](exporter(name)(changed, [], MADE))).split())
    shown = "".join(HOSTILE.split())
    assert text.replace('\\"', '"').count(shown) >= 4


@every_export
def test_an_export_opens_no_connection(name, monkeypatch, tmp_path):
    export, pictures = exporter(name), [picture(tmp_path, "hippocampus_left")]
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("connected"))
    assert export(drafted(), pictures, MADE)


def test_an_unknown_export_is_refused_by_name():
    with pytest.raises(
        ValueError, match="unknown export 'fax'; there are dicom_pm, dicom_seg, dicom_sr, docx"
    ):
        exports.load("fax")


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("pdf", "weasyprint"),
        ("docx", "docx"),
        ("fhir", "fhir"),
        ("dicom_sr", "highdicom"),
        ("dicom_seg", "highdicom"),
    ],
)
def test_a_missing_package_names_the_extra_that_installs_it(name, package, monkeypatch):
    loaded = [m for m in sys.modules if m.startswith(f"assistant.exports.{name}")]
    for module in loaded:
        monkeypatch.delitem(sys.modules, module)
    for module in [m for m in sys.modules if m.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(exports.UnavailableError, match=r"run pip install 'voxcite\[exports\]'"):
        exports.load(name, Source(Path("scan"), Path("labels")))


@pytest.mark.parametrize(
    "name", [name for name in exports.available() if exports.describe(name)["needs_source"]]
)
def test_an_export_that_needs_the_scan_is_refused_without_it(name):
    with pytest.raises(ScanError, match=r"needs the DICOM series of the report; .*--source"):
        exports.load(name)


def test_naming_the_exports_loads_none_of_their_packages():
    code = "import sys; from assistant import exports; exports.available(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & {"weasyprint", "docx", "fhir", "highdicom", "pydicom"} == set()
