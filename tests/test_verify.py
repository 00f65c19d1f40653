"""Each field that a sentence binds is checked by itself: one wrong field, one problem."""

import json
from dataclasses import replace

import pytest

import prompts
from assistant import exams
from assistant.finish import finish
from assistant.report import Line, report_bytes
from assistant.score import Score
from assistant.verify import verify_line, verify_report
from assistant.verify.lexer import lexicon, tokens
from segment.measurement import Interval, Reason
from tests.drafts import template_draft
from tests.ledgers import followup_ledger, plain_ledger, refused_ledger, wide_ledger, withheld

EN, ZH = prompts.load("en"), prompts.load("zh")
PLAIN = {record.id: record for record in plain_ledger().records}
WIDE = {record.id: record for record in wide_ledger().records}
REFUSED = {record.id: record for record in refused_ledger().records}
SCOPE = "adults of one study, ages unknown, hippocampal head and body only; not an age norm"
VALUE = "The volume of the left hippocampus is 3.21 mL (90 % prediction interval 2.95 to 3.50 mL)"
FULL = (
    f"{VALUE}, within the reference range of 2.57 to 3.96 mL (central 90 % of 181 cases; {SCOPE})."
)
INDEX = (
    "The asymmetry index of the hippocampi is approximately 3.5 % (left minus right, relative to "
    "the mean of both sides; 90 % prediction interval −1.7 to 9.3 %); the interval includes zero, "
    "so no difference between the sides is shown."
)
LOST = (
    "The volume of the posterior part of the right hippocampus is withheld as not reliable: "
    "the structure reaches the edge of the field of view, so part of it may be missing."
)
HAN = "左侧海马体积 3.21 mL（90 % 预测区间 2.95～3.50 mL），在参考范围内。"


def problems(text, cites=("m1",), records=PLAIN, words=EN, origin="measured"):
    return verify_line(Line("findings", text, cites, origin), records, words)


@pytest.mark.parametrize(
    ("text", "cites", "records", "words"),
    [
        (FULL, ("m1",), PLAIN, EN),
        (INDEX, ("m7",), PLAIN, EN),
        (LOST, ("m6",), WIDE, EN),
        (HAN, ("m1",), PLAIN, ZH),
    ],
)
def test_a_right_sentence_has_no_problem(text, cites, records, words):
    assert problems(text, cites, records, words) == ()


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("value", "3.21", "3.22"),
        ("value", "3.21", "32.1"),
        ("value", "3.21", "3210"),
        ("value", "3.21", "−3.21"),
        ("value", "3.21", "3"),
        ("value", "3.21", "3.214"),
        ("unit", "3.21 mL", "3.21 mm3"),
        ("unit", "3.21 mL", "3.21"),
        ("unit", "3.50 mL", "3.50 L"),
        ("structure", "left hippocampus", "anterior part of the left hippocampus"),
        ("structure", "left hippocampus", "left amygdala"),
        ("side", "left", "right"),
        ("quantity", "volume", "thickness"),
        ("quantity", "The volume of the", "The"),
        ("interval", "2.95 to 3.50", "3.50 to 2.95"),
        ("interval", "2.95", "2.96"),
        ("interval", " (90 % prediction interval 2.95 to 3.50 mL)", ""),
        ("coverage", "90 % prediction", "95 % prediction"),
        ("coverage", "90 % prediction", "prediction"),
        ("comparator", "within", "below"),
        ("comparator", "within", "above"),
        ("comparator", ", within the reference range of", " (reference range"),
        ("reference", "2.57 to 3.96", "3.96 to 2.57"),
        ("reference", "3.96", "3.95"),
        ("n", "181", "182"),
        ("n", " of 181 cases", ""),
        ("reference coverage", "central 90 %", "central 95 %"),
        ("scope", "; not an age norm", ""),
        ("hedge", "is 3.21", "is approximately 3.21"),
        ("negation", "is 3.21", "is not 3.21"),
        ("negation", "within", "not within"),
        ("number", "3.21 mL", "three mL"),
        ("number", "3.21 mL", "3.2১ mL"),
        ("number", "3.21 mL", "3.21² mL"),
        ("number", "3.21 mL", "3.21e1 mL"),
        ("number", "3.21 mL", "3.21 mL 5"),
        ("number", "3.21 mL", "3\u200b.21 mL"),
        ("words", "is 3.21", "is normal, 3.21"),
        ("date", "is 3.21", "on 2021-03-04 is 3.21"),
        ("change", "is 3.21", "has increased and is 3.21"),
        ("prior", "is 3.21", "as in the prior study is 3.21"),
    ],
)
def test_a_wrong_field_is_a_problem(field, old, new):
    assert old in FULL
    assert problems(FULL.replace(old, new, 1)), field


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("sign", "approximately 3.5", "approximately −3.5"),
        ("sign", "−1.7", "1.7"),
        ("hedge", "approximately ", ""),
        ("denominator", "mean of both sides", "sum of both sides"),
        ("denominator", "relative to the mean of both sides; ", ""),
        ("order", "left minus right", "right minus left"),
        ("order", "left minus right, ", ""),
        ("zero", "includes zero", "excludes zero"),
        ("difference", "no difference between the sides is shown", "the left side is larger"),
        ("unit", "3.5 %", "3.5 mL"),
    ],
)
def test_a_wrong_field_of_a_ratio_is_a_problem(field, old, new):
    assert old in INDEX
    assert problems(INDEX.replace(old, new, 1), ("m7",)), field


