"""What a person does to a kept study is done by the library, kept, and written down."""

import json
import re
from dataclasses import asdict, replace
from typing import get_args

import numpy as np
import pytest

import prompts
from assistant.edit import Edited, EditError, Manuscript, Overridden
from assistant.page import asking, drafting, evidence
from assistant.page.desk import Desk, export_names
from assistant.page.plot import plot
from assistant.page.store import BROWSER, Store
from assistant.pipeline import Assistant
from assistant.report import Origin, report_from_json
from assistant.rows import measurement_row
from assistant.settings import Settings
from assistant.sign import SignError
from assistant.writers.questions import language_of
from prompts import page
from segment import organs
from segment.errors import ScanError
from tests.ledgers import plain_ledger, wide_ledger
from tests.test_page_edit import manuscript, number_of

EVIL = '<img src=x onerror="alert()">'
PLACES = {"left|hippocampus": [-25.0, -20.0, -10.0], "right|hippocampus": [25.0, -20.0, -10.0]}
languages = pytest.mark.parametrize("language", prompts.languages())


@pytest.fixture
def desk(tmp_path):
    store = Store.open(tmp_path / "state")
    kept = store.add("ada", "scan", "hippocampus", "en")
    made = manuscript()
    store.change(
        kept.id,
        state="drafted",
        report=made.original.to_json(kept.created),
        statements=[asdict(statement) for statement in made.statements],
    )
    yield Desk(store, "ada", kept.id)
    store.close()


def test_a_kept_report_is_the_one_that_was_drafted(desk):
    assert desk.report() == report_from_json(json.loads(json.dumps(desk.kept.report)))


def test_an_unfinished_study_has_nothing_to_change(desk):
    desk.store.change(desk.study, report=None)
    with pytest.raises(EditError, match="finished draft"):
        desk.report()


def test_changes_survive_and_stand_in_the_trail(desk):
    line = number_of(desk.manuscript(), "m1")
    desk.edit(line, "Seen: the volume of the {m1.name} is {m1.reading}.", "Dr Test")
    desk.override("m4", 3.5, (3.2, 3.8), "Dr Test")
    again = Desk(desk.store, "ada", desk.study)
    assert "3.50 mL" in again.report().markdown()
    told = [(event.who, event.what) for event in desk.store.events(desk.study)]
    assert told[1:] == [("Dr Test (ada)", "edited"), ("Dr Test (ada)", "overridden")]
    assert desk.store.events(desk.study)[-1].told["record"] == "m4"


def test_a_browser_without_a_login_vouches_for_nobody(desk):
    nobody = BROWSER + "0" * 32
    kept = desk.store.add(nobody, "scan", "hippocampus", "en")
    desk.store.change(kept.id, report=desk.kept.report)
    alone = Desk(desk.store, nobody, kept.id)
    alone.accept(0, "Dr Test")
    alone.sign("Dr Test")
    told = [(event.who, event.what) for event in alone.store.events(kept.id)]
    assert told[1:] == [("Dr Test", "accepted"), ("Dr Test", "signed")]


def test_undo_takes_the_last_change_back_and_the_trail_keeps_both(desk):
    before = desk.report()
    desk.override("m4", 3.5, (3.2, 3.8), "Dr Test")
    desk.undo("Dr Test")
    assert desk.report() == before
    assert [event.what for event in desk.store.events(desk.study)][1:] == ["overridden", "undone"]


def test_a_refused_change_changes_nothing(desk):
    with pytest.raises(EditError):
        desk.override("m7", 3.5, (3.2, 3.8), "Dr Test")
    assert desk.kept.changes == ()


def test_the_page_says_who_signed_and_when(desk):
    words, passages = prompts.load("en"), desk.manuscript().passages
    assert " UTC" not in drafting.document(desk.report(), passages, words, "en")
    at = desk.sign("Dr Test").provenance["signed_at"]
    shown = drafting.document(desk.report(), passages, words, "en")
    assert f"SIGNED by Dr Test · {at[:10]} {at[11:16]} UTC" in shown


def test_a_signature_holds_until_something_is_changed(desk):
    desk.sign("Dr Test")
    assert desk.report().status == "signed"
    desk.accept(0, "Dr Other")
    assert desk.report().status == "draft"
    assert desk.store.events(desk.study)[-1].what == "unsigned"


