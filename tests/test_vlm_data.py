"""Every training target is a right sentence in slots, and held-out ones are never trained on."""

import re
import unicodedata
from collections import Counter
from functools import cache

import numpy as np
import pytest

import prompts
from assistant.render import render
from assistant.report import CJK_NUMBER, Line
from assistant.verify import verify_line
from assistant.verify.lexer import WORD
from assistant.writers import phrasings
from assistant.writers.vlm.author import exam
from assistant.writers.vlm.corpus import allowed_ids, corpus, holds_number, vocabulary_words
from assistant.writers.vlm.data import (
    CHANGE,
    TOPICS,
    UNANSWERABLE,
    held_out_pairs,
    training_pairs,
)
from assistant.writers.vlm.faults import DOUBTED, NEVER
from assistant.writers.vlm.ledgers import make_ledger, subjects
from assistant.writers.vlm.prompt import Markup, write_prompt
from assistant.writers.vlm.slots import SECTION_TOKEN, TOKEN, SlotTable, parse_answer, parse_target
from segment.measurement import Reason, Reliability

PARTS = {"training": training_pairs, "held out": held_out_pairs}
parts = pytest.mark.parametrize("part", PARTS)
TOLD = {*TOPICS} - {*UNANSWERABLE, "interval", "greeting", "off_topic", "instructions"}
REPORTS = ("report", "comparison")
counts = pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])


@cache
def pairs(part, count):
    return tuple(PARTS[part](np.random.default_rng(5), count))


def parsed(pair):
    task = pair.task
    words = prompts.load(task.language)
    if SECTION_TOKEN in pair.target:
        return parse_target(pair.target, task.ledger, exam(), words, task.compared)
    return parse_answer(pair.target, task.ledger, exam(), words, task.compared)


def told_in(pair):
    """List what is said of the records that the task is about."""
    ids = {record.id for record in pair.task.table.records}
    return tuple(said for said in pair.statements if said.cites and ids >= {*said.cites})


def problems(pair, statement):
    """Render and verify one statement, as a report does."""
    ledger, words = pair.task.ledger, prompts.load(pair.task.language)
    states = {ledger[cite].reliability for cite in statement.cites}
    measured = "not assessed" if states == {Reliability.NOT_ASSESSED} else "measured"
    origin = measured if states else "stated"
    line = Line(statement.section, render(statement, ledger, words), statement.cites, origin)
    return verify_line(line, {record.id: record for record in ledger.records}, words)


@counts
@parts
def test_every_statement_of_a_target_renders_and_is_verified(part, count):
    found = [(s.text, problems(p, s)) for p in pairs(part, count) for s in p.statements]
    assert len(found) > 2 * count
    assert [(text, why) for text, why in found if why] == []


@counts
@parts
def test_a_target_is_parsed_back_to_the_statements_it_was_made_of(part, count):
    for pair in (pair for pair in pairs(part, count) if pair.target):
        assert parsed(pair) == told_in(pair)


@pytest.mark.slow
@parts
def test_the_findings_of_a_report_hold_every_required_slot_in_order(part):
    for pair in (p for p in pairs(part, 200) if p.topic == "report"):
        findings = pair.target.partition(SECTION_TOKEN)[0]
        required = SlotTable.of(pair.task.ledger).required()
        first = dict.fromkeys(t[0] for t in TOKEN.finditer(findings) if t[0] in required)
        assert tuple(first) == required


@parts
def test_no_target_and_no_prompt_holds_a_number(part):
    words = {w for name in prompts.languages() for w in prompts.load(name).lexicon["number_words"]}
    for pair in pairs(part, 200):
        prose = TOKEN.sub("", pair.target)
        assert not any(unicodedata.category(c).startswith("N") for c in prose)
        assert CJK_NUMBER.search(prose) is None
        assert not words & {word.lower() for word in WORD.findall(prose)}
        prompt = TOKEN.sub("", write_prompt(pair.task, Markup()).text)
        assert not any(unicodedata.category(c).startswith("N") for c in prompt)


@pytest.mark.slow
@parts
def test_every_topic_language_and_state_occurs(part):
    found = pairs(part, 600)
    told = {*REPORTS, CHANGE, *(TOPICS if part == "held out" else TOLD)}
    assert {pair.topic for pair in found} >= told
    assert {pair.task.language for pair in found} == {"en", "zh"}
    records = [record for pair in found for record in pair.task.ledger.records]
    assert {record.reliability for record in records} == {
        *(Reliability.REPORTABLE, Reliability.NOT_RELIABLE, Reliability.NOT_ASSESSED)
    }
    of_measuring = {*DOUBTED, *NEVER, Reason.DEPENDS_ON_UNRELIABLE}
    assert len(of_measuring) > 10
    assert {r.reason for r in records} >= of_measuring - {Reason.ORIENTATION_IMPLAUSIBLE}
    # one side or both, and after one earlier examination or two
    lengths = {len(pair.task.ledger.records) for pair in found}
    assert lengths == {3, 7, 3 + 8, 7 + 16, 3 + 12, 7 + 24}
    assert any(pair.task.turns for pair in found)


def test_the_model_is_trained_on_nothing_that_it_never_writes():
    assert {pair.topic for pair in pairs("training", 200)} <= {*REPORTS, *TOLD, CHANGE}


