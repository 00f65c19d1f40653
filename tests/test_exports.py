"""Every number, unit, interval, side and status of a report is in its files as in report.json."""

import io
import json
import random
import re
import zlib
from dataclasses import replace
from decimal import Decimal

import pytest

import prompts
from assistant import exams, exports
from assistant.cli import main
from assistant.edit import Edited, Manuscript
from assistant.exports.sheet import moment, read_png, sheet
from assistant.finish import finish
from assistant.override import Overridden
from assistant.report import Line, report_bytes, report_from_json
from assistant.rows import decimals
from assistant.sign import problems
from segment.errors import ScanError
from tests.drafts import template_draft
from tests.exported import MADE, PAGES, docx_pages, exporter, pdf_pages, picture, poppler, resources
from tests.ledgers import random_ledger
from tests.test_report import drafted

EXAM = exams.load("hippocampus")
SIDES = {
    "en": {"left": "left", "right": "right", "none": "both"},
    "zh": {"left": "左", "right": "右", "none": "双侧"},
}
STATES = {
    "en": {"reportable": "reportable", "not reliable": "not reliable"},
    "zh": {"reportable": "可报告", "not reliable": "不可靠"},
}
STATES["en"]["not assessed"], STATES["zh"]["not assessed"] = "not assessed", "未评估"
SNOMED_SIDES = {"left": "7771000", "right": "24028007", "none": "51440002"}
RECORD = {"system": "urn:voxcite:record"}
NUMBER = r"−?\d+(?:\.\d+)?"
languages = pytest.mark.parametrize("language", prompts.languages())
ABSENT = {"not reliable": "unknown", "not assessed": "not-performed"}


def generated(seed, language):
    """Return a report of a random ledger."""
    words, ledger = prompts.load(language), random_ledger(random.Random(seed))
    draft = template_draft(ledger, EXAM, words)
    return finish(draft, ledger, EXAM, words, {"input_sha256": f"{seed:064x}"})


def bare(text):
    """Return a text without its white space, of which a page has its own."""
    return "".join(text.split())


def numbers_of(record):
    """List the numbers of a record in the order of the table, and how many decimals each has."""
    if record["reason"] is not None:
        return []
    interval, reference = record["interval"], record["reference"]
    digits = decimals(report_interval(record), record["unit"])
    found = [(record["value"], digits), (interval["lower"], digits), (interval["upper"], digits)]
    if interval["coverage"] is not None:
        found.append((interval["coverage"] * 100, 0))
    if reference is not None:
        found += [(reference["lower"], digits), (reference["upper"], digits), (reference["n"], 0)]
    return found


def basis_of(record):
    """Say what the bounds of a record rest on."""
    if record["interval"] is None or record["interval"]["coverage"] is not None:
        return "predicted"
    return "derived" if record["expression"] else "entered"


def report_interval(record):
    from segment.measurement import Interval

    return Interval(**record["interval"])


def agrees(text, value, digits):
    """Tell whether a shown number is a value, rounded to so many decimals."""
    shown = text.replace("−", "-")
    return len(shown.partition(".")[2]) == digits and abs(
        Decimal(shown) - Decimal(value)
    ) <= Decimal(1).scaleb(-digits) / 2 + Decimal("1e-9")


def row_mismatches(row, record, language):
    """List how the text of a row differs from its record."""
    text = row.removeprefix(record["id"])
    shown, expected = re.findall(NUMBER, text), numbers_of(record)
    if len(shown) != len(expected):
        yield f"{record['id']}: {len(shown)} numbers instead of {len(expected)}"
    elif wrong := [s for s, e in zip(shown, expected, strict=True) if not agrees(s, *e)]:
        yield f"{record['id']}: {wrong}"
    units = set(re.findall(r"(?<=\d)(?:mL|%)", text)) - {"%"}
    if units != ({record["unit"]} - {"%"} if expected else set()):
        yield f"{record['id']}: the units {units}"
    reason = record["reason"]
    state = STATES[language][record["reliability"]]
    clause = "" if reason is None else bare(prompts.load(language).reasons[reason])
    if bare(state) not in text or clause not in text:
        yield f"{record['id']}: not {state} {clause}"
    words = prompts.load(language)
    name = bare(words.structure(record["structure"], record["side"]))
    quantity = bare(words.quantities[record["quantity"]])
    if not text.startswith(name + SIDES[language][record["side"]] + quantity):
        yield f"{record['id']}: not {name}, {record['side']}, {quantity}"


