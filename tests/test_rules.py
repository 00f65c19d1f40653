"""Criteria in a report: judged by whole intervals, told with their limits, verified."""

import json
import random
import re
from dataclasses import replace
from functools import cache

import pytest

import prompts
from assistant import exams
from assistant.edit import Edited, Manuscript, Overridden
from assistant.exports.sheet import sheet
from assistant.finish import finish
from assistant.judgement import Condition, Obstacle, Outcome
from assistant.ledger import Ledger
from assistant.report import report_bytes, report_from_json
from assistant.rules import judge
from assistant.sign import SignError, sign
from assistant.verify import verify_line, verify_report
from segment.change import TREND, YEARLY
from segment.measurement import Interval, Reason, Reference, Reliability
from tests.drafts import template_draft
from tests.ledgers import BEFORE, followed, followup_ledger, plain_ledger, visit
from tests.test_report import errors

RULE = "hippocampal_atrophy"
HIPPOCAMPUS = exams.load("hippocampus")
NOW = "2026-01-31T12:00:00+00:00"
languages = pytest.mark.parametrize("language", prompts.languages())


def yearly(value, lower, upper, error=0.5, **changes):
    """Return a ledger whose left hippocampus has a given rate: no volumes beside it."""
    record = next(r for r in followup_ledger(1.1).records if r.quantity == YEARLY)
    interval = Interval(float(lower), float(upper), 0.9)
    reference = Reference(-float(error), float(error), 0.95, 17, "repeats", "pseudo_retest")
    known = {"id": "m1", "value": float(value), "interval": interval, "reference": reference}
    return Ledger((replace(record, **(known | {"expression": None} | changes)),))


def outcomes(ledger):
    return [judgement.reason or judgement.outcome for judgement in judge([RULE], ledger)]


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ((-6, -7, -5), [Outcome.MET, Outcome.MET]),
        ((-3, -4, -2), [Outcome.MET, Outcome.NOT_MET]),
        ((-3, -4, -1.41), [Obstacle.CROSSES, Outcome.NOT_MET]),  # just the limit is not below it
        ((-3, -4, -1.42), [Outcome.MET, Outcome.NOT_MET]),
        ((-1.41, -1.41, 0), [Outcome.NOT_MET, Outcome.NOT_MET]),
        ((-4, -5, -3), [Outcome.MET, Obstacle.CROSSES]),
        ((1, 0, 2), [Outcome.NOT_MET, Outcome.NOT_MET]),
    ],
)
def test_a_criterion_is_met_only_where_the_whole_interval_lies_beyond_its_limit(bounds, said):
    assert outcomes(yearly(*bounds)) == said


def test_a_change_within_its_measurement_error_meets_no_criterion():
    within = yearly(-2, -2.3, -1.7, error=3)
    assert outcomes(within) == [Obstacle.WITHIN_ERROR, Outcome.NOT_MET]


def test_a_change_of_unknown_measurement_error_is_not_judged():
    assert outcomes(yearly(-6, -7, -5, reference=None)) == [Obstacle.ERROR_UNKNOWN] * 2


def test_a_withheld_change_is_not_judged():
    apart = {"reliability": Reliability.NOT_RELIABLE, "reason": Reason.NOT_ALIGNED}
    assert outcomes(yearly(-6, -7, -5, **apart)) == [Obstacle.WITHHELD] * 2


def history():
    """Return a ledger of three dates."""
    records = plain_ledger().records
    return followed(plain_ledger(), visit(records, 1.3, "2020-02-29"), visit(records, 1.15, BEFORE))


def test_of_three_dates_the_trend_counts():
    ledger = history()
    assert {ledger[cite].quantity for j in judge([RULE], ledger) for cite in j.cites} == {TREND}


def test_where_the_trend_is_withheld_the_latest_change_counts():
    undated = visit(plain_ledger().records, 1.3, None)
    ledger = followed(plain_ledger(), undated, visit(plain_ledger().records, 1.15, BEFORE))
    assert {ledger[cite].quantity for j in judge([RULE], ledger) for cite in j.cites} == {YEARLY}