@pytest.mark.parametrize("name", ["json", "markdown"])
def test_an_export_is_a_draft_until_it_is_signed(desk, name):
    mark = prompts.load("en").marks["draft"]
    is_draft = {"json": b'"status": "draft"', "markdown": f"**{mark}**".encode()}[name]
    assert is_draft in desk.export(name)[1]
    desk.sign("Dr Test")
    filename, data = desk.export(name)
    assert is_draft not in data
    assert b"Dr Test" in data
    assert filename == f"report{'.json' if name == 'json' else '.md'}"


def test_a_report_that_an_earlier_version_let_be_signed_is_shown_as_a_draft(desk):
    desk.edit(number_of(desk.manuscript(), "m7"), "The hippocampi are symmetric.", "Dr Test")
    desk.override("m1", 1.4, (1.3, 1.5), "Dr Test")
    at = "2021-03-04T05:06:07+00:00"
    desk.store.change(desk.study, signature={"who": "Dr Test", "at": at})
    assert desk.report().status == "draft"


def test_a_report_with_a_contradiction_is_not_exported(desk):
    line = number_of(desk.manuscript(), "m1")
    desk.edit(line, "The volume of the left hippocampus is 9.90 mL.", "Dr Test")
    with pytest.raises(SignError, match=r"9\.90 mL"):
        desk.export("json")


def test_files_that_need_a_series_are_offered_only_where_there_is_one():
    without, with_one = set(export_names(has_dicom=False)), set(export_names(has_dicom=True))
    assert with_one - without == {"dicom_sr", "dicom_seg", "dicom_pm"}


@pytest.mark.parametrize(
    ("question", "language"),
    [("How large?", "en"), ("有多大？", "zh"), ("T1 海马?", "zh"), ("", "en")],
)
def test_the_language_of_a_question_is_that_of_its_letters(question, language):
    assert language_of(question) == language


def assistant_of(exam, language):
    return Assistant.from_settings(Settings(writer="template", exam=exam, language=language))


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("What is the volume of the left hippocampus?", "left hippocampus"),
        ("左侧海马的体积是多少？", "左侧海马"),
    ],
)
def test_a_question_is_answered_in_its_language_and_kept(desk, question, name):
    *_, lines = asking.answering(desk, question, assistant_of)
    assert any(name in line.text and "m1" in line.cites for line in lines)
    asked, answered = asking.history(desk)
    assert asked["role"] == "user"
    assert "](#cite-m1)" in answered["content"]
    assert desk.store.events(desk.study)[-1].what == "asked"


@languages
def test_every_question_that_is_suggested_is_understood(desk, language):
    words = prompts.load(language)
    for question in asking.suggestions(desk.report().measurements, words):
        *_, lines = asking.answering(desk, question, assistant_of)
        unclear = {words.phrases[f"answer.unclear.{kind}"] for kind in "abcd"}
        assert lines
        assert not unclear & {line.text for line in lines}


def test_a_question_that_is_markup_is_shown_as_text(desk):
    for _ in asking.answering(desk, f"![x](http://evil.example) {EVIL}", assistant_of):
        pass
    shown = asking.history(desk)[0]["content"]
    assert "![x](" not in shown
    assert not shown.replace("\\<", "").count("<")


@languages
def test_the_evidence_holds_every_record_with_its_place(language):
    words = prompts.load(language)
    shown = evidence.table(plain_ledger().records, words, PLACES)
    assert [f'id="record-m{n}"' in shown for n in range(1, 8)] == [True] * 7
    assert 'data-mm="-25.00,-20.00,-10.00"' in shown
    assert "3.21 mL" in shown
    assert "3214 " in shown  # voxels of the arithmetic


@languages
def test_a_withheld_record_shows_its_reason_and_no_plot(language):
    words = prompts.load(language)
    record = wide_ledger().records[5]
    assert plot(record, words) == ""
    shown = evidence.table([record], words, {})
    assert words.reasons[record.reason] in shown
    assert 'colspan="2"' in shown  # the reason has the room of the interval that is not there


def test_a_plot_places_the_value_between_the_ends_of_its_interval():
    shown = plot(plain_ledger().records[0], prompts.load("en"))
    numbers = {
        name: float(shown.split(f'{name}="')[1].split('"')[0]) for name in ("x1", "x2", "cx")
    }
    assert numbers["x1"] < numbers["cx"] < numbers["x2"]


