"""What the reader says of the pictures is told with its probability, cited, and bound to it."""

import json
import random
from dataclasses import replace
from functools import cache

import pytest

import prompts
from assistant import exams
from assistant.draft import Draft, Statement
from assistant.finish import finish
from assistant.ledger import Ledger
from assistant.quality import TOLD_FROM, quality_statements, told
from assistant.readers.siglip.facts import ARTEFACTS
from assistant.render import SlotError, render
from assistant.report import Line, report_bytes, report_from_json, report_rows
from assistant.score import UNCALIBRATED, Score, percent
from assistant.verify import scores as verified
from assistant.verify import verify_line, verify_report
from tests.exported import MADE, PAGES, exporter
from tests.ledgers import plain_ledger
from tests.mutations import Case
from tests.score_mutations import SCORE_MUTATIONS
from tests.scores import FAULTS, faulty, quality_lines, scores_of
from tests.test_report import errors

EN, ZH = prompts.load("en"), prompts.load("zh")
PLAIN = {record.id: record for record in plain_ledger().records}
MOVED = faulty(motion=0.93)
SAID = "The pictures show signs of motion (probability 93 %, read from the image)."
CAUGHT = 0.995

languages = pytest.mark.parametrize("language", prompts.languages())
amounts = pytest.mark.parametrize("amount", [40, pytest.param(1000, marks=pytest.mark.slow)])


def problems(text=SAID, cites=("s5",), scores=MOVED, origin="read from the image", words=EN):
    return verify_line(Line("technique", text, cites, origin), PLAIN, words, scores)


@cache
def plain_report(language):
    """Return a report of stock sentences and no scores."""
    words = prompts.load(language)
    return finish(Draft((), "nobody"), plain_ledger(), exams.load("hippocampus"), words, {})


def report_of(scores, language="en"):
    report = plain_report(language)
    lines = (*quality_lines(scores, language), *report.lines)
    return replace(report, lines=lines, scores=scores)


def test_a_fault_is_told_in_one_sentence_that_cites_its_score():
    assert [(line.text, line.cites) for line in quality_lines(MOVED)] == [(SAID, ("s5",))]


def test_a_fault_is_told_in_chinese():
    (line,) = quality_lines(MOVED, "zh")
    assert line.text == "图像可见运动伪影征象（概率 93 %，自图像读取）。"


@languages
def test_every_fault_of_the_shipped_reader_has_a_sentence_and_a_name(language):
    words = prompts.load(language)
    assert set(words.faults) == set(words.lexicon["faults"]) == set(ARTEFACTS) == set(FAULTS)
    lines = quality_lines(faulty(**dict.fromkeys(FAULTS, 0.9)), language)
    assert [line.cites for line in lines] == [(f"s{n}",) for n in range(5, 10)]


@pytest.mark.parametrize(("p", "is_told"), [(TOLD_FROM, True), (TOLD_FROM - 1e-6, False)])
def test_a_fault_is_told_from_its_threshold_on(p, is_told):
    assert bool(told(faulty(noise=p))) == is_told


def test_verifier_and_stock_sentences_tell_from_the_same_threshold():
    assert verified.TOLD_FROM == TOLD_FROM


def test_an_uncalibrated_score_is_not_told():
    assert told(faulty(UNCALIBRATED, motion=0.99)) == ()


def test_what_a_picture_shows_is_no_fault():
    assert told(scores_of({"kind.mr_t1": 0.99, "plane.axial": 0.99})) == ()


def test_where_no_fault_was_read_nothing_is_said():
    assert quality_statements(Ledger((), faulty()), EN) == ()


def test_what_is_told_has_the_keys_of_a_prompt():
    assert [score.value for score in told(faulty(low_resolution=0.9))] == ["low_resolution"]


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.93, "93"),
        (0.994, "99"),
        (0.996, ">99"),
        (1.0, ">99"),
        (0.006, "1"),
        (0.004, "<1"),
        (0.0, "<1"),
    ],
)
def test_a_probability_is_a_whole_percentage_and_never_certain(p, text):
    assert percent(p) == text


@pytest.mark.parametrize("p", [0.80, 0.845, 0.855, 0.985, 0.994999, 0.995, 0.995001, 0.9999, 1.0])
@languages
def test_the_verifier_reads_every_probability_as_it_is_written(p, language):
    scores = faulty(motion=p)
    (line,) = quality_lines(scores, language)
    assert verify_line(line, PLAIN, prompts.load(language), scores) == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{s5.value}", "unknown"),
        ("{s9.probability}", "not cited"),
        ("{m1.probability}", "not cited"),
    ],
)
def test_a_slot_that_no_score_fills_is_refused(text, why):
    ledger = Ledger(plain_ledger().records, MOVED)
    with pytest.raises(SlotError, match=why):
        render(Statement("technique", text, ("s5",), ""), ledger, EN)


