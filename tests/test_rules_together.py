"""Criteria that one reason keeps from being judged: said once, of all that it is about."""

from dataclasses import replace

import pytest

import prompts
from assistant.criteria import criteria_statements, told_together
from assistant.rules import judge
from assistant.verify import verify_line
from segment.change import TREND
from tests.test_rules import RULE, reported, told, yearly

languages = pytest.mark.parametrize("language", prompts.languages())


@languages
@pytest.mark.parametrize("case", ["undated", "apart"])
def test_what_one_reason_keeps_from_being_judged_is_said_once(case, language):
    words = prompts.load(language)
    first, *others = told(reported(case, language))
    assert first.cites == ("c1", "c2", "c3", "c4", "m18", "m23")
    assert all(text in first.text for text in words.criteria[RULE].values())
    assert all(words.structure("hippocampus", side) in first.text for side in ("left", "right"))
    assert [line.cites for line in others] == [(), ()]


def test_of_one_side_what_cannot_be_judged_is_said_once():
    ledger = yearly(-6, -7, -5, reference=None)
    ledger = replace(ledger, judgements=judge([RULE], ledger))
    words = prompts.load("en")
    (line,) = [s for s in criteria_statements(ledger, words) if s.cites]
    assert line.cites == ("c1", "c2", "m1")
    assert line.text.count("{m1.name}") == 1


def test_a_line_about_several_criteria_is_of_all_that_one_reason_keeps_from_being_judged():
    report, words = reported("apart"), prompts.load("en")
    records = {record.id: record for record in report.measurements}
    line = told(report)[0]
    assert verify_line(line, records, words, (), report.judgements) == ()
    fewer = (line.cites[1:], line.cites[:-1], ("c1", "c4", "m18", "m23"))
    for cites in (*fewer, line.cites[::-1]):
        assert verify_line(replace(line, cites=cites), records, words, (), report.judgements)
    dated = records | {"m23": replace(records["m23"], comparator="2021-01-01")}
    assert verify_line(line, dated, words, (), report.judgements)
    trend = records | {"m23": replace(records["m23"], quantity=TREND)}
    assert verify_line(line, trend, words, (), report.judgements)


def test_criteria_that_were_judged_stand_in_no_common_line():
    report, words = reported("beyond"), prompts.load("en")
    records = {record.id: record for record in report.measurements}
    line = told(report)[0]
    both = " and ".join(words.criteria[RULE].values())
    text = line.text.replace(words.criteria[RULE]["beyond_mean_of_controls"], both)
    wrong = replace(line, text=text, cites=("c1", "c2", "m18"))
    assert verify_line(wrong, records, words, (), report.judgements)


def test_where_a_pair_is_missing_each_is_said_by_itself():
    report = reported("apart")
    ledger = report.ledger
    kept = tuple(one for one in ledger.judgements if one.id in ("c1", "c3", "c4"))
    texts = [s.cites for s in told_together(kept, ledger, prompts.load("en"))]
    assert texts == [("c1", "m18"), ("c3", "m23"), ("c4", "m23")]