def test_each_side_is_judged_by_each_criterion():
    ledger = followup_ledger(1.1)
    found = judge([RULE], ledger)
    sides = [(ledger[j.cites[0]].side, j.criterion) for j in found]
    controls, patients = "beyond_mean_of_controls", "beyond_mean_of_patients"
    assert sides == [(s, c) for s in ("left", "right") for c in (controls, patients)]
    assert [j.id for j in found] == ["c1", "c2", "c3", "c4"]


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": Outcome.NOT_MET},
        {"outcome": Outcome.NOT_JUDGED, "reason": Obstacle.CROSSES},
        {"cites": ("m99",)},
        {"cites": ("m17",)},
        {"cites": (), "outcome": Outcome.NOT_JUDGED, "reason": Obstacle.MISSING},
        {"missing": ("new lesions",)},
        {"conditions": (Condition((YEARLY,), "below", -20.0, "%/a"),)},
        {"conditions": (Condition((YEARLY,), "below", -1.41, "%"),)},
    ],
)
def test_a_ledger_refuses_a_judgement_that_does_not_follow_from_its_records(changes):
    ledger = followup_ledger(1.1)
    first = judge([RULE], ledger)[0]
    assert Ledger(ledger.records, judgements=(first,)).judgement("c1") == first
    with pytest.raises(ValueError, match="c1"):
        Ledger(ledger.records, judgements=(replace(first, **changes),))


CASES = {
    "beyond": lambda: followup_ledger(1.15),
    "between": lambda: followup_ledger(1.06),
    "little": lambda: followup_ledger(1.02),
    "grown": lambda: followup_ledger(0.9),
    "undated": lambda: followup_ledger(1.1, None),
    "apart": lambda: followup_ledger(1.1, reason=Reason.NOT_ALIGNED),
    "history": history,
    "alone": plain_ledger,
}


@cache
def reported(case, language="en"):
    """Return the report of a ledger that was held against the rule."""
    ledger = CASES[case]()
    ledger = replace(ledger, judgements=judge([RULE], ledger))
    words = prompts.load(language)
    return finish(template_draft(ledger, HIPPOCAMPUS, words), ledger, HIPPOCAMPUS, words, {})


def told(report):
    return [line for line in report.lines if line.section == "criteria"]


@languages
@pytest.mark.parametrize("case", CASES)
def test_a_report_tells_each_judgement_once_and_verifies(case, language):
    report = reported(case, language)
    table = json.loads(report_bytes(report))
    judged = [cite for line in told(report) for cite in line.cites if cite.startswith("c")]
    assert judged == [judgement.id for judgement in report.judgements]
    assert report.problems == ()
    assert errors(table, "report") == []
    assert verify_report(table) == ()
    assert report_from_json(table) == report


def test_a_criterion_is_told_with_its_measurement_its_limit_and_its_source():
    first = told(reported("between"))[0]
    assert first.cites == ("c1", "m18")
    assert first.text == (
        "Criterion met: loss of volume per year beyond the mean of matched controls. The yearly"
        " volume change of the left hippocampus between 2023-05-01 and 2024-06-01 is approximately"
        " −5.2 %/year (relative to the volume at the earlier examination; 90 % prediction interval"
        " −7.5 to −2.8 %/year), a decrease beyond the measurement error; the whole interval lies"
        " below the limit of −1.41 %/year. Rule: hippocampal atrophy rate, version 1; Barnes et"
        " al., Neurobiol Aging 2009;30:1711-1723, doi:10.1016/j.neurobiolaging.2008.01.010."
    )


def test_a_measurement_that_a_criterion_cites_is_told_in_the_comparison_too():
    report = reported("between")
    elsewhere = {c for line in report.lines if line.section == "comparison" for c in line.cites}
    assert {c for line in told(report) for c in line.cites if c.startswith("m")} <= elsewhere