def docx_rows(data):
    import docx

    (table,) = docx.Document(io.BytesIO(data)).tables
    return ["".join(bare(cell.text) for cell in row.cells) for row in table.rows[1:]]


def pdf_rows(data):
    """Find the rows of the table; what the page says around them begins with one of the ends."""
    pages = "\n".join(pdf_pages(data))
    starts = [match.start() for match in re.finditer(r"^m\d+ ", pages, re.MULTILINE)]
    rows = [pages[a:b] for a, b in zip(starts, [*starts[1:], len(pages)], strict=True)]
    ends = [text for name in prompts.languages() for text in ends_of_a_table(prompts.load(name))]
    return [bare(re.split("|".join(map(re.escape, ends)), row)[0]) for row in rows]


def ends_of_a_table(words):
    created = words.export["created"].partition("{")[0]
    return words.headings["provenance"], words.marks["draft"], created


def mismatches(name, data, report, rows):
    """List what differs between a file for people and report.json."""
    table = json.loads(report_bytes(report))
    text = "".join(bare(page) for page in PAGES[name](data))
    for line in table["lines"]:
        if bare(line["text"]) not in text:
            yield f"missing: {line['text']}"
    if len(rows) != len(table["measurements"]):
        yield f"{len(rows)} rows"
        return
    for row, record in zip(rows, table["measurements"], strict=True):
        yield from row_mismatches(row, record, report.language)


def fhir_mismatches(data, report):
    """List what differs between the observations and report.json."""
    table = json.loads(report_bytes(report))
    found = [r for r in resources(data) if r["resourceType"] == "Observation"]
    if [o["identifier"][0]["value"] for o in found] != [m["id"] for m in table["measurements"]]:
        yield "other records"
    for resource, record in zip(found, table["measurements"], strict=True):
        if fhir_facts(resource) != expected_facts(record):
            yield f"{record['id']}: {fhir_facts(resource)} is not {expected_facts(record)}"


def fhir_facts(resource):
    """Read an observation's numbers, units, side, status and reason."""
    parts = {c["code"]["coding"][0]["code"]: c for c in resource.get("component", ())}
    quantities = []
    if "valueQuantity" in resource:
        (basis,) = BASES & parts.keys()
        bounds = parts[basis]["valueRange"]
        quantities = [resource["valueQuantity"], bounds["low"], bounds["high"]]
        if basis == "prediction-interval":
            quantities.append(parts["coverage"]["valueQuantity"])
        else:
            assert "coverage" not in parts
        for reference in resource.get("referenceRange", ()):
            quantities += [reference["low"], reference["high"]]
    absent = [c["code"] for c in resource.get("dataAbsentReason", {}).get("coding", ())]
    numbers = [(float(q["value"]), q["unit"], q["code"], q["system"][7:]) for q in quantities]
    site = resource["bodySite"]["coding"][0]["code"]
    return numbers, site, absent, resource["status"]


BASES = {"prediction-interval", "entered-bounds", "derived-bounds"}


def expected_facts(record):
    """List the same of a record in report.json."""
    coverage = ["%"] if basis_of(record) == "predicted" else []
    units = [record["unit"]] * 3 + coverage + [record["unit"]] * 2
    values = numbers_of(record)[: len(units)]
    numbers = [
        (round(value, digits) + 0.0, unit, unit, "unitsofmeasure.org")
        for (value, digits), unit in zip(values, units, strict=False)
    ]
    absent = [] if record["reason"] is None else [ABSENT[record["reliability"]], record["reason"]]
    site = f"{record['code']}:272741003={SNOMED_SIDES[record['side']]}"
    return numbers, site, absent, "preliminary"