def test_a_plot_shows_how_the_cases_of_the_reference_lie():
    words = prompts.load("en")
    volume, index = plain_ledger().records[0], plain_ledger().records[6]
    percentiles = organs.load("hippocampus").structure("hippocampus").volume_percentiles_ml
    reference = replace(volume.reference, lower=percentiles[0], upper=percentiles[-1])
    known = replace(volume, reference=reference)
    drawn = re.search(r'class="vx-spread" d="([^"]+)"', plot(known, words))[1]
    steps = [float(pair.split()[1]) for pair in drawn.rstrip("Z").split("L")[1:-1:2]]
    widths = np.diff(percentiles)
    assert np.argsort(steps).tolist() == np.argsort(widths).tolist()  # dense is high, y is down
    other = replace(volume, reference=replace(reference, upper=percentiles[-1] + 0.1))
    assert all("vx-spread" not in plot(record, words) for record in (other, index))


def test_a_changed_record_shows_what_was_measured():
    made = manuscript()
    changed = made.with_change(Overridden("m1", 3.9, 3.6, 4.2, "Dr", "2021-03-04T05:06:07+00:00"))
    words = prompts.load("en")
    shown = evidence.of_report(changed.report, words, {}, made.original.measurements)
    assert "Measured: 3.21 mL" in shown
    assert "by hand" in shown


def test_what_was_judged_has_the_room_of_an_interval_and_of_no_more():
    words, judged = prompts.load("en"), [["c1", "rule", "left", "loss", "met", "–", "doi", "2 mm"]]
    shown = evidence.table(plain_ledger().records, words, {}, read=judged)
    row = shown[shown.index('id="record-c1"') :].partition("</tr>")[0]
    assert row.count("<td") + row.count("<th") == evidence.COLUMNS - 1
    assert '<td colspan="2">met</td><td>doi</td><td>2 mm</td>' in row


@languages
def test_the_draft_shows_its_mark_its_origins_and_its_citations(language):
    made, words = manuscript(language=language), prompts.load(language)
    shown = drafting.document(made.report, made.passages, words, language)
    assert words.marks["draft"] in shown
    assert shown.count('data-act="edit"') == len(made.passages)
    assert 'href="#cite-m1"' in shown


@languages
def test_a_number_by_hand_is_shown_beside_the_measurement_that_it_contradicts(language):
    made, words = manuscript(language=language), prompts.load(language)
    line = next(n for n, p in enumerate(made.passages) if p.line.cites == ("m1",))
    edited = made.with_change(Edited(line, "{m1.name}: 9.99 mL.", "Ada", "now"))
    shown = drafting.document(edited.report, edited.passages, words, language)
    box = shown[shown.index('class="vx-contradiction"') :].partition("</div>")[0]
    assert "9.99 mL" in box
    assert page.load(language)["mark.measured"] in box
    _, name, _, quantity, value, interval, _, _ = measurement_row(
        made.report.measurements[0], words
    )
    assert f"[m1] {name}, {quantity}: {value}; {interval}" in box


def test_an_edited_sentence_with_markup_is_shown_as_text():
    made = manuscript()
    edited = Manuscript(made.original, made.statements).with_change(Edited(0, EVIL, EVIL, "now"))
    shown = drafting.document(edited.report, edited.passages, prompts.load("en"), "en")
    assert "<img" not in shown
    assert "&lt;img" in shown


def test_the_trail_shows_a_name_with_markup_as_text():
    assert "<img" not in drafting.trail([("now", EVIL, "edited", EVIL)], "en")


@languages
def test_every_origin_of_a_line_has_its_words(language):
    assert drafting.ORIGINS.keys() == set(get_args(Origin))
    assert all(page.load(language)[key] for key in drafting.ORIGINS.values())


@pytest.mark.parametrize("name", ["dicom_sr", "dicom_seg"])
def test_a_file_that_needs_a_series_is_refused_without_an_option_of_the_terminal(desk, name):
    with pytest.raises(ScanError, match=r"^expected a study that came as DICOM") as refused:
        desk.export(name)
    assert "--" not in str(refused.value)


def test_a_line_that_is_not_there_is_not_taken_out(desk):
    with pytest.raises(EditError, match="expected a line from 1 to"):
        desk.remove(1000, "Dr Test")
