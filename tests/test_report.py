"""A report says what its ledger carries, cites it, and is the same bytes every time."""

import json
from dataclasses import FrozenInstanceError, replace
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import prompts
from assistant import exams, writers
from assistant.draft import Draft, Statement
from assistant.finish import finish
from assistant.records import measurement_from_record, measurement_record, measurements_json, schema
from assistant.report import Line, Report, report_bytes, report_from_json
from assistant.verify import verify_report
from assistant.writers import Writer
from assistant.writers.template import phrase_statement
from tests.drafts import template_draft
from tests.ledgers import followup_ledger, plain_ledger, refused_ledger, wide_ledger

GOLDEN = Path(__file__).parent / "golden"
EXAM = exams.load("hippocampus")
LEDGERS = {"plain": plain_ledger, "wide": wide_ledger, "refused": refused_ledger}
PROVENANCE = {"input_sha256": "0" * 64, "model": "unet", "seeds": [1, 2], "writer": "template"}

languages = pytest.mark.parametrize("language", prompts.languages())
kinds = pytest.mark.parametrize("kind", LEDGERS)


@cache
def drafted(kind="plain", language="en"):
    words, ledger = prompts.load(language), LEDGERS[kind]()
    draft = template_draft(ledger, EXAM, words)
    return finish(draft, ledger, EXAM, words, PROVENANCE, ("technique.sample",))


def written(*statements, kind="plain", language="en"):
    """Return the report of a writer that says only these statements."""
    draft = Draft(statements, "rash")
    return finish(draft, LEDGERS[kind](), EXAM, prompts.load(language), PROVENANCE)


def errors(table, name):
    shared = schema("measurements")
    registry = Registry().with_resource(shared["$id"], Resource.from_contents(shared))
    return list(Draft202012Validator(schema(name), registry=registry).iter_errors(table))


@kinds
@languages
def test_a_report_reads_as_the_golden_one(kind, language, request):
    text = drafted(kind, language).markdown()
    golden = GOLDEN / f"report.{kind}.{language}.md"
    if request.config.getoption("--update-golden"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@kinds
@languages
def test_a_drafted_report_keeps_its_schema_and_verifies(kind, language):
    table = json.loads(report_bytes(drafted(kind, language)))
    assert errors(table, "report") == []
    assert verify_report(table) == ()


@kinds
def test_measurements_json_keeps_its_schema(kind):
    table = measurements_json(LEDGERS[kind]().records, PROVENANCE)
    assert errors(json.loads(json.dumps(table)), "measurements") == []


def test_a_key_that_the_schema_does_not_know_is_refused():
    table = json.loads(report_bytes(drafted()))
    table["measurements"][0]["colour"] = "red"
    assert [error.validator for error in errors(table, "report")] == ["additionalProperties"]


@kinds
def test_every_record_is_cited(kind):
    report = drafted(kind)
    cited = {cite for line in report.lines for cite in line.cites}
    assert cited == {record.id for record in report.measurements}


@kinds
def test_a_measurement_survives_the_way_to_json_and_back(kind):
    for record in LEDGERS[kind]().records:
        assert measurement_from_record(json.loads(json.dumps(measurement_record(record)))) == record


def test_a_report_survives_the_way_to_json_and_back():
    report = drafted("wide", "zh")
    assert report_from_json(json.loads(report_bytes(report))) == report


def test_a_record_with_a_missing_key_is_refused():
    record = measurement_record(plain_ledger()["m1"])
    del record["method"]
    with pytest.raises(ValueError, match=r"record m1: the keys \['method'\]"):
        measurement_from_record(record)


def test_equal_input_gives_equal_bytes_apart_from_the_time_stamp():
    first, second = report_bytes(drafted()), report_bytes(drafted(), "2021-03-04T05:06:07Z")
    assert first == report_bytes(drafted())
    assert json.loads(first) | {"created": None} == json.loads(second) | {"created": None}


def test_a_draft_opens_with_its_mark_and_its_disclaimer():
    lines = drafted().markdown().splitlines()
    assert lines[0] == "**DRAFT**"
    assert "not a medical device" in lines[2]


def test_a_signed_report_names_who_signed():
    report = replace(drafted(), status="signed", signed_by="A. Reader")
    assert report.markdown().startswith("**SIGNED by A. Reader**")


@pytest.mark.parametrize(("status", "name"), [("signed", None), ("draft", "A. Reader")])
def test_a_report_is_signed_exactly_when_somebody_signed(status, name):
    with pytest.raises(ValueError, match="signed by somebody"):
        replace(drafted(), status=status, signed_by=name)


def test_a_report_and_its_lines_are_frozen():
    report = drafted()
    with pytest.raises(FrozenInstanceError):
        report.language = "zh"
    with pytest.raises(FrozenInstanceError):
        report.lines[0].text = "other"


@pytest.mark.parametrize("text", ["3 mL", "３", "三点二", "三毫升", "mm³", "½", "০", "Ⅳ", "T12"])
def test_a_line_with_a_number_and_no_citation_is_refused(text):
    with pytest.raises(ValueError, match="cites none"):
        Line("findings", text, (), "stated")


@pytest.mark.parametrize("text", ["T1-weighted", "MNI152", "L4.", "CA1", "与前一致", "进一步"])
def test_a_term_needs_no_citation(text):
    assert Line("findings", text, (), "stated").text == text


def test_a_report_that_cites_an_unknown_record_is_refused():
    line = Line("findings", "The left hippocampus.", ("m9",), "measured")
    with pytest.raises(ValueError, match=r"does not hold: \['m9'\]"):
        Report("hippocampus", "en", (line,), plain_ledger().records, (), {})


def test_a_withheld_record_shows_no_number_in_the_table():
    rows = [line for line in drafted("wide").markdown().splitlines() if line.startswith("| m6")]
    assert not any(character.isdigit() for character in rows[0].removeprefix("| m6"))


def test_the_impression_says_what_is_withheld():
    texts = [line.text for line in drafted("wide").lines if line.section == "impression"]
    assert any("posterior part of the right hippocampus is withheld" in text for text in texts)


def test_where_nothing_was_assessed_nothing_is_said_to_have_been_segmented():
    texts = [line.text for line in drafted("refused").lines]
    assert not any("segmented automatically" in text for text in texts)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("The volume of the {m1.name} is 9 mL.", "written as slots"),
        ("The volume of the {m1.name} is {m4.value}.", "not cited"),
        ("The volume of the {m1.name} is {m1.value}.", "stands with its interval"),
        ("The {m1.name} is atrophic.", "'atrophic'"),
        ("The volume of the {m1.name} is below the reference range.", "below"),
    ],
)
def test_a_statement_that_the_ledger_does_not_carry_is_replaced_by_the_stock_one(text, why):
    report = written(Statement("findings", text, ("m1",), "volume.within"))
    stock = next(line for line in drafted().lines if line.cites == ("m1",))
    assert stock in report.lines
    assert why in " ".join(report.problems[0].why)
    assert report.provenance["replaced"] == 1