def round_trip(name, seeds, language):
    export = exporter(name)
    rows = {"pdf": pdf_rows, "docx": docx_rows}.get(name)
    for seed in seeds:
        report = generated(seed, language)
        data = export(report, [], MADE)
        if rows is None:
            yield from fhir_mismatches(data, report)
        else:
            yield from mismatches(name, data, report, rows(data))


@pytest.mark.parametrize("name", ["pdf", "docx", "fhir"])
@languages
def test_what_a_file_says_is_what_the_report_says(name, language):
    assert list(round_trip(name, range(4), language)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pdf", "docx", "fhir"])
@languages
def test_what_a_file_says_is_what_the_report_says_of_forty_reports(name, language):
    assert list(round_trip(name, range(4, 44), language)) == []


ENTERED = {
    "en": ("Interval or bounds", "entered by hand", "derived from a value entered by hand"),
    "zh": ("区间或上下限", "人工录入", "由人工录入值推算"),
}


@pytest.mark.parametrize("name", ["pdf", "docx", "fhir", "markdown"])
@languages
def test_bounds_that_a_person_stated_are_no_prediction_in_any_file(name, language):
    made = Manuscript(drafted("plain", language))
    change = Overridden("m1", 3.9, 3.6, 4.2, "Dr Test", MADE)
    report = made.with_change(change).report
    data = exporter(name)(report, [], MADE)
    if name == "fhir":
        assert list(fhir_mismatches(data, report)) == []
    elif name != "markdown":
        rows = {"pdf": pdf_rows, "docx": docx_rows}[name](data)
        assert list(mismatches(name, data, report, rows)) == []
    text = "".join(bare(page) for page in PAGES[name](data))
    assert all(bare(words) in text for words in ENTERED[language])
    words = prompts.load(language)
    assert bare(words.columns["interval"]) not in text.partition(bare(ENTERED[language][0]))[2]
    assert bare(words.phrases["technique.interval"]) not in text
    assert bare(words.phrases["technique.bounds"]) in text


WRITTEN = {
    "en": ("The hippocampi differ.", "The hippocampi differ. (edited by Dr Test)"),
    "zh": ("双侧海马不同。", "双侧海马不同。（由 Dr Test 修改）"),
}


@pytest.mark.parametrize("name", ["pdf", "docx", "fhir", "markdown"])
@languages
def test_a_sentence_that_a_person_wrote_is_marked_with_the_name_in_every_file(name, language):
    made = Manuscript(drafted("plain", language))
    lines = [n for n, line in enumerate(made.original.lines) if "m7" in line.cites]
    text, marked = WRITTEN[language]
    for number in (lines[0], lines[-1]):  # a finding and an impression
        made = made.with_change(Edited(number, text, "Dr  Test", MADE))
    data = exporter(name)(made.report, [], MADE)
    shown = "".join(bare(page) for page in PAGES[name](data))
    assert shown.count(bare(marked)) >= 2
    assert shown.count(bare(marked)) == shown.count(bare(text))


def test_the_name_of_who_wrote_a_sentence_stands_in_the_report_and_is_read_back():
    made = Manuscript(drafted("plain", "en"))
    number = next(n for n, line in enumerate(made.original.lines) if "m7" in line.cites)
    report = made.with_change(Edited(number, WRITTEN["en"][0], "Dr Test", MADE)).report
    table = json.loads(report_bytes(report))
    assert [line["by"] for line in table["lines"] if "by" in line] == ["Dr Test"]
    read = report_from_json(table)
    assert (read.lines, problems(read)) == (report.lines, ())
    assert Manuscript(read).passages[number].edited_by == "Dr Test"


@pytest.mark.parametrize("origin", ["measured", "stated"])
def test_a_line_that_no_person_wrote_names_none(origin):
    with pytest.raises(ValueError, match="edited by them"):
        Line("findings", "The hippocampi differ.", ("m7",), origin, "Dr Test")


@pytest.mark.parametrize("name", ["pdf", "docx"])
@pytest.mark.parametrize(
    "change",
    [
        {"value": 3.3},
        {"unit": "%", "denominator": "mean of left and right"},
        {"side": "right"},
        {"interval": {"lower": 2.9, "upper": 3.6, "coverage": 0.9}},
        {"interval": {"lower": 2.9486238532110093, "upper": 3.50326, "coverage": 0.8}},
        {"reliability": "not reliable", "reason": "truncated"},
    ],
)
def test_the_comparison_sees_each_kind_of_difference(name, change):
    report = drafted()
    data = exporter(name)(report, [], MADE)
    rows = {"pdf": pdf_rows, "docx": docx_rows}[name](data)
    record = json.loads(report_bytes(report))["measurements"][0]
    assert list(row_mismatches(rows[0], record, "en")) == []
    assert list(row_mismatches(rows[0], record | change, "en")) != []


@pytest.mark.parametrize("key", ["valueQuantity", "referenceRange", "component", "bodySite"])
def test_the_comparison_of_observations_sees_each_kind_of_difference(key):
    data = exporter("fhir")(drafted(), [], MADE)
    observations = [r for r in resources(data) if r["resourceType"] == "Observation"]
    left, right = observations[0], observations[3]
    record = json.loads(report_bytes(drafted()))["measurements"][0]
    assert fhir_facts(left) == expected_facts(record)
    assert fhir_facts(left | {key: right[key] if key != "referenceRange" else []}) != (
        expected_facts(record)
    )


def test_a_bundle_holds_what_r4_has_and_its_models_know(tmp_path):
    from fhir.resources import R4B

    data = exporter("fhir")(drafted(), [picture(tmp_path, "hippocampus_left")], MADE)
    found = {resource["resourceType"] for resource in resources(data)}
    assert found == {"DiagnosticReport", "Observation", "Media", "Device", "Provenance"}
    assert R4B.__fhir_version__ == "4.3.0"
    (provenance,) = [r for r in resources(data) if r["resourceType"] == "Provenance"]
    targets = {target["reference"] for target in provenance["target"]}
    made = [e for e in json.loads(data)["entry"] if e["resource"]["resourceType"] != "Device"]
    said = ("DiagnosticReport", "Observation")
    assert targets == {e["fullUrl"] for e in made if e["resource"]["resourceType"] in said}


def test_markdown_and_json_are_the_reports_own():
    report = drafted("wide", "zh")
    assert exports.load("markdown")(report, [], MADE).decode() == report.markdown()
    assert report_from_json(json.loads(exports.load("json")(report, [], MADE))) == report


@languages
def test_a_pdf_is_tagged_and_holds_every_font(language, tmp_path):
    data = exporter("pdf")(drafted("wide", language), [picture(tmp_path, "hippocampus_left")], MADE)
    assert re.search(r"Tagged:\s+yes", poppler("pdfinfo", data))
    assert 'pdfuaid:part="1"' in poppler("pdfinfo", data, "-meta")
    fonts = [row.split() for row in poppler("pdffonts", data).splitlines()[2:]]
    assert fonts
    assert all(row[-5:-2] == ["yes", "yes", "yes"] for row in fonts)


@languages
def test_a_pdf_states_its_language_and_its_time(language):
    data = exporter("pdf")(drafted("plain", language), [], MADE)
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL)
    objects = b"".join(zlib.decompressobj().decompress(s) for s in streams if s[:1] == b"x")
    tag = prompts.load(language).export["tag"]
    assert f"/Lang ({tag})".encode() in objects + data
    assert "2021" in poppler("pdfinfo", data)