@pytest.mark.parametrize(
    "text",
    [
        LOST.replace("not reliable", "reliable"),
        LOST.replace("posterior", "anterior"),
        LOST.replace(EN.reasons["truncated"], EN.reasons["empty"]),
        LOST.replace(": " + EN.reasons["truncated"], ""),
        "The volume of the posterior part of the right hippocampus was not assessed: "
        f"{EN.reasons['truncated']}.",
        "The volume of the posterior part of the right hippocampus is within the reference range.",
        "The volume of the posterior part of the right hippocampus is 1.45 mL "
        "(90 % prediction interval 1.28 to 1.64 mL).",
        f"{LOST} The posterior part of the right hippocampus is 1.45 mL.",
    ],
)
def test_certain_or_wrong_words_about_a_withheld_record_are_a_problem(text):
    assert problems(text, ("m6",), WIDE)


def test_a_reportable_record_is_not_called_withheld():
    text = f"The volume of the left hippocampus is withheld as not reliable: {EN.reasons['empty']}."
    assert problems(text)


def test_slots_swapped_between_left_and_right_are_a_problem():
    right = (
        "The volume of the right hippocampus is 3.10 mL (90 % prediction interval 2.85 to 3.38 mL)"
    )
    both = f"{VALUE}; {right.lower().replace('ml', 'mL')}."
    swapped = both.replace("3.21", "x").replace("3.10", "3.21").replace("x", "3.10")
    assert problems(both, ("m1", "m4")) == ()
    assert len(problems(swapped, ("m1", "m4"))) == 2


@pytest.mark.parametrize(
    ("cites", "why"),
    [
        (("m99",), "unknown records"),
        (("m1", "m99"), "unknown records"),
        (("m1", "m1"), "twice"),
        (("m2",), "not what the line cites"),
        (("m1", "m2"), "does not name"),
    ],
)
def test_a_wrong_citation_is_a_problem(cites, why):
    assert why in " ".join(problems(FULL, cites))


def test_an_uncited_line_is_a_fixed_sentence_word_for_word():
    text = EN.phrases["not_assessed.change"]
    line = Line("not_assessed", text, (), "not assessed")
    assert verify_line(line, PLAIN, EN) == ()
    assert verify_line(replace(line, text=text.replace("not ", "")), PLAIN, EN)
    assert verify_line(replace(line, section="findings"), PLAIN, EN)
    assert verify_line(replace(line, origin="stated"), PLAIN, EN)


def test_a_date_is_that_of_the_record():
    records = {"m1": replace(PLAIN["m1"], date="2021-03-04")}
    text = "In the left hippocampus (2021-03-04), the volume is within the reference range."
    assert problems(text, records=records) == ()
    assert problems(text.replace("03-04", "04-03"), records=records)


CHANGED = {record.id: record for record in followup_ledger(1.06).records}
STILL = {record.id: record for record in followup_ledger(1.01).records}
UNDATED = {record.id: record for record in followup_ledger(1.06, None).records}
APART = {record.id: record for record in followup_ledger(1.06, reason=Reason.NOT_ALIGNED).records}
SHRUNK = (
    "The relative volume change of the left hippocampus between 2023-05-01 and 2024-06-01 is"
    " approximately −5.7 % (relative to the volume at the earlier examination; 90 % prediction"
    " interval −8.2 to −3.1 %), a decrease beyond measurement error."
)
BEFORE = (
    "On 2023-05-01, the earlier volume of the left hippocampus was 3.41 mL"
    " (90 % prediction interval 3.13 to 3.71 mL)."
)


