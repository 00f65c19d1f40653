"""A person's change is kept, marked, and followed by everything that depends on it."""

import json
from dataclasses import replace

import pytest

import prompts
import prompts.page
from assistant import exams
from assistant.draft import Draft
from assistant.edit import (
    Accepted,
    Edited,
    EditError,
    Manuscript,
    Overridden,
    Removed,
    change_from_record,
    change_record,
)
from assistant.finish import finish
from assistant.page import drafting
from assistant.report import Line, report_bytes, report_from_json
from assistant.score import Score
from assistant.sign import SignError, problems, sign
from assistant.verify import verify_line, verify_report
from assistant.writers import Brief, drain
from assistant.writers.template import Template
from segment.measurement import EARLIER
from tests.ledgers import followup_ledger, plain_ledger, refused_ledger, wide_ledger

AT = "2021-03-04T05:06:07+00:00"
EXAM = exams.load("hippocampus")
languages = pytest.mark.parametrize("language", prompts.languages())


def manuscript(ledger=None, language="en"):
    """A report of the template writer, with the statements behind its lines."""
    ledger = ledger or plain_ledger()
    words = prompts.load(language)
    draft: Draft = drain(Template().write(Brief(ledger, EXAM, words)))
    report = finish(draft, ledger, EXAM, words, {"exam": EXAM.name})
    return Manuscript(report, draft.statements)


def number_of(made, record, section="findings"):
    """Find the line that cites a record."""
    return next(
        n
        for n, passage in enumerate(made.passages)
        if record in passage.line.cites and passage.line.section == section
    )


def overridden(record="m1", value=3.9, lower=3.6, upper=4.2):
    return Overridden(record, value, lower, upper, "Dr Test", AT)


@languages
def test_a_manuscript_without_changes_is_its_report(language):
    made = manuscript(language=language)
    assert made.report == made.original


@languages
def test_every_measured_line_knows_the_slots_it_was_filled_from(language):
    made = manuscript(language=language)
    texts = [p.statement.text for p in made.passages if p.line.section == "findings"]
    assert all("{m" in text for text in texts)


def test_the_slots_are_found_again_in_a_report_that_was_read_back():
    made = manuscript()
    read = report_from_json(json.loads(report_bytes(made.original)))
    assert Manuscript(read).passages == made.passages


def test_an_edited_sentence_keeps_its_slots_and_is_marked_as_a_persons():
    made = manuscript()
    line = number_of(made, "m1")
    text = "On review the volume of the {m1.name} is {m1.reading}."
    changed = made.with_change(Edited(line, text, "Dr Test", AT))
    passage = changed.passages[line]
    assert passage.line.text.startswith("On review the volume of the left hippocampus is 3.21 mL")
    assert (passage.line.origin, passage.edited_by) == ("edited by", "Dr Test")
    assert passage.contradictions == ()
    assert problems(changed.report) == ()


def test_a_number_typed_by_hand_is_kept_and_shown_beside_what_it_contradicts():
    made = manuscript()
    line = number_of(made, "m1")
    text = "The volume of the left hippocampus is 3.90 mL."
    changed = made.with_change(Edited(line, text, "Dr Test", AT))
    passage = changed.passages[line]
    assert passage.line.text == text
    assert any("3.90 mL" in why and "m1" in why for why in passage.contradictions)
    assert changed.report.problems[-1].text == text


@pytest.mark.parametrize("typed", ["3,10 mL", "previously 2,10 mL", "3e0 mL", "1/2", "x2"])
def test_a_number_that_is_typed_oddly_is_kept_and_keeps_a_report_from_being_signed(typed):
    made = manuscript()
    line = number_of(made, "m1")
    text = f"The volume of the {{m1.name}} is {{m1.reading}} ({typed})."
    changed = made.with_change(Edited(line, text, "Dr Test", AT))
    passage = changed.passages[line]
    assert typed in passage.line.text
    assert (passage.edited_by, len(passage.contradictions) > 0) == ("Dr Test", True)
    with pytest.raises(SignError, match="no number that a record holds,"):
        sign(changed.report, "Dr Test", AT)