def test_a_report_that_compares_nothing_has_no_criteria():
    words, ledger = prompts.load("en"), plain_ledger()
    report = finish(template_draft(ledger, HIPPOCAMPUS, words), ledger, HIPPOCAMPUS, words, {})
    assert told(report) == []


def test_a_report_from_before_there_were_rules_is_read_and_verifies():
    words, ledger = prompts.load("en"), followup_ledger(1.1)
    report = finish(template_draft(ledger, HIPPOCAMPUS, words), ledger, HIPPOCAMPUS, words, {})
    table = json.loads(report_bytes(report))
    del table["judgements"]
    assert verify_report(table) == ()
    assert report_from_json(table) == report
    assert sign(report_from_json(table), "A. Reader", NOW).status == "signed"


def tampered(change):
    """Return what is wrong with a report.json in which one judgement was changed."""
    table = json.loads(report_bytes(reported("between")))
    change(table["judgements"])
    return verify_report(table)


def test_a_limit_that_is_not_the_rules_is_a_problem():
    def lower(judgements):
        for judgement in judgements[::2]:
            judgement["conditions"][0]["limit"] = -1.4

    assert "not what the exam's rules make of the records" in " ".join(tampered(lower))


@pytest.mark.parametrize("key", ["source", "version", "criterion"])
def test_what_is_not_the_rules_own_is_a_problem(key):
    other = {
        "source": "Nobody, doi:10.1016/x",
        "version": "2",
        "criterion": "beyond_mean_of_patients",
    }
    assert tampered(lambda judgements: judgements[0].update({key: other[key]}))


def test_a_judgement_that_no_line_tells_is_a_problem():
    table = json.loads(report_bytes(reported("between")))
    table["lines"] = [line for line in table["lines"] if "c2" not in line["cites"]]
    assert verify_report(table) == ("no line cites c2",)


def test_a_judgement_that_is_left_out_is_a_problem():
    assert tampered(list.pop)


def other_number(line, words, generator):
    """Change a digit anywhere in a line."""
    places = [match.start() for match in re.finditer(r"\d", line.text)]
    place = generator.choice(places)
    digit = generator.choice([d for d in "0123456789" if d != line.text[place]])
    return line.text[:place] + digit + line.text[place + 1 :]


def other_outcome(line, words, generator):
    mine = max((text for text in words.outcomes.values() if text in line.text), key=len)
    other = generator.choice([text for text in words.outcomes.values() if text != mine])
    return line.text.replace(mine, other)


def other_criterion(line, words, generator):
    texts = words.criteria[RULE].values()
    mine = next(text for text in texts if text in line.text)
    return line.text.replace(mine, next(text for text in texts if text != mine))


def other_side(line, words, generator):
    names = words.structures["hippocampus"]
    mine, other = ("left", "right") if names["left"] in line.text else ("right", "left")
    return line.text.replace(names[mine], names[other])


def less(line, words, generator):
    """Leave out a criterion or a side of a line about several, else the outcome."""
    joint = words.marks["and"]
    texts = [text for text in words.criteria[RULE].values() if text in line.text]
    texts += [words.structures["hippocampus"][side] for side in ("left", "right")]
    known = [f"{text}{joint}" for text in texts] + [f"{joint}the {text}" for text in texts]
    found = [part for part in (*known, *words.outcomes.values()) if part in line.text]
    return line.text.replace(found[0], "")


def said_twice(line, words, generator):
    return line.text + " " + line.text


def concluded(line, words, generator):
    more = {"en": " This is progressive disease.", "zh": "提示疾病进展。"}
    return line.text + more[words.language]


def without_source(line, words, generator):
    source = line.text[line.text.index("Barnes") :]
    return line.text.removesuffix(source).rstrip(" ;；") + line.text[-1]


def more_numbers(line, words, generator):
    return line.text + " 3.2 %."