@languages
def test_a_draft_is_marked_across_every_page_of_a_pdf(language, tmp_path):
    pictures = [picture(tmp_path, f"hippocampus_{side}") for side in ("left", "right")]
    pages = pdf_pages(exporter("pdf")(drafted("wide", language), pictures, MADE))
    mark = prompts.load(language).marks["draft"]
    assert all("\n".join(mark) in page for page in pages)


def test_a_glyph_that_no_font_has_is_refused_and_not_left_out():
    report = drafted()
    line = Line("findings", "\U000f0000", (), "edited by")
    changed = replace(report, lines=(*report.lines, line))
    with pytest.raises(ValueError, match="would not hold the whole report"):
        exporter("pdf")(changed, [], MADE)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.png", "file:///etc/hostname"])
def test_a_pdf_fetches_nothing(address):
    exporter("pdf")
    from weasyprint import HTML

    from assistant.exports.pdf import closed_fetcher, nothing_left_out

    page = f'<html lang="en"><img alt="x" src="{address}"></html>'
    with pytest.raises(ValueError, match="would not hold"), nothing_left_out():
        HTML(string=page, url_fetcher=closed_fetcher()).write_pdf()


@languages
def test_a_document_sets_chinese_in_a_chinese_font(language):
    data = exporter("docx")(drafted("plain", language), [], MADE)
    import docx
    from docx.oxml.ns import qn

    styles = docx.Document(io.BytesIO(data)).styles
    for name in ("Normal", "Title", "Heading 1", "List Bullet"):
        fonts = styles[name].element.rPr.find(qn("w:rFonts"))
        assert fonts.get(qn("w:eastAsia")) == "Microsoft YaHei"