def test_a_report_with_a_contradiction_is_not_signed():
    made = manuscript()
    text = "The volume of the left hippocampus is 3.90 mL."
    changed = made.with_change(Edited(number_of(made, "m1"), text, "Dr Test", AT))
    with pytest.raises(SignError, match=r"3\.90 mL"):
        sign(changed.report, "Dr Test", AT)


def test_a_number_in_a_line_about_no_record_is_refused():
    made = manuscript()
    line = next(n for n, p in enumerate(made.passages) if not p.line.cites)
    with pytest.raises(EditError, match="cites none"):
        made.with_change(Edited(line, "Slices of 3 mm.", "Dr Test", AT))


@pytest.mark.parametrize(
    "text", ["", "x" * 3000, "a {brace", "the {m99.value}", "the {m1.nothing}", "} {"]
)
def test_a_sentence_that_cannot_be_filled_is_refused(text):
    made = manuscript()
    with pytest.raises(EditError):
        made.with_change(Edited(number_of(made, "m1"), text, "Dr Test", AT))


@pytest.mark.parametrize("line", [-1, 999])
def test_a_line_that_is_not_there_is_refused(line):
    with pytest.raises(EditError, match="expected a line"):
        manuscript().with_change(Edited(line, "text", "Dr Test", AT))


@languages
def test_an_overridden_value_stands_in_every_sentence_about_it(language):
    changed = manuscript(language=language).with_change(overridden())
    about = [p.line.text for p in changed.passages if p.line.cites == ("m1",)]
    assert about
    assert all("3.90 mL" in text for text in about)
    assert "3.21" not in "".join(about)


def test_the_ratio_is_derived_again_from_an_overridden_value():
    made = manuscript()
    changed = made.with_change(overridden())
    records = {record.id: record for record in changed.report.measurements}
    right = records["m4"].value
    assert records["m7"].value == pytest.approx(200 * (3.9 - right) / (3.9 + right))
    low, high = records["m4"].interval.lower, records["m4"].interval.upper
    assert records["m7"].interval.lower == pytest.approx(200 * (3.6 - high) / (3.6 + high))
    assert records["m7"].interval.upper == pytest.approx(200 * (4.2 - low) / (4.2 + low))


@languages
def test_a_report_with_an_overridden_value_holds_when_it_is_checked(language):
    changed = manuscript(language=language).with_change(overridden())
    assert verify_report(json.loads(report_bytes(changed.report))) == ()


@languages
def test_bounds_that_a_person_stated_are_no_prediction_in_any_sentence(language):
    changed = manuscript(language=language).with_change(overridden())
    report, words = changed.report, prompts.load(language)
    records = {record.id: record for record in report.measurements}
    assert (records["m1"].basis, records["m7"].basis) == ("entered", "derived")
    assert records["m4"].basis == "predicted"
    (predicted,) = words.lexicon["interval"]
    about = [line.text for line in report.lines if {"m1", "m7"} & set(line.cites)]
    assert about
    assert not [text for text in about if predicted in text]
    texts = {line.text for line in report.lines}
    assert words.phrases["technique.bounds"] in texts
    assert words.phrases["technique.interval"] not in texts
    undone = {line.text for line in changed.undone().report.lines}
    assert words.phrases["technique.interval"] in undone


WRONGLY = {
    "en": (
        "The volume of the left hippocampus is 3.90 mL (90 % prediction interval 3.60 to 4.20 mL).",
        "The volume of the left hippocampus is 3.90 mL (prediction interval 3.60 to 4.20 mL).",
        "The volume of the left hippocampus is 3.90 mL (derived from a value entered by hand, with"
        " bounds of 3.60 to 4.20 mL).",
    ),
    "zh": (
        "左侧海马体积 3.90 mL（90 % 预测区间 3.60 至 4.20 mL）。",
        "左侧海马体积 3.90 mL（预测区间 3.60 至 4.20 mL）。",
        "左侧海马体积 3.90 mL（由人工录入值推算，上下限 3.60 至 4.20 mL）。",
    ),
}