@pytest.mark.parametrize(
    ("records", "verdict"),
    [(CHANGED, "a decrease beyond measurement error"), (STILL, "within measurement error")],
)
def test_a_change_is_what_it_is_beside_its_measurement_error(records, verdict):
    said = {
        "increased": "an increase beyond measurement error",
        "decreased": "a decrease beyond measurement error",
        "within": "within measurement error",
        "stable": "is unchanged",
    }
    for phrase in said.values():
        text = f"The left hippocampus: {phrase}."
        assert (problems(text, ("m14",), records) == ()) == (phrase == verdict)


def test_a_change_beyond_its_error_whose_interval_holds_zero_is_within_it():
    wide = replace(CHANGED["m14"], interval=Interval(-12.0, 0.5, 0.9))
    text = "The left hippocampus: a decrease beyond measurement error."
    assert problems(text, ("m14",), {"m14": wide})


@pytest.mark.parametrize(("text", "cite"), [(SHRUNK, "m14"), (BEFORE, "m8")])
def test_a_right_sentence_about_a_comparison_has_no_problem(text, cite):
    assert problems(text, (cite,), CHANGED) == ()


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("sign", "−5.7", "5.7"),
        ("value", "−5.7", "−7.5"),
        ("unit", "−5.7 %", "−5.7 mL"),
        ("unit", "−5.7 %", "−5.7 %/year"),
        ("quantity", "relative volume change", "yearly volume change"),
        ("quantity", "relative volume change", "volume"),
        ("comparator", "2023-05-01", "2022-05-01"),
        ("comparator", "2023-05-01 and 2024-06-01", "2024-06-01 and 2023-05-01"),
        ("comparator", " between 2023-05-01 and 2024-06-01", ""),
        ("comparator", "between 2023-05-01 and 2024-06-01", "since the earlier examination"),
        ("date", "and 2024-06-01", "and 2024-06-02"),
        ("denominator", "volume at the earlier examination", "mean of both sides"),
        ("denominator", "relative to the volume at the earlier examination; ", ""),
        ("verdict", "a decrease", "an increase"),
        ("verdict", "a decrease beyond measurement error", "within measurement error"),
        ("verdict", ", a decrease beyond measurement error", ""),
        ("verdict", "beyond", "within"),
        ("verdict", "a decrease beyond measurement error", "stable"),
        ("reference", "a decrease beyond measurement error", "below the reference range"),
        ("side", "left", "right"),
    ],
)
def test_a_wrong_field_of_a_change_is_a_problem(field, old, new):
    assert old in SHRUNK
    assert problems(SHRUNK.replace(old, new, 1), ("m14",), CHANGED), field


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2023-05-01", "2024-06-01"),
        ("earlier volume", "volume"),
        ("3.41", "3.21"),
        ("left", "right"),
    ],
)
def test_a_wrong_field_of_an_earlier_volume_is_a_problem(old, new):
    assert problems(BEFORE.replace(old, new, 1), ("m8",), CHANGED)


def test_a_change_of_an_unknown_date_says_that_it_is_since_the_earlier_examination():
    text = SHRUNK.replace("between 2023-05-01 and 2024-06-01", "since the earlier examination")
    assert problems(text, ("m14",), UNDATED) == ()
    assert problems(text.replace(" since the earlier examination", ""), ("m14",), UNDATED)


def test_a_change_that_cannot_be_compared_is_called_that_for_its_reason():
    text = (
        "The relative volume change of the left hippocampus is withheld, as the examinations cannot"
        f" be compared: {EN.reasons['not-aligned']}."
    )
    assert problems(text, ("m14",), APART) == ()
    assert problems(text.replace("cannot", "can"), ("m14",), APART)
    assert problems(text.replace(EN.reasons["not-aligned"], EN.reasons["empty"]), ("m14",), APART)
    assert problems(SHRUNK, ("m14",), APART)