def test_an_uncalibrated_score_has_no_probability_to_be_written():
    ledger = Ledger((), faulty(UNCALIBRATED))
    with pytest.raises(SlotError, match="s5 is not calibrated"):
        render(Statement("technique", "{s5.probability}", ("s5",), ""), ledger, EN)


def test_a_right_sentence_has_no_problem():
    assert problems() == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("93 %", "92 %"),
        ("93 %", "93"),
        ("93 %", "93.0 %"),
        ("93 %", "0.93"),
        ("93 %", ">93 %"),
        ("93 %", ">99 %"),
        ("93 %", "<1 %"),
        ("93 %", "ninety-three percent"),
        ("93 %", "90 to 93 %"),
        ("93 %", "93 % to 95 %"),
        ("93 %", "9３ %"),
        ("motion", "noise"),
        ("motion", "motion and noise"),
        ("motion", "severe motion"),
        ("motion", "heart disease"),
        ("signs of", "no signs of"),
        ("show signs", "do not show signs"),
        ("probability 93 %, ", ""),
        ("probability 93 %", "93 %"),
        (", read from the image", ""),
        ("read from the image", "measured"),
        (".", ". There is no noise."),
        (".", ". The left hippocampus is small."),
        ("The pictures", "All pictures"),
    ],
)
def test_a_wrong_word_or_number_about_a_score_is_a_problem(old, new):
    assert old in SAID
    assert problems(SAID.replace(old, new, 1))


@pytest.mark.parametrize(
    ("cites", "why"),
    [
        (("s6",), "not what the line cites"),
        (("m1",), "bound to nothing"),
        (("s5", "s6"), "s6 and does not name"),
        (("s5", "m1"), "measurements and scores together"),
        (("s5", "s5"), "twice"),
        (("s99",), "unknown"),
    ],
)
def test_a_wrong_citation_of_a_fault_is_a_problem(cites, why):
    assert why in " ".join(problems(cites=cites))


@pytest.mark.parametrize("origin", ["measured", "stated", "not assessed"])
def test_what_was_read_is_called_read(origin):
    assert "origin" in " ".join(problems(origin=origin))


@pytest.mark.parametrize("scores", [faulty(motion=0.79), faulty(UNCALIBRATED, motion=0.93)])
def test_a_fault_that_is_not_told_may_not_be_stated(scores):
    text = SAID.replace("93", percent(scores[4].probability))
    assert "no calibrated probability" in " ".join(problems(text, scores=scores))


@pytest.mark.parametrize(
    "text",
    [
        "No motion is shown.",
        "The pictures show no signs of motion (probability 4 %, read from the image).",
        "The pictures are of good quality (read from the image).",
        "The pictures show signs of motion (probability 4 %, read from the image).",
    ],
)
def test_that_a_fault_is_absent_is_never_accepted(text):
    assert problems(text, scores=faulty(motion=0.04))


@pytest.mark.parametrize("text", ["There is no motion.", "The pictures show signs of motion."])
def test_a_claim_of_quality_without_a_citation_is_a_problem(text):
    assert verify_line(Line("technique", text, (), "stated"), PLAIN, EN, MOVED)


def test_a_score_is_no_citation_for_a_measurement():
    line = next(line for line in plain_report("en").lines if line.cites == ("m1",))
    assert verify_line(replace(line, cites=("s5",)), PLAIN, EN, MOVED)


def test_the_pattern_of_a_stock_sentence_is_no_fixed_sentence():
    text = EN.phrases["technique.quality.motion"]
    line = Line("technique", text, (), "stated")
    assert verify_line(line, PLAIN, EN, MOVED)


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("I see hardly any motion myself; the reader's 93 % is too high.", True),
        ("I see hardly any motion myself; I would say 40 %.", False),
        ("I see motion in >99 % of the slices.", False),
        ("I see motion in half of the slices.", False),
        ("I see motion in many slices.", True),
        ("I see nothing of that.", False),
    ],
)
def test_a_person_may_edit_the_words_and_not_the_probability(text, is_right):
    assert (problems(text, origin="edited by") == ()) == is_right


def test_a_limit_is_no_number_of_a_measurement():
    line = next(line for line in plain_report("en").lines if line.cites == ("m1",))
    text = line.text.replace("90 %", ">99 %", 1)
    assert verify_line(replace(line, text=text), PLAIN, EN)
    assert verify_line(replace(line, text=text, origin="edited by"), PLAIN, EN)


@languages
def test_a_report_with_scores_keeps_its_schema_verifies_and_survives(language):
    report = report_of(MOVED, language)
    table = json.loads(report_bytes(report))
    assert errors(table, "report") == []
    assert verify_report(table) == ()
    assert report_from_json(table) == report


def test_a_report_made_before_there_was_a_reader_is_read_without_scores():
    table = json.loads(report_bytes(plain_report("en")))
    del table["scores"]
    assert verify_report(table) == ()
    assert report_from_json(table) == plain_report("en")