MUTATIONS = [
    *(other_number, other_outcome, other_criterion, other_side),
    *(said_twice, concluded, without_source, more_numbers, less),
]


@languages
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_line_about_a_criterion_that_was_made_wrong_is_caught(mutation, language):
    generator, words = random.Random(mutation.__name__), prompts.load(language)
    missed, tried = [], 0
    for case in CASES:
        report = reported(case, language)
        records = {record.id: record for record in report.measurements}
        for line in (line for line in told(report) if len(line.cites) > 1):
            for _ in range(8 if mutation is other_number else 1):
                wrong = replace(line, text=mutation(line, words, generator))
                assert wrong.text != line.text
                tried += 1
                if not verify_line(wrong, records, words, (), report.judgements):
                    missed.append(wrong.text)
    assert tried > 20
    assert missed == []


@pytest.mark.parametrize(
    "changes",
    [
        {"section": "findings"},
        {"section": "impression"},
        {"origin": "stated"},
        {"cites": ("c1",)},
        {"cites": ("c1", "m23")},
        {"cites": ("m18", "c1")},
        {"cites": ("c2", "m18")},
        {"cites": ("m18",)},
    ],
)
def test_a_line_about_a_criterion_stands_in_its_section_and_cites_what_it_rests_on(changes):
    report = reported("between")
    line = told(report)[0]
    records = {record.id: record for record in report.measurements}
    assert verify_line(line, records, prompts.load("en"), (), report.judgements) == ()
    wrong = replace(line, **changes)
    assert verify_line(wrong, records, prompts.load("en"), (), report.judgements)


def line_of(report, record):
    """Number the first line that cites an entry."""
    return next(n for n, line in enumerate(report.lines) if record in line.cites)


def test_a_person_who_writes_another_outcome_is_contradicted():
    report = reported("between")
    number = line_of(report, "c1")
    text = "Criterion not met, as I see it."
    edited = Manuscript(report).with_change(Edited(number, text, "A. Reader", NOW))
    assert edited.passages[number].contradictions
    with pytest.raises(SignError, match="outcome"):
        sign(edited.report, "A. Reader", NOW)


def test_a_person_may_tell_of_a_criterion_in_other_words():
    report = reported("between")
    number = line_of(report, "c1")
    text = "{c1.outcome}: {m18.value} a year, against {c1.source}; please compare with symptoms."
    edited = Manuscript(report).with_change(Edited(number, text, "A. Reader", NOW))
    assert "approximately −5.2 %/year a year, against Barnes" in edited.report.lines[number].text


@languages
def test_a_volume_entered_by_hand_leaves_the_criteria_that_rest_on_it_unjudged(language):
    report = reported("between", language)
    change = Overridden("m1", 3.1, 3.0, 3.2, "A. Reader", NOW)
    edited = Manuscript(report).with_change(change).report
    reasons = [judgement.reason for judgement in edited.judgements]
    assert reasons == [Obstacle.ERROR_UNKNOWN] * 2 + [None, Obstacle.CROSSES]
    assert len(told(edited)) == len(told(report))
    assert verify_report(json.loads(report_bytes(edited))) == ()


@languages
def test_every_sheet_shows_the_criteria_under_their_heading_and_in_the_table(language):
    report, words = reported("between", language), prompts.load(language)
    shown = sheet(report, [], NOW)
    sections = dict(shown.sections)
    assert len(sections[words.headings["criteria"]]) == len(told(report))
    rows = {row[0]: row for row in shown.rows}
    assert words.outcomes["met"] in rows["c1"]
    assert [rows[f"c{n}"][2] for n in (1, 2, 3, 4)] == [
        words.sides[side] for side in ("left", "left", "right", "right")
    ]
    assert "−1.41 %/" in rows["c1"][-1]
    assert words.obstacles["interval-crosses-limit"] in rows["c2"][4]
    assert report.judgements[0].source in report.markdown()