def test_a_document_shows_each_picture_with_its_caption(tmp_path):
    pictures = [picture(tmp_path, f"hippocampus_{side}") for side in ("left", "right")]
    data = exporter("docx")(drafted(), pictures, MADE)
    import docx

    assert len(docx.Document(io.BytesIO(data)).inline_shapes) == 2
    assert "The right hippocampus in three planes" in docx_pages(data)[0]


def test_a_bundle_names_no_patient(tmp_path):
    data = exporter("fhir")(drafted(), [picture(tmp_path, "hippocampus_left")], MADE)
    found = resources(data)
    assert "Patient" not in {resource["resourceType"] for resource in found}
    assert not any("subject" in resource for resource in found)
    assert b"overlay" not in data


@pytest.mark.parametrize(("who", "status"), [(None, "preliminary"), ("Dr A", "final")])
def test_a_bundle_is_final_once_somebody_signed(who, status):
    report = replace(drafted(), status="signed" if who else "draft", signed_by=who)
    found = resources(exporter("fhir")(report, [], MADE))
    states = [
        r["status"] for r in found if r["resourceType"] in ("DiagnosticReport", "Observation")
    ]
    (provenance,) = (r for r in found if r["resourceType"] == "Provenance")
    assert set(states) == {status}
    assert [agent["who"].get("display") for agent in provenance["agent"]][1:] == [who] * bool(who)


def test_every_reference_in_a_bundle_leads_to_one_of_its_resources(tmp_path):
    data = exporter("fhir")(drafted(), [picture(tmp_path, "hippocampus_left")], MADE).decode()
    urls = re.findall(r'"fullUrl":"([^"]+)"', data)
    assert len(set(urls)) == len(urls)
    assert set(re.findall(r'"reference":"([^"]+)"', data)) <= set(urls)


def test_a_number_in_a_bundle_keeps_its_last_zero():
    data = exporter("fhir")(drafted(), [], MADE)
    table = json.loads(data, parse_float=str)
    found = [entry["resource"] for entry in table["entry"]]
    (part,) = [r for r in found if r.get("identifier") == [RECORD | {"value": "m5"}]]
    assert part["component"][1]["valueRange"]["high"]["value"] == "1.80"


def test_a_part_of_an_organ_differs_from_the_whole_in_a_bundle():
    data = exporter("fhir")(drafted(), [], MADE)
    whole, part = [r for r in resources(data) if r["resourceType"] == "Observation"][:2]
    assert whole["bodySite"]["coding"][1] != part["bodySite"]["coding"][1]
    assert part["component"][0]["valueCodeableConcept"]["coding"][0]["code"] == "255549009"


def test_a_reference_in_a_bundle_does_not_pass_for_a_normal_range():
    data = exporter("fhir")(drafted(), [], MADE)
    found = [r for r in resources(data) if r["resourceType"] == "Observation"]
    texts = [r["referenceRange"][0]["type"]["text"] for r in found]
    assert all("not an age norm" in text for text in texts)