def test_a_statement_that_the_ledger_carries_stands_as_it_was_written():
    interval = "({m1.coverage} prediction interval {m1.bounds})"
    text = f"In the {{m1.name}}, the volume is {{m1.value}} {interval}."
    report = written(Statement("findings", text, ("m1",), "volume.within"))
    assert report.problems == ()
    assert any(line.text.startswith("In the left hippocampus, the volume") for line in report.lines)


def test_a_statement_that_cites_nothing_known_is_dropped_and_listed():
    report = written(Statement("findings", "There is no mass.", (), ""))
    assert report.problems[0].text == "There is no mass."
    assert not any("mass" in line.text for line in report.lines)


@languages
@kinds
def test_what_a_writer_leaves_out_is_added(kind, language):
    report = written(kind=kind, language=language)
    assert {cite for line in report.lines for cite in line.cites} == {f"m{i}" for i in range(1, 8)}
    assert verify_report(json.loads(report_bytes(report))) == ()


@languages
def test_a_writer_that_was_not_told_of_changes_has_them_in_comparison_and_impression(language):
    words, ledger = prompts.load(language), followup_ledger(1.06)
    own = phrase_statement("impression.volume.within", ("m1",), words, "impression")
    report = finish(Draft((own,), "silent"), ledger, EXAM, words, PROVENANCE)
    relative = {r.id for r in ledger.records if r.quantity == "relative volume change"}
    impression = [line for line in report.lines if line.section == "impression"]
    assert [line.cites for line in impression] == [("m1",), ("m14",), ("m19",)]
    compared = {
        cite for line in report.lines if line.section == "comparison" for cite in line.cites
    }
    assert relative <= compared
    assert verify_report(json.loads(report_bytes(report))) == ()


def test_an_exam_is_read_and_an_unknown_one_refused():
    assert EXAM.structures[0] == "hippocampus"
    known = "ct-organs, follow-up, hippocampus, ms-lesions, tumour"
    with pytest.raises(ValueError, match=f"unknown exam 'knee'; there are {known}"):
        exams.load("knee")


@pytest.mark.parametrize("change", [{"coverage": 1.0}, {"asymmetry": ("amygdala",)}])
def test_an_exam_that_contradicts_itself_is_refused(change):
    with pytest.raises(ValueError, match="exam hippocampus"):
        replace(EXAM, **change)


@pytest.mark.parametrize("name", writers.available())
def test_a_writer_loads(name):
    assert isinstance(writers.load(name), Writer)


def test_an_unknown_writer_is_refused():
    with pytest.raises(ValueError, match="unknown writer 'poet'; there are server, template"):
        writers.load("poet")
