"""The page says the same things in every language."""

import string

import pytest

import prompts
from assistant import exports
from assistant.denial import Denial, DeniedError
from assistant.page.told import HELPS, help_for, told
from assistant.serve.resume import DIED
from assistant.writers.vlm.errors import Fault
from prompts import page
from segment.errors import Refusal


def slots(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


@pytest.mark.parametrize("language", prompts.languages())
def test_a_language_of_the_page_has_the_keys_and_slots_of_english(language):
    english, other = page.load("en"), page.load(language)
    assert {key: slots(text) for key, text in other.items()} == {
        key: slots(text) for key, text in english.items()
    }


@pytest.mark.parametrize("language", prompts.languages())
def test_no_word_of_the_page_is_empty(language):
    assert [key for key, text in page.load(language).items() if not text.strip()] == []


@pytest.mark.parametrize("language", prompts.languages())
def test_every_reason_code_has_words(language):
    codes = {*Refusal, *Fault, "internal", DIED}
    assert {key for key in page.load(language) if key.startswith("refused.")} == {
        f"refused.{code}" for code in codes
    }


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="unknown language"):
        page.load("xx")


def test_a_reason_code_is_a_word_of_its_own():
    assert all(":" not in code for code in Refusal)


@pytest.mark.parametrize("language", prompts.languages())
def test_whatever_is_denied_has_words(language):
    codes = {*Denial, "upload"}
    assert {key for key in page.load(language) if key.startswith("denied.")} == {
        f"denied.{code}" for code in codes
    }


def test_what_is_not_done_is_told_in_the_pages_words_first():
    error = DeniedError(Denial.NOTHING_TO_UNDO, "expected a change to undo, found none; go on")
    assert told(error, "zh") == f"没有可撤销的更改。（{error}）"
    assert told(ValueError("expected one thing"), "zh") == "expected one thing"


def test_a_refusal_helps_with_one_thing_at_most():
    codes = [code for group in HELPS.values() for code in group]
    assert len(codes) == len(set(codes))
    assert help_for(Refusal.SERVER, "en") == page.load("en")["help.operator"]


@pytest.mark.parametrize("language", prompts.languages())
def test_every_format_of_a_file_has_words(language):
    formats = {key for key in page.load(language) if key.startswith("export.format.")}
    assert formats == {f"export.format.{name}" for name in exports.available()}