def test_a_picture_is_captioned_by_its_structure(tmp_path):
    paths = [picture(tmp_path, "hippocampus_anterior_left"), picture(tmp_path, "elsewhere")]
    captions = [figure.caption for figure in sheet(drafted(), paths, MADE).figures]
    assert captions[0].startswith("The anterior part of the left hippocampus")
    assert captions[1] == "Image that accompanies the report."


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_picture_that_is_none_is_refused(data, tmp_path):
    path = tmp_path / "overlay_x.png"
    path.write_bytes(data)
    with pytest.raises(ScanError, match=r"overlay_x\.png: expected a PNG picture"):
        read_png(path)


@pytest.mark.parametrize("created", ["yesterday", "2021-03-04T05:06:07"])
def test_a_time_without_a_zone_is_refused(created):
    with pytest.raises(ValueError, match="expected the time of a report"):
        moment(created)


def test_hidden_characters_and_lines_do_not_reach_a_page():
    report = drafted()
    line = Line("findings", "a\u202eb\x1b[mc\n# d", (), "edited by")
    shown = sheet(replace(report, lines=(line,)), [], MADE)
    assert shown.sections[0][1][0].text == "ab[mc # d"


@pytest.fixture
def written(tmp_path):
    """Return a folder that holds a report.json and its pictures, as a draft leaves it."""
    (tmp_path / "report.json").write_bytes(report_bytes(drafted(), MADE))
    picture(tmp_path, "hippocampus_left")
    return tmp_path


def stored(folder):
    return report_from_json(json.loads((folder / "report.json").read_bytes()))


def test_the_command_writes_each_format_beside_the_report(written, capsys):
    assert main(["export", str(written / "report.json"), "--to", "markdown,json"]) == 0
    assert capsys.readouterr().out == "wrote report.md\nwrote report.json\n"
    assert (written / "report.md").read_text(encoding="utf-8") == stored(written).markdown()
    assert (written / "report.json").read_bytes() == report_bytes(drafted(), MADE)


@pytest.mark.parametrize("name", ["pdf", "docx", "fhir"])
def test_the_command_takes_the_pictures_beside_the_report(name, written, tmp_path):
    export = exporter(name)
    target = tmp_path / "out"
    assert main(["export", str(written / "report.json"), "--to", name, "-o", str(target)]) == 0
    (path,) = target.iterdir()
    expected = export(stored(written), [written / "overlay_hippocampus_left.png"], MADE)
    assert (path.name, path.read_bytes()) == (f"report{export.suffix}", expected)


def test_a_report_that_does_not_hold_is_not_exported(written, capsys):
    path = written / "report.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace("3.21 mL", "3.41 mL"), encoding="utf-8"
    )
    assert main(["export", str(path), "--to", "markdown"]) == 1
    assert "not exported" in capsys.readouterr().err
    assert not (written / "report.md").exists()


@pytest.mark.parametrize(
    ("content", "to", "said"),
    [
        (None, "fax", "unknown export 'fax'"),
        (None, "", "unknown export ''"),
        ("[", "markdown", "found no readable JSON"),
        ("[" * 100_000, "markdown", "found no readable JSON"),
        ("[1]", "markdown", "JSON that is no table"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_sentence(content, to, said, written, capsys):
    path = written / "report.json"
    path.write_text(content or path.read_text(encoding="utf-8"), encoding="utf-8")
    assert main(["export", str(path), "--to", to]) == 2
    assert said in capsys.readouterr().err


def test_where_one_format_fails_none_is_written(written, capsys):
    exporter("docx")
    (written / "overlay_hippocampus_left.png").write_bytes(b"no picture")
    before = sorted(path.name for path in written.iterdir())
    assert main(["export", str(written / "report.json"), "--to", "markdown,docx"]) == 2
    assert "expected a PNG picture" in capsys.readouterr().err
    assert sorted(path.name for path in written.iterdir()) == before