def test_what_cannot_be_answered_is_answered_without_a_citation():
    for pair in pairs("held out", 200):
        if pair.topic in UNANSWERABLE:
            assert [s.cites for s in pair.statements] == [()]
            assert pair.statements[0].stock.startswith(f"answer.{pair.topic}.")


@parts
def test_a_task_is_about_an_examination_or_about_its_comparison_and_never_both(part):
    for pair in pairs(part, 200):
        of_comparison = {record.is_of_comparison for record in pair.task.table.records}
        assert of_comparison == {bool(pair.task.compared)}
    compared = [pair for pair in pairs(part, 200) if pair.task.compared]
    assert {pair.topic for pair in compared} >= {"comparison", CHANGE}
    assert 0.1 < len(compared) / 200 < 0.4


def test_what_has_changed_is_asked_only_where_something_was_compared():
    for pair in pairs("held out", 200):
        is_compared = any(record.is_of_comparison for record in pair.task.ledger.records)
        assert pair.topic != ("prior" if is_compared else CHANGE)


def test_the_same_seed_makes_the_same_pairs():
    once, again = (list(training_pairs(np.random.default_rng(8), 20)) for _ in range(2))
    assert once == again


def test_no_subject_and_no_wording_is_in_both_parts():
    assert not set(subjects("training")) & set(subjects("held out"))
    assert len(subjects("held out")) >= 20
    for language in phrasings.languages():
        book = phrasings.load(language)
        for table in (book.sentences, book.questions, book.follow_ups):
            for wordings in table.values():
                training = phrasings.of_part(wordings, "training")
                held_out = phrasings.of_part(wordings, "held out")
                assert not set(training) & set(held_out)
                assert len(held_out) >= 2


def test_targets_of_held_out_pairs_are_never_trained_on():
    """Compare the cited statements of both parts, which have names and slots in them."""
    kinds = [
        {(p.task.language, s.text) for p in pairs(part, 200) for s in p.statements if s.cites}
        for part in PARTS
    ]
    assert not kinds[0] & kinds[1]


@parts
def test_cases_of_a_part_are_of_its_subjects(part):
    rng = np.random.default_rng(2)
    cases = [
        c for _ in range(100) for m in [make_ledger(rng, part)] for c in (m.left_case, m.right_case)
    ]
    assert {(case + 1) // 2 for case in cases if case} <= set(subjects(part))
    assert None in cases


def test_languages_have_the_same_facts_and_questions_with_eight_wordings_each():
    english, chinese = (phrasings.load(language) for language in ("en", "zh"))
    for name in ("short", "openings", "closings", "sentences", "questions", "follow_ups"):
        assert getattr(english, name).keys() == getattr(chinese, name).keys()
    for book in (english, chinese):
        for table in (book.sentences, book.questions, book.follow_ups):
            assert min(len(wordings) for wordings in table.values()) >= 8
            assert all(len(set(wordings)) == len(wordings) for wordings in table.values())


@pytest.mark.parametrize("language", prompts.languages())
def test_every_uncited_answer_has_four_wordings_that_differ(language):
    answers = {k: v for k, v in prompts.load(language).phrases.items() if k.startswith("answer.")}
    assert set(Counter(key[:-2] for key in answers).values()) == {4}
    assert len(set(answers.values())) == len(answers)


def prose_in(text):
    """List what stands between slots and at the ends of lines."""
    return {*re.split(rf"{TOKEN.pattern}|\n", text)[:: TOKEN.groups + 1]}


def test_the_corpus_holds_all_prose_of_every_target():
    known = {language: prose_in(corpus(language)) for language in ("en", "zh")}
    for pair in (*pairs("training", 200), *pairs("held out", 200)):
        assert prose_in(pair.target) <= {"", *known[pair.task.language]}


class Characters:
    """A tokenizer whose pieces are single characters, with one that is a byte."""

    def __init__(self, byte=""):
        self.byte = byte

    def encode_batch(self, input, *, add_special_tokens):  # noqa: A002
        pieces = [[*TOKEN.sub("", text), *([self.byte] if self.byte else [])] for text in input]
        return [type("Encoding", (), {"tokens": found})() for found in pieces]

    def token_to_id(self, token):
        return ord(token)


def test_the_vocabulary_is_what_the_corpus_is_made_of():
    words = vocabulary_words(Characters(), ["en", "zh"])
    assert {"\n", "T", "侧", "。"} <= set(words)
    assert allowed_ids(Characters(), ["en", "zh"]) == tuple(map(ord, words))


@pytest.mark.parametrize("piece", ["<0x31>", "7", "²", "৩", "三百", "①"])
def test_a_piece_that_is_a_number_or_a_byte_is_refused(piece):
    with pytest.raises(ValueError, match="number or a byte"):
        vocabulary_words(Characters(piece), ["en"])


@pytest.mark.parametrize(
    ("piece", "expected"), [("一致", False), ("三点", True), ("volume", False)]
)
def test_a_letter_that_counts_is_a_number_only_where_it_counts(piece, expected):
    assert holds_number(piece) == expected


def test_an_unknown_table_of_wordings_is_refused(tmp_path, monkeypatch):
    (tmp_path / "xx.toml").write_text("[colours]\n", encoding="utf-8")
    (tmp_path / "xx.questions.toml").write_text("", encoding="utf-8")
    monkeypatch.setattr(phrasings, "files", lambda _: tmp_path)
    with pytest.raises(ValueError, match="missing or unknown"):
        phrasings.load("xx")
    with pytest.raises(ValueError, match="no wordings"):
        phrasings.load("yy")