@languages
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("origin", ["measured", "edited by"])
def test_a_sentence_that_calls_stated_bounds_another_thing_fails(language, number, origin):
    report = manuscript(language=language).with_change(overridden()).report
    records = {record.id: record for record in report.measurements}
    words = prompts.load(language)
    line = Line("findings", WRONGLY[language][number], ("m1",), origin)
    assert verify_line(line, records, words)
    right = next(line for line in report.lines if line.cites == ("m1",))
    assert verify_line(right, records, words) == ()


@languages
def test_a_measured_interval_is_not_called_stated_by_a_person(language):
    changed = manuscript(language=language).with_change(overridden())
    right = next(line for line in changed.report.lines if line.cites == ("m1",))
    records = {r.id: r for r in manuscript(language=language).report.measurements}
    number = prompts.load(language).amount(3.21, "mL", 2)
    text = right.text.replace("3.90 mL", number).replace("3.60", "2.95").replace("4.20", "3.50")
    found = verify_line(replace(right, text=text), records, prompts.load(language))
    assert any("which is predicted" in why for why in found)


@languages
@pytest.mark.parametrize("ledger", [wide_ledger(), refused_ledger()])
def test_a_withheld_record_can_be_measured_by_a_person(language, ledger):
    made = manuscript(ledger, language)
    record = next(r for r in ledger.records if r.reason is not None and r.expression is None)
    changed = made.with_change(overridden(record.id, 1.5, 1.3, 1.7))
    assert verify_report(json.loads(report_bytes(changed.report))) == ()
    assert any(record.id in p.line.cites and "1.50" in p.line.text for p in changed.passages)


def test_lines_about_an_overridden_value_are_marked_as_entered_by_hand():
    changed = manuscript().with_change(overridden())
    origins = {p.line.origin for p in changed.passages if {"m1", "m7"} & set(p.line.cites)}
    assert origins == {"edited by"}
    other = {p.line.origin for p in changed.passages if p.line.cites == ("m4",)}
    assert other == {"measured"}


def test_the_trail_of_an_override_stands_in_the_report():
    changed = manuscript().with_change(overridden())
    (told,) = changed.report.provenance["changed"]
    assert "m1 measured 3.21" in told
    assert "entered 3.9 (3.6 to 4.2) mL by Dr Test" in told


@pytest.mark.parametrize(
    "change",
    [
        overridden("m7"),
        overridden("m99"),
        overridden(value=5.0),
        overridden(lower=-1.0),
        overridden(value=float("nan")),
        overridden(upper=float("inf")),
    ],
)
def test_an_override_that_is_no_measurement_is_refused(change):
    with pytest.raises(EditError):
        manuscript().with_change(change)


@pytest.mark.parametrize(
    "change",
    [
        overridden("m4", 3900.0, 3600.0, 4200.0),
        overridden("m4", 0.0, 0.0, 0.0),
        overridden("m4", 3.9, 3.6, 4200.0),
        overridden("m2", 0.1, 0.0, 0.2),
    ],
)
def test_a_volume_that_the_structure_cannot_have_is_refused_with_the_unit(change):
    with pytest.raises(EditError, match=r"expected .* mL for .*; enter it in mL"):
        manuscript().with_change(change)


@pytest.mark.parametrize("value", [0.7, 8.0])
def test_a_volume_beyond_those_of_the_tracings_may_be_entered(value):
    changed = manuscript().with_change(overridden("m1", value, value - 0.1, value + 0.1))
    assert verify_report(json.loads(report_bytes(changed.report))) == ()


@languages
@pytest.mark.parametrize(
    ("change", "is_said"),
    [
        (overridden("m1", 2.0, 1.9, 2.1), True),
        (overridden("m2", 3.4, 3.3, 3.5), True),
        (overridden("m1", 4.5, 4.4, 4.6), True),
        (overridden("m1", 3.3, 3.0, 3.6), False),
    ],
)
def test_parts_that_no_longer_fit_their_whole_are_said(language, change, is_said):
    made = manuscript(language=language)
    changed = made.with_change(change)
    text = prompts.load(language).phrases["technique.parts"]
    assert (text in [line.text for line in changed.report.lines]) == is_said
    assert problems(changed.report) == ()
    again = changed.with_change(overridden("m1", 3.2, 2.9, 3.9))
    said = [line.text for line in again.report.lines].count(text)
    assert said == (change.record == "m2")