def test_with_an_earlier_examination_a_report_does_not_say_that_none_was_compared():
    words, exam, ledger = EN, exams.load("hippocampus"), followup_ledger(1.06)
    report = finish(template_draft(ledger, exam, words), ledger, exam, words, {})
    table = json.loads(report_bytes(report))
    assert verify_report(table) == ()
    unsaid = {"section": "not_assessed", "cites": [], "origin": "not assessed"}
    table["lines"].append({"text": words.phrases["not_assessed.change"], **unsaid})
    assert "does not hold of these records" in " ".join(verify_report(table))


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("I agree: the left hippocampus looks full for this person.", True),
        ("Left hippocampus about as before, prediction interval 2.95 to 3.50 mL.", False),
        ("The left hippocampus measures 3.4 mL by my own tracing.", False),
        ("The left hippocampus is half of the usual.", False),
        ("The left hippocampus lies below the reference range.", False),
    ],
)
def test_a_person_may_edit_the_words_and_not_the_numbers(text, is_right):
    assert (problems(text, origin="edited by") == ()) == is_right


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("2.11 mL", "as it must stand, called approximate"),
        ("approximately 2.11 cm³", "as it must stand, in mL"),
        ("approximately 2114 mm³", "as it must stand, in mL"),
        ("approximately 2.1143 mL", "is not the value of m1"),
        ("approximately 2.1140 mL", "with the decimals that its interval deserves"),
    ],
)
def test_a_value_that_is_not_written_as_it_must_be_is_told_what_it_lacks(written, why):
    bounds = "90 % prediction interval 1.87 to 2.39 mL"
    text = f"The volume of the left hippocampus is {written} ({bounds})."
    (found,) = problems(text, records=WIDE, origin="edited by")
    assert why in found


@pytest.mark.parametrize(
    "said", ["is unchanged", "increased", "of 2020-01-01", "is larger on the left"]
)
def test_what_is_said_of_a_record_that_carries_nothing_of_the_kind_is_told_without_none(said):
    found = problems(f"The left hippocampus {said}.", origin="edited by")
    assert found
    assert not [why for why in found if "None" in why]


def test_a_reason_beside_a_record_that_has_none_is_told_without_none():
    found = problems(LOST.replace("posterior part of the right", "left"), origin="edited by")
    assert any("m1 has no reason" in why for why in found)


ODD = ("3,10 mL", "or 3,1 to 3,5 mL", "3,100 mL", "3e0 mL", "1/2", "9x", "x2", "3.1-3.5 mL")


@pytest.mark.parametrize("number", ODD)
def test_a_number_in_an_edited_line_is_bound_however_it_is_written(number):
    found = problems(f"Left hippocampus, prior to this ({number}).", origin="edited by")
    assert any("no number that a record holds," in why for why in found)


@pytest.mark.parametrize("term", ["T1", "T2", "T1-weighted"])
def test_a_term_in_an_edited_line_is_no_number(term):
    assert problems(f"The left hippocampus is well seen in {term}.", origin="edited by") == ()


@pytest.mark.parametrize("number", ODD)
def test_a_number_in_an_edited_line_about_a_fault_is_its_probability(number):
    score = Score("s1", "quality.motion", 0.93, "seen", "reader")
    line = Line("technique", f"Motion artefacts in T1 ({number}).", ("s1",), "edited by")
    said = replace(line, text="Motion artefacts in T1.")
    assert verify_line(said, {}, EN, (score,)) == ()
    assert "not the probability" in " ".join(verify_line(line, {}, EN, (score,)))


@pytest.mark.parametrize("text", ["About twice the usual.", "三毫升左右。", "百分之九十。"])
def test_an_edited_line_that_cites_nothing_holds_no_number(text):
    line = Line("findings", "x", (), "edited by")
    object.__setattr__(line, "text", text)
    assert verify_line(line, PLAIN, ZH)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("2.95 to 3.50 mL", ["range"]),
        ("−1.7 to 9.3 %", ["range"]),
        ("3.21 mL.", ["number", "stop"]),
        ("181, 62", ["number", "punctuation", "number"]),
        ("3.21 mL2", ["number", "residue", "residue"]),
        ("3.2.1", ["residue"]),
        ("1,432 mL", ["residue"]),
        ("m1", ["residue", "residue"]),
        ("2.9-3.4 mL", ["residue", "residue"]),
        ("twofold", ["number word"]),
        ("IV", ["number word"]),
        ("T1", ["term"]),
        ("T12", ["residue", "residue"]),
        ("2021-03-04", ["date"]),
        ("2021 年 3 月 4 日", ["date"]),
    ],
)
def test_the_lexer_names_what_it_reads(text, kinds):
    assert [token.kind for token in tokens(text, lexicon(EN))] == kinds


def drafted(language="en"):
    words, ledger = prompts.load(language), wide_ledger()
    exam = exams.load("hippocampus")
    draft = template_draft(ledger, exam, words)
    return json.loads(report_bytes(finish(draft, ledger, exam, words, {})))


def spoil_line(table):
    line = next(line for line in table["lines"] if line["cites"] == ["m1"])
    line["text"] = line["text"].replace("2.11", "2.12")


def spoil_record(table):
    table["measurements"][1]["value"] = 1.05


def spoil_expression(table):
    table["measurements"][6]["value"] += 0.5


def spoil_interval(table):
    table["measurements"][0]["interval"]["upper"] = 2.0


def spoil_citation(table):
    table["lines"][4]["cites"] = ["m99"]


