"""Slots stand for fields of records as single tokens, there and back; foreign ones are refused."""

from dataclasses import replace

import pytest

import prompts
from assistant import exams
from assistant.draft import Statement
from assistant.ledger import Ledger
from assistant.writers.vlm.slots import (
    FIRST,
    MOST_RECORDS,
    SECTION_TOKEN,
    SlotTable,
    SlotTokenError,
    fields_of,
    parse_answer,
    parse_target,
)
from segment.measurement import Reason, Reliability
from tests.ledgers import (
    followup_ledger,
    plain_ledger,
    refused_ledger,
    volume,
    wide_ledger,
    withheld,
)

EN, EXAM = prompts.load("en"), exams.load("hippocampus")
PLAIN, WIDE, REFUSED = plain_ledger(), wide_ledger(), refused_ledger()
READING, INTERVAL, NORM = (f"<unused{FIRST + field}>" for field in range(3))
REPORT = f"Volume:{READING}.\n{SECTION_TOKEN}\nVolume of it:{READING}, large."


def many_records(count):
    records = [volume(f"m{n}", "hippocampus", "left", 3.0, 2.8, 3.2) for n in range(count)]
    return Ledger(tuple(records))


def test_a_token_is_numbered_by_its_record_and_its_field():
    table = SlotTable.of(PLAIN)
    assert table.token("m1", "reading") == "<unused1000>"
    assert table.token("m3", "norm") == "<unused1010>"
    assert SlotTable.of(WIDE).token("m6", "reason") == "<unused1023>"


@pytest.mark.parametrize("ledger", [PLAIN, WIDE, REFUSED])
def test_every_token_stands_for_the_field_that_it_was_made_of(ledger):
    table = SlotTable.of(ledger)
    pairs = [(record, field) for record in table.records for field in fields_of(record)]
    assert [table.field(token) for token in table.tokens()] == pairs


def test_a_record_has_the_slots_that_its_reliability_allows():
    record = PLAIN["m1"]
    assert fields_of(record) == ("reading", "interval", "norm")
    assert fields_of(replace(record, reference=None)) == ("reading", "interval")
    assert fields_of(withheld(record, Reason.TRUNCATED)) == ("reason",)
    never = withheld(record, Reason.OUTSIDE_FIELD, Reliability.NOT_ASSESSED)
    assert fields_of(never) == ("reason",)


@pytest.mark.parametrize(
    "token", ["<unused999>", "<unused1003>", "<unused1028>", "<unused1064>", SECTION_TOKEN, "m1"]
)
def test_a_token_that_no_record_has_is_foreign(token):
    with pytest.raises(SlotTokenError, match="foreign"):
        SlotTable.of(PLAIN).field(token)


@pytest.mark.parametrize(("record_id", "field"), [("m1", "reason"), ("m9", "reading"), ("m1", "n")])
def test_a_field_that_a_record_does_not_have_has_no_token(record_id, field):
    with pytest.raises(SlotTokenError, match="no token"):
        SlotTable.of(PLAIN).token(record_id, field)


def test_the_records_of_a_comparison_have_no_slots_and_are_named():
    table = SlotTable.of(followup_ledger(1.06))
    assert [record.id for record in table.records] == [f"m{n}" for n in range(1, 8)]
    assert table.left_out == tuple(f"m{n}" for n in range(8, 24))


def test_records_past_the_sixteenth_are_left_out_and_named():
    table = SlotTable.of(many_records(MOST_RECORDS + 2))
    assert len(table.records) == MOST_RECORDS
    assert table.left_out == ("m16", "m17")
    assert SlotTable.of(many_records(MOST_RECORDS)).left_out == ()


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("The volume is {m1.reading}, large.", f"The volume is{READING}, large."),
        ("({m1.interval})", f"({INTERVAL})"),
        (
            "体积{m1.reading}，在参考范围内（{m1.norm}）。",
            f"体积{READING}，在参考范围内（{NORM}）。",
        ),
        ("Volume: {m1.reading}.", f"Volume:{READING}."),
    ],
)
def test_a_statement_is_encoded_and_decoded_without_loss(text, encoded):
    table = SlotTable.of(PLAIN)
    assert table.encode(Statement("findings", text, ("m1",), "")) == encoded
    assert table.decode(encoded) == (text, ("m1",))


def test_a_withheld_group_has_a_token_for_each_record_and_one_text_slot():
    table = SlotTable.of(REFUSED)
    text, cites = "Not assessed: {m1.reason}.", ("m1", "m2", "m3")
    encoded = table.encode(Statement("findings", text, cites, ""))
    assert encoded == "Not assessed:<unused1003><unused1007><unused1011>."
    assert table.decode(encoded) == (text, cites)


@pytest.mark.parametrize(
    "line",
    [
        f"{READING} and <unused1004>.",  # two records that are not withheld
        "<unused1003><unused1015>",  # two that are not withheld together
        "<unused1003> or <unused1007>",  # together, but apart
        "<unused1007><unused1003>",  # in another order
        "<unused1003><unused1007><unused1003>",
    ],
)
def test_a_line_with_slots_of_several_records_is_refused(line):
    ledger = PLAIN if READING in line else REFUSED
    with pytest.raises(SlotTokenError):
        SlotTable.of(ledger).decode(line)


def test_what_the_findings_must_hold_is_each_reading_and_each_reason():
    required = SlotTable.of(WIDE).required()
    assert required[0] == READING
    assert required[5] == "<unused1023>"
    assert len(required) == len(WIDE.records)


def test_a_report_is_parsed_into_findings_and_impression():
    first, second = parse_target(REPORT, PLAIN, EXAM, EN)
    assert (first.section, second.section) == ("findings", "impression")
    assert first.text == "Volume: {m1.reading}."
    assert first.stock == "volume.within"
    assert second.stock == "impression.volume.within"


@pytest.mark.parametrize(
    "text",
    [
        f"Volume:{READING}.",
        f"{REPORT}\n{SECTION_TOKEN}\nx",
        REPORT.replace("\n", "\n\n", 1),
        f" {REPORT}",
        f"{REPORT}\n",
        REPORT.replace(READING, "<unused1003>", 1),
        REPORT.replace(READING, "<unused2001>", 1),
    ],
)
def test_a_text_that_is_no_report_is_refused(text):
    with pytest.raises(SlotTokenError):
        parse_target(text, PLAIN, EXAM, EN)


def test_a_fixed_sentence_is_parsed_with_its_key_and_any_other_without():
    text = f"{EN.phrases['answer.prior.a']}\nNothing was found."
    fixed, other = parse_answer(text, PLAIN, EXAM, EN)
    assert (fixed.stock, fixed.cites) == ("answer.prior.a", ())
    assert (other.stock, other.cites) == ("", ())