def spoil_probability(table):
    table["scores"][4]["probability"] = 0.91


def spoil_finding(table):
    table["scores"][4]["finding"] = "quality.noise"


def spoil_calibration(table):
    table["scores"][4]["calibration"] = UNCALIBRATED


def spoil_id(table):
    table["scores"][4]["id"] = "s6"


def spoil_measured_id(table):
    table["scores"][3]["id"] = "m1"


def spoil_key(table):
    table["scores"][4]["colour"] = "red"


def spoil_share(table):
    table["scores"][4]["probability"] = 1.5


def spoil_other(table):
    table["scores"][5]["probability"] = 0.95


def drop_line(table):
    table["lines"] = [line for line in table["lines"] if line["cites"] != ["s5"]]


def drop_scores(table):
    del table["scores"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (spoil_probability, "is not the probability"),
        (spoil_finding, "not what the line cites"),
        (spoil_calibration, "no calibrated probability"),
        (spoil_id, "an id twice"),
        (spoil_measured_id, "does not match"),
        (spoil_key, "colour"),
        (spoil_share, "1.5 is greater than the maximum"),
        (spoil_other, "no line cites s6"),
        (drop_line, "no line cites s5"),
        (drop_scores, r"does not hold: ['s5']"),
    ],
)
@languages
def test_a_report_file_that_differs_from_its_scores_is_found_out(spoil, why, language):
    table = json.loads(report_bytes(report_of(MOVED, language)))
    spoil(table)
    assert why in " ".join(verify_report(table))


def test_equal_reports_with_other_scores_are_other_bytes():
    assert report_bytes(report_of(MOVED)) != report_bytes(report_of(faulty(motion=0.931)))


def test_the_table_holds_the_scores_that_a_line_cites_and_no_other():
    rows = [row for row in report_rows(report_of(MOVED), EN) if row[0].startswith("s")]
    by = "read from the image by siglip-1, calibration: held-out"
    assert rows == [("s5", "–", "–", "probability of motion", "93 %", "–", by, "–")]


EXPORTS = ["markdown", "json", "pdf", "docx", "fhir", "dicom_sr"]


@pytest.mark.slow
@languages
@pytest.mark.parametrize("name", EXPORTS)
def test_a_file_shows_the_sentence_its_mark_and_its_score(name, language):
    report = report_of(MOVED, language)
    text = "".join("".join(PAGES[name](exporter(name)(report, [], MADE))).split())
    said = "".join(report.lines[0].text.split())
    cited = '"s5"' if name == "json" else f"{said}[s5]"
    assert said in text
    assert cited in text
    assert "siglip-1" in text


def test_a_readers_name_is_shown_and_never_obeyed():
    hostile = replace(MOVED[4], reader="<b>|[x](file:///y)\u202e")
    report = report_of((*MOVED[:4], hostile, *MOVED[5:]))
    row = next(row for row in report.markdown().splitlines() if row.startswith("| s5"))
    assert r"\<b\>\|\[x\](file:///y)" in row
    assert "\u202e" not in row


def test_an_id_of_a_measurement_is_no_id_of_a_score():
    twin = Score("m1", "quality.motion", 0.9, "held-out", "siglip-1")
    with pytest.raises(ValueError, match="an id twice"):
        Ledger(plain_ledger().records, (twin,))


def test_a_score_is_found_by_its_id():
    ledger = Ledger(plain_ledger().records, MOVED)
    assert ledger.score("s5").finding == "quality.motion"
    assert ledger.holds_score("s5")
    assert not ledger.holds_score("m1")
    assert "s5" not in ledger
    with pytest.raises(KeyError, match="s99"):
        ledger.score("s99")


def cases(amount, generator):
    """Make lines about random faults in every language; each report holds one told fault or two."""
    for number in range(amount):
        chosen = generator.sample(FAULTS, generator.choice([1, 2]))
        p = {fault: generator.uniform(TOLD_FROM, 1.0) for fault in chosen}
        language = prompts.languages()[number % len(prompts.languages())]
        report = report_of(faulty(**p), language)
        yield Case(report.lines[0], report, prompts.load(language), generator)


@amounts
@pytest.mark.parametrize("name", SCORE_MUTATIONS)
def test_a_mutation_of_a_line_about_a_score_is_caught(name, amount):
    wrong = [
        (line, verify_line(line, case.records, case.words, case.report.scores))
        for case in cases(amount, random.Random(name))
        if (line := SCORE_MUTATIONS[name](case))
    ]
    missed = [line.text for line, found in wrong if not found]
    assert len(wrong) >= amount / 4, "too few lines give this mutation something to change"
    assert len(missed) <= (1 - CAUGHT) * len(wrong), missed[:5]


@amounts
def test_right_lines_about_scores_raise_no_alarm(amount):
    for case in cases(amount, random.Random(7)):
        assert verify_line(case.line, case.records, case.words, case.report.scores) == ()