def test_a_withheld_part_may_be_of_any_volume():
    changed = manuscript(wide_ledger()).with_change(overridden("m4", 4.9, 4.8, 5.0))
    text = prompts.load("en").phrases["technique.parts"]
    assert text not in [line.text for line in changed.report.lines]


def test_an_earlier_volume_below_zero_is_refused():
    made = manuscript(followup_ledger(1.06))
    earlier = next(r for r in made.original.measurements if r.quantity == EARLIER)
    with pytest.raises(EditError):
        made.with_change(overridden(earlier.id, 0.8, -1.0, 0.9))


def test_a_volume_that_an_earlier_version_let_be_entered_is_still_shown():
    made = replace(manuscript(), changes=(overridden("m4", 3900.0, 3600.0, 4200.0),))
    assert any("3900" in passage.line.text for passage in made.passages)


def test_an_edited_sentence_follows_a_later_override():
    made = manuscript()
    line = number_of(made, "m1")
    edited = made.with_change(Edited(line, "The {m1.name}: {m1.reading}.", "Dr Test", AT))
    changed = edited.with_change(overridden())
    assert "3.90 mL" in changed.passages[line].line.text
    assert changed.passages[line].edited_by == "Dr Test"


ANEW = "On review the hippocampi differ."
SYMMETRIC = {"en": "The hippocampi are symmetric.", "zh": "双侧海马对称。"}


def overtaken(language="en"):
    """A report in which a value was overridden after a person wrote about a ratio of it."""
    made = manuscript(language=language)
    line = number_of(made, "m7")
    edited = made.with_change(Edited(line, SYMMETRIC[language], "Dr Test", AT))
    return edited.with_change(overridden("m1", 1.4, 1.3, 1.5)), line


@languages
def test_a_persons_sentence_about_an_overridden_value_must_be_read_again(language):
    changed, line = overtaken(language)
    assert changed.passages[line].is_overtaken
    assert changed.report.provenance["read_again"] == [SYMMETRIC[language]]
    with pytest.raises(SignError, match="accept it or edit it"):
        sign(changed.report, "Dr Test", AT)
    page = drafting.document(changed.report, changed.passages, prompts.load(language), language)
    assert prompts.page.load(language)["mark.read_again"] in page


@pytest.mark.parametrize(
    "change", [lambda n: Accepted(n, "Dr Other", AT), lambda n: Edited(n, ANEW, "Dr Other", AT)]
)
def test_a_sentence_that_was_read_again_no_longer_stops_a_signature(change):
    made, line = overtaken()
    changed = made.with_change(change(line))
    assert not changed.passages[line].is_overtaken
    assert "read_again" not in changed.report.provenance
    assert sign(changed.report, "Dr Test", AT).status == "signed"


def test_a_persons_sentence_about_another_value_is_not_to_be_read_again():
    made = manuscript()
    line = number_of(made, "m4")
    edited = made.with_change(Edited(line, "The {m4.name} is full.", "Dr Test", AT))
    changed = edited.with_change(overridden())
    assert not any(passage.is_overtaken for passage in changed.passages)


def test_a_sentence_that_was_accepted_is_read_again_after_a_second_override():
    made, line = overtaken()
    accepted = made.with_change(Accepted(line, "Dr Other", AT))
    changed = accepted.with_change(overridden("m4", 3.3, 3.2, 3.4))
    assert (changed.passages[line].is_overtaken, changed.passages[line].accepted_by) == (True, None)


def test_undoing_an_override_brings_the_measured_value_back():
    made = manuscript()
    assert made.with_change(overridden()).undone().report == made.report


def test_undoing_nothing_is_refused():
    with pytest.raises(EditError, match="undo"):
        manuscript().undone()


