"""Whatever rule sits in a folder of its own keeps the contract."""

import re

import pytest

import prompts
from assistant import exams, rules
from assistant.judgement import Outcome
from assistant.ledger import Ledger
from assistant.verify.judged import judged_lexicon
from assistant.verify.lexer import tokens
from segment.change import TREND, UNITS, YEARLY
from segment.lesion_records import ENLARGED, NEW, SINCE_BASELINE, SINCE_SMALLEST
from segment.measurement import PIECES
from tests.ledgers import plain_ledger

DOI = re.compile(r"10\.\d{4,}/\S+")
CATEGORIES = ["progressive", "partial response", "complete response", "stable disease", "NEDA-3"]
every_rule = pytest.mark.parametrize("name", rules.available())
COUNTED = dict.fromkeys((NEW, ENLARGED, "enhancing lesions"), PIECES)
OF_LOADS = dict.fromkeys((SINCE_SMALLEST, SINCE_BASELINE), "%")
TOLD = {YEARLY: UNITS[YEARLY], TREND: UNITS[TREND], **COUNTED, **OF_LOADS}
languages = pytest.mark.parametrize("language", prompts.languages())


@every_rule
def test_a_rule_names_its_source_and_whom_that_measured(name):
    rule = rules.load(name)
    assert rule.name == name
    assert DOI.fullmatch(rule.doi)
    assert rule.source[0].isalpha()  # a digit before it would be read as a number
    assert min(map(len, (rule.version, rule.measured_in, rule.departs))) > 0


@every_rule
def test_a_rule_has_criteria_each_with_a_limit(name):
    rule = rules.load(name)
    names = [criterion.name for criterion in rule.criteria]
    assert names
    assert len(set(names)) == len(names)
    assert all(criterion.conditions for criterion in rule.criteria)


@every_rule
@languages
def test_a_rule_has_words_for_itself_its_criteria_and_what_it_needs(name, language):
    rule, words = rules.load(name), prompts.load(language)
    assert name in words.rules
    assert {*words.criteria[name]} == {criterion.name for criterion in rule.criteria}
    assert {*rule.needs} <= {*words.quantities}
    assert words.phrases[f"criteria.rule.{name}"]


@every_rule
def test_a_rule_names_no_category_of_response(name):
    words = prompts.load("en")
    texts = [words.phrases[f"criteria.rule.{name}"], *words.criteria[name].values()]
    assert [c for c in CATEGORIES for text in texts if c.lower() in text.lower()] == []


@every_rule
def test_a_ledger_without_what_a_rule_needs_is_told_what_is_missing(name):
    rule = rules.load(name)
    found = rules.judge([name], plain_ledger())
    assert [judgement.criterion for judgement in found] == [c.name for c in rule.criteria]
    assert {judgement.outcome for judgement in found} == {Outcome.NOT_JUDGED}
    asked = [{c.quantities[0] for c in criterion.conditions} for criterion in rule.criteria]
    assert [{*judgement.missing} for judgement in found] == asked
    assert Ledger(plain_ledger().records, judgements=found).judgements == found


@every_rule
@languages
def test_every_claim_about_a_criterion_is_read_as_itself_by_the_verifier(name, language):
    words = prompts.load(language)
    for judgement in rules.judge([name], plain_ledger()):
        lexicon = judged_lexicon(words, judgement)
        for text, kind, key in (
            (words.criterion(name, judgement.criterion), "criterion", None),
            (words.rule(name, judgement.version), "rule", name),
            (judgement.source, "source", judgement.source),
            (words.outcomes[judgement.outcome], "outcome", judgement.outcome),
        ):
            (token,) = tokens(text, lexicon)
            assert token.kind == kind
            assert token.key == (key or f"{name}.{judgement.criterion}")


@pytest.mark.parametrize("name", exams.available())
def test_the_rules_of_an_exam_are_there_and_can_be_told(name):
    for rule in map(rules.load, exams.load(name).rules):
        assert {len(criterion.conditions) for criterion in rule.criteria} == {1}
        assert {*rule.needs} <= {*TOLD}  # the sentences are about changes and counts
        units = {(q, c.unit) for k in rule.criteria for c in k.conditions for q in c.quantities}
        assert all(TOLD[quantity] == unit for quantity, unit in units)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="unknown rule 'choi'; there are hippocampal_atrophy"):
        rules.load("choi")