def spoil_reason(table):
    table["measurements"][5]["reason"] = "empty"


def spoil_schema(table):
    table["colour"] = "red"


def spoil_language(table):
    table["language"] = "tlh"


def drop_record_lines(table):
    table["lines"] = [line for line in table["lines"] if "m2" not in line["cites"]]


def drop_gap(table):
    table["lines"].pop()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (spoil_line, "'approximately 2.12 mL'|'2.12 mL' is not the value of m1"),
        (spoil_record, "is not the value of m2"),
        (spoil_expression, "m7 holds"),
        (spoil_interval, "outside its own interval"),
        (spoil_citation, "m99"),
        (spoil_reason, "has the reason empty"),
        (spoil_schema, "colour"),
        (spoil_language, "unknown language 'tlh'"),
        (drop_record_lines, "no line cites m2"),
        (drop_gap, "no line says that change was not assessed"),
    ],
)
@pytest.mark.parametrize("language", prompts.languages())
def test_a_report_file_that_differs_from_its_records_is_found_out(spoil, why, language):
    table = drafted(language)
    assert verify_report(table) == ()
    spoil(table)
    found = " ".join(verify_report(table))
    assert any(part in found for part in why.split("|"))


def test_a_record_of_a_refused_scan_is_called_not_assessed():
    text = (
        f"The volume of the left hippocampus was not assessed: {EN.reasons[REFUSED['m1'].reason]}."
    )
    assert problems(text, records=REFUSED, origin="not assessed") == ()
    assert problems(text, records=REFUSED, origin="measured")


WITHHOLDING = [reason for reason in Reason if reason is not Reason.NO_INTERVAL]


@pytest.mark.parametrize("reason", WITHHOLDING)
def test_every_reason_is_said_and_checked(reason):
    records = {"m1": withheld(PLAIN["m1"], reason)}
    text = "The volume of the left hippocampus is withheld as not reliable: {}."
    assert problems(text.format(EN.reasons[reason]), records=records) == ()
    assert problems(text.format("it is small"), records=records)


SIDES = "the left hippocampus and the right hippocampus"


@pytest.mark.parametrize(
    "text",
    [
        "The volume of the {} is within the reference range.",
        "Within the reference range is the volume of the {}.",
        "The volume of the {} is neither small nor large by the reference range.",
    ],
)
def test_a_claim_about_names_in_one_breath_holds_of_each_of_them(text):
    said = text.replace("the {}", SIDES)
    assert problems(said, ("m1", "m4")) == ()
    assert problems(said, ("m1", "m4"), WIDE)


@pytest.mark.parametrize(
    "text",
    [
        "The volume of the left hippocampus is in the reference range.",
        "The volume of the left hippocampus is the reference range.",
        "The volume of the left hippocampus is within the reference range because it is small.",
        "The volume of the left hippocampus is expected within its reference range.",
        "The volume of the left hippocampus is small by the reference range.",
        "The interval is wide for the volume of the left hippocampus.",
        "No volume of the left hippocampus is reportable.",
    ],
)
def test_words_beside_a_name_claim_nothing_by_themselves(text):
    assert problems(text)


def test_a_small_asymmetry_index_is_no_small_volume():
    text = "The asymmetry index of the hippocampi is small by the reference range."
    assert problems(text, ("m7",), WIDE)


@pytest.mark.parametrize("words", [EN, ZH])
@pytest.mark.parametrize(
    ("key", "records"),
    [
        ("answer.one_side.a", PLAIN),
        ("answer.nothing_withheld.a", WIDE),
        ("answer.no_reference.a", PLAIN),
        ("answer.prior.a", {"m1": replace(PLAIN["m1"], comparator="prior")}),
        ("not_assessed.change", {"m1": replace(PLAIN["m1"], comparator="prior")}),
    ],
)
def test_a_fixed_sentence_that_speaks_of_the_records_must_hold_of_them(key, records, words):
    line = Line("answer", words.phrases[key], (), "stated")
    assert verify_line(line, records, words)
    holding = {"m1": replace(PLAIN["m1"], reference=None)}
    assert verify_line(line, holding, words) == ()


def test_the_repeatability_of_a_change_is_no_reference_range_of_a_size():
    told = replace(PLAIN["m1"], reference=None)
    changed = replace(PLAIN["m1"], id="m8", comparator="prior")
    line = Line("answer", EN.phrases["answer.no_reference.a"], (), "stated")
    assert verify_line(line, {"m1": told, "m8": changed}, EN) == ()
    assert verify_line(line, PLAIN | {"m8": changed}, EN)