def test_an_accepted_line_names_who_accepted_it():
    changed = manuscript().with_change(Accepted(3, "Dr Test", AT))
    assert changed.passages[3].accepted_by == "Dr Test"
    assert changed.report == changed.original


@languages
def test_a_sentence_that_another_one_repeats_can_be_taken_out(language):
    made = manuscript(language=language)
    line = number_of(made, "m7", "impression")
    gone = made.passages[line].line.text
    changed = made.with_change(Removed(line, gone, "Dr Test", AT))
    assert gone not in [each.text for each in changed.report.lines]
    assert len(changed.report.lines) == len(made.report.lines) - 1
    assert changed.report.provenance["changed"] == [f"line {line + 1} removed by Dr Test, {AT}"]
    assert problems(changed.report) == ()
    assert changed.undone().report == made.report


@pytest.mark.parametrize(
    ("record", "section", "why"),
    [("m1", "findings", "no line cites m1"), (None, "technique", "found one that is stated")],
)
def test_what_must_be_told_is_not_taken_out(record, section, why):
    made = manuscript()
    for number, passage in reversed(tuple(enumerate(made.passages))):
        if record in passage.line.cites and passage.line.section == "impression":
            made = made.with_change(Removed(number, passage.line.text, "Dr Test", AT))
    lines = [passage.line for passage in made.passages]
    line = next(
        n
        for n, each in enumerate(lines)
        if each.section == section and record in (None, *each.cites)
    )
    with pytest.raises(EditError, match=why):
        made.with_change(Removed(line, lines[line].text, "Dr Test", AT))


def test_a_later_change_counts_the_lines_that_are_left():
    made = manuscript()
    line = number_of(made, "m7", "impression")
    made = made.with_change(Removed(line, "", "Dr Test", AT))
    edited = number_of(made, "m4", "impression" if line == 0 else "findings")
    made = made.with_change(Edited(edited, "The right one is {m4.value}.", "Dr Test", AT))
    assert made.passages[edited].line.text.startswith("The right one is 3.10 mL")


@pytest.mark.parametrize(
    "change",
    [
        overridden(),
        Edited(1, "text", "a", AT),
        Accepted(2, "a", AT),
        Removed(3, "text", "a", AT),
    ],
)
def test_a_change_is_read_back_as_it_was(change):
    assert change_from_record(json.loads(json.dumps(change_record(change)))) == change


def test_signing_takes_the_mark_of_a_draft_away():
    report = manuscript().report
    signed = sign(report, "Dr Test", AT)
    words = prompts.load("en").marks
    assert report.mark() == words["draft"]
    assert words["draft"] not in signed.markdown()
    assert "Dr Test" in signed.mark()
    assert signed.provenance["signed_at"] == AT
    assert problems(signed) == ()


@pytest.mark.parametrize(
    ("name", "at"), [("", AT), ("  ", AT), ("x" * 200, AT), ("Dr", "2021-03-04T05:06")]
)
def test_signing_without_a_name_or_a_zone_is_refused(name, at):
    with pytest.raises(SignError):
        sign(manuscript().report, name, at)


def test_a_fault_that_was_read_stays_told_and_may_be_worded_anew():
    ledger = replace(plain_ledger(), scores=(Score("s1", "quality.motion", 0.93, "seen", "r"),))
    made = manuscript(ledger)
    told = next(n for n, passage in enumerate(made.passages) if "s1" in passage.line.cites)
    assert "{s1." in made.passages[told].statement.text
    changed = made.with_change(Edited(told, "The patient moved.", "Dr Test", AT))
    assert changed.passages[told].line.text == "The patient moved."
    assert changed.passages[told].contradictions
    assert changed.report.scores == ledger.scores


@languages
def test_a_volume_entered_by_hand_is_followed_by_its_changes(language):
    made = manuscript(followup_ledger(1.06), language).with_change(overridden())
    changed = [r for r in made.report.measurements if r.comparator and r.basis == "derived"]
    assert {record.unit for record in changed} == {"mL", "%", "%/a"}
    assert verify_report(json.loads(report_bytes(made.report))) == ()
