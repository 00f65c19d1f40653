"""Whatever language sits in a folder of its own keeps the contract of English."""

import re
import string
from typing import get_args

import pytest

import prompts
from assistant.judgement import Obstacle, Outcome, Relation
from assistant.ledger import Ledger
from assistant.render import FIELDS, JUDGEMENT_FIELDS, SCORE_FIELDS
from assistant.report import SECTIONS, holds_quantity
from assistant.verify.lexer import lexicon, tokens
from assistant.verify.scores import read_lexicon
from assistant.writers import Verdict
from segment import organs
from segment.measurement import Reason, Reliability
from tests.ledgers import plain_ledger

TABLES = ["numbers", "marks", "exams", "headings", "columns", "steps", "sides", "structures"]
TABLES += ["quantities", "denominators", "reliability", "reasons", "scopes", "phrases"]
TABLES += ["provenance", "export", "trends", "lexicon", "composites", "faults"]
TABLES += ["rules", "criteria", "outcomes", "obstacles", "relations", "verdicts"]

languages = pytest.mark.parametrize("language", prompts.languages())


def slots(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def leaves(table, path=()):
    """List the texts of a table by the path of their keys."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


@languages
@pytest.mark.parametrize("table", TABLES)
def test_a_language_has_the_keys_of_english(language, table):
    english, other = (getattr(prompts.load(name), table) for name in ("en", language))
    assert {path for path, _ in leaves(other)} == {path for path, _ in leaves(english)}


@languages
@pytest.mark.parametrize("table", ["marks", "phrases", "export", "trends", "composites"])
def test_a_language_has_the_slots_of_english(language, table):
    english, other = (getattr(prompts.load(name), table) for name in ("en", language))
    assert {key: sorted(slots(text)) for key, text in other.items()} == {
        key: sorted(slots(text)) for key, text in english.items()
    }


@languages
def test_every_slot_of_a_phrase_is_a_field_the_renderer_knows(language):
    used = {slot for text in prompts.load(language).phrases.values() for slot in slots(text)}
    known = set(FIELDS) | set(SCORE_FIELDS) | set(JUDGEMENT_FIELDS)
    assert {slot.partition(".")[2] for slot in used} <= known
    parts = {part for text in prompts.load(language).composites.values() for part in slots(text)}
    assert parts <= set(FIELDS) - {"reading", "interval", "norm"}


@languages
def test_no_text_holds_a_number(language):
    words = prompts.load(language)
    tables = [words.marks, words.headings, words.steps, words.phrases, words.reasons, words.scopes]
    tables += [words.export, words.trends]
    texts = [re.sub(r"\{[^}]*\}", "", text) for table in tables for _, text in leaves(table)]
    assert [text for text in texts if holds_quantity(text)] == []


@languages
def test_every_reason_reliability_and_section_has_words(language):
    words = prompts.load(language)
    assert set(words.reasons) == {reason.value for reason in Reason}
    assert set(words.outcomes) == {outcome.value for outcome in Outcome}
    assert set(words.obstacles) == {obstacle.value for obstacle in Obstacle}
    assert set(words.relations) == {*get_args(Relation)}
    assert set(words.verdicts) == {*get_args(Verdict)}
    assert set(words.reliability) == {state.value for state in Reliability}
    assert set(words.lexicon["withheld"]) == {"not reliable", "not assessed"}
    assert set(SECTIONS) <= set(words.headings)


@languages
@pytest.mark.parametrize("name", organs.available())
def test_every_structure_and_scope_of_an_organ_has_words(language, name):
    words, organ = prompts.load(language), organs.load(name)
    references = [s.volume_reference for s in organ.structures if s.volume_reference]
    assert {structure.name for structure in organ.structures} <= set(words.structures)
    assert {reference.scope for reference in references} <= set(words.scopes)


@languages
def test_no_phrase_of_the_lexicon_has_two_meanings(language):
    assert lexicon(prompts.load(language)).phrases
    assert read_lexicon(prompts.load(language)).phrases


@languages
def test_every_reason_is_read_as_itself_by_the_verifier(language):
    words = prompts.load(language)
    for reason, text in words.reasons.items():
        found = tokens(text, lexicon(words))
        assert [(token.kind, token.key) for token in found] == [("reason", reason)]


@languages
def test_every_name_is_read_as_itself_by_the_verifier(language):
    words = prompts.load(language)
    for record in plain_ledger().records:
        found = tokens(words.structure(record.structure, record.side), lexicon(words))
        assert [token.key for token in found] == [f"{record.structure}|{record.side}"]


def test_the_ledger_of_these_tests_is_a_ledger():
    assert isinstance(plain_ledger(), Ledger)
