"""Whatever wants to write, the grammar lets it write only what a report may hold."""

import re
import unicodedata
from functools import cache

import pytest

import prompts
from assistant.writers.vlm.grammar import Group, answer_grammar, prose_of, report_grammar
from assistant.writers.vlm.matcher import GrammarError, make_guide
from assistant.writers.vlm.text import Bounds, DecodingError
from assistant.writers.vlm.vocabulary import SPACE, Vocabulary, make_vocabulary
from tests.adversaries import ADVERSARIES, draft

SLOTS = tuple(f"<unused{n}>" for n in range(1000, 1064))
SECTION, STOP = "<unused2000>", "<end_of_turn>"
SLOT = re.compile(r"<unused\d+>")
ONE_LINE = (Group(SLOTS[:1]),)
SHORT = Bounds(tokens=1000, line_tokens=4)
DRAFTS_EACH = 100  # of four adversaries in two languages: 800
NUMBER_WORDS = [
    word for name in prompts.languages() for word in prompts.load(name).lexicon["number_words"]
]
# "the volume of ..." and "its reason is ...": four reportable records and a withheld pair
READING, NORM = SLOTS[0], SLOTS[2]
WITHHELD = (SLOTS[7], SLOTS[11])
COMPARED = (SLOTS[16], SLOTS[18])
ALONE = SLOTS[22]
GROUPS = (
    Group((READING,), (NORM,)),
    Group(WITHHELD),
    Group((SLOTS[12],), SLOTS[13:15]),
    Group(COMPARED[:1], SLOTS[17:18], COMPARED[1:]),
    Group((), SLOTS[20:21], (ALONE,)),
)
REQUIRED = [READING, *WITHHELD, SLOTS[12], *COMPARED, ALONE]
JOINTS = {"en": (", within the reference range of", " and"), "zh": ("，在参考范围内（", "，")}
LEADS = {"en": ("The index is within the range of", "Index: within"), "zh": ("指数在参考范围内（",)}


@cache
def sentences(language):
    """Return what a phrasebook says between slots."""
    words = prompts.load(language)
    phrases = [text for key, text in words.phrases.items() if "technique" not in key]
    names = [name for sides in words.structures.values() for name in sides.values()]
    texts = [*phrases, *names, *words.reasons.values(), *words.scopes.values()]
    return tuple(part for text in texts for part in re.split(r"\{[^}]*\}", text) if part.strip())


@cache
def prose(language):
    return prose_of(sentences(language), NUMBER_WORDS, JOINTS[language], LEADS[language])


@cache
def guide(language):
    """Build a vocabulary of words, of single letters that spell anything, and of number words."""
    pieces = {piece for text in sentences(language) for piece in cut(text)}
    pieces |= set("etwohrfivnsx") | {"on", "tw", "hundred", SPACE + "four", "ten"}
    base = {piece: 7 * n for n, piece in enumerate(["\n", *sorted(pieces), *SLOTS, SECTION, STOP])}
    return make_guide(make_vocabulary(pieces, (*SLOTS, SECTION), (STOP,), base))


def cut(text):
    """Cut a text into whole words and single characters, so that either can be chosen."""
    marked = text.replace(" ", SPACE)
    return {*re.findall(rf"{SPACE}?[A-Za-z]+", marked), *marked}


@cache
def report(language):
    return guide(language).start(report_grammar(GROUPS, SECTION, prose(language)))


def spell(matcher, vocabulary, text):
    """Hand a text to a matcher, slots as one token and all else letter by letter."""
    for piece in re.findall(rf"{SLOT.pattern}|{STOP}|.", text.replace(" ", SPACE), re.DOTALL):
        matcher.consume(vocabulary.dense[piece])
    return matcher


@cache
def drafts(language, adversary):
    """Write many drafts; every one of them ends, or the test that asks for them fails."""
    vocabulary = guide(language).vocabulary
    make = ADVERSARIES[adversary]
    return tuple(
        tuple(draft(report(language).copy(), vocabulary, make(vocabulary, seed), SHORT))
        for seed in range(DRAFTS_EACH)
    )


each = pytest.mark.parametrize(
    ("language", "adversary"), [(a, b) for a in ("en", "zh") for b in ADVERSARIES]
)


@each
def test_required_slots_stand_in_order_whoever_writes(language, adversary):
    for lines in drafts(language, adversary):
        findings = "\n".join(lines[: lines.index(SECTION)])
        wanted = [slot for slot in SLOT.findall(findings) if slot in REQUIRED]
        assert wanted == REQUIRED


@each
def test_no_draft_holds_a_slot_of_another_study(language, adversary):
    known = {SECTION, *(slot for group in GROUPS for slot in group.slots)}
    written = {
        slot for lines in drafts(language, adversary) for slot in SLOT.findall("".join(lines))
    }
    assert written <= known


@each
def test_a_line_holds_slots_of_one_group(language, adversary):
    groups = [{*group.slots} for group in GROUPS] + [{SECTION}]
    for lines in drafts(language, adversary):
        for line in lines:
            assert any({*SLOT.findall(line)} <= group for group in groups)


@each
def test_what_is_compared_stands_in_one_sentence_with_its_range(language, adversary):
    first, then = COMPARED
    for lines in drafts(language, adversary):
        findings = lines[: lines.index(SECTION)]
        (line,) = [line for line in findings if first in line and then in line]
        assert line.split(first)[1].split(then)[0] in JOINTS[language]


@each
def test_what_is_compared_alone_begins_as_such_a_sentence_does(language, adversary):
    for lines in drafts(language, adversary):
        findings = lines[: lines.index(SECTION)]
        begins = [line.split(ALONE)[0] for line in findings if ALONE in line]
        assert any(begin in LEADS[language] for begin in begins)


@each
def test_no_draft_holds_a_numeric_character(language, adversary):
    for lines in drafts(language, adversary):
        prose_alone = SLOT.sub("", "".join(lines))
        assert not [c for c in prose_alone if unicodedata.category(c).startswith("N") or c == "%"]


@each
def test_no_draft_holds_a_forbidden_number_word(language, adversary):
    forbidden = {word for word in prose(language).forbidden if word.isascii()}
    for lines in drafts(language, adversary):
        for line in lines:
            written = {word.lower() for word in re.findall("[A-Za-z]+", SLOT.sub(" ", line))}
            assert not written & forbidden


@each
def test_after_the_section_token_something_is_said(language, adversary):
    for lines in drafts(language, adversary):
        assert all(line and line == line.strip() for line in lines)
        assert 1 <= len(lines) - 1 - lines.index(SECTION) <= len(GROUPS) + 1
        assert all(SLOT.search(line) for line in lines)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_sentence_of_the_phrasebook_can_be_written(language):
    grammar = answer_grammar((Group(SLOTS[:1], SLOTS[:1]),), prose(language))
    start = guide(language).start(grammar)
    texts = [text for key, text in prompts.load(language).phrases.items() if "technique" not in key]
    for text in texts:
        slotted = re.sub(r"\{[^}]*\}", SLOTS[0], text)
        if SLOTS[0] not in slotted:
            slotted = f"{slotted[:-1]}{SLOTS[0]}{slotted[-1]}"
        assert (
            len(SLOT.findall(slotted)) > 3
            or spell(start.copy(), guide(language).vocabulary, slotted + STOP).is_ended
        )


@pytest.mark.parametrize("word", ["four", "Four", "hundred", "tenfold", "II", "IX"])
def test_a_number_word_cannot_be_spelled_from_letters(word):
    vocabulary = guide("en").vocabulary
    start = guide("en").start(answer_grammar(ONE_LINE, prose("en")))
    with pytest.raises((GrammarError, KeyError)):
        spell(start.copy(), vocabulary, f"It {SLOTS[0]} is {word} .")


def test_a_word_may_hold_the_letters_of_a_number_word():
    start = guide("en").start(answer_grammar(ONE_LINE, prose("en")))
    assert spell(
        start, guide("en").vocabulary, f"The networks weigh {SLOTS[0]} often.{STOP}"
    ).is_ended


def test_a_han_numeral_stands_only_where_the_phrases_have_it():
    vocabulary = guide("zh").vocabulary
    start = guide("zh").start(answer_grammar(ONE_LINE, prose("zh")))
    assert spell(start.copy(), vocabulary, f"左侧{SLOTS[0]}零值。{STOP}").is_ended
    with pytest.raises(GrammarError):
        spell(start.copy(), vocabulary, f"左侧{SLOTS[0]}零海")


def test_a_text_cannot_end_before_its_required_slots():
    matcher = report("en").copy()
    with pytest.raises(GrammarError, match="stops before"):
        spell(matcher, guide("en").vocabulary, f"The volume.{STOP}")


def test_a_foreign_slot_is_refused():
    with pytest.raises(GrammarError, match="may not stand here"):
        spell(report("en").copy(), guide("en").vocabulary, f"The volume {SLOTS[40]}")


def test_a_required_slot_is_not_written_out_of_order():
    with pytest.raises(GrammarError):
        spell(report("en").copy(), guide("en").vocabulary, f"The volume {WITHHELD[0]}")


def test_reasons_that_are_withheld_together_stand_together():
    spelled = f"The volume{READING}.\nThe reason{WITHHELD[0]} and "
    with pytest.raises(GrammarError):
        spell(report("en").copy(), guide("en").vocabulary, spelled + WITHHELD[1])


@pytest.mark.parametrize(
    "line",
    [" The volume", f"The volume{SLOTS[0]}. \n", f"The volume{SLOTS[0]}.\n\n", "The volume.\n"],
)
def test_a_line_has_no_space_around_it_and_is_not_blank(line):
    start = guide("en").start(answer_grammar(ONE_LINE, prose("en")))
    with pytest.raises(GrammarError):
        spell(start, guide("en").vocabulary, line)


def test_nothing_is_added_after_the_end():
    matcher = guide("en").start(answer_grammar(ONE_LINE, prose("en")))
    spell(matcher, guide("en").vocabulary, f"The volume {SLOTS[0]}.{STOP}")
    with pytest.raises(GrammarError, match="may not stand here"):
        matcher.consume(0)


def test_a_text_that_outgrows_its_bound_is_a_failure():
    vocabulary = guide("en").vocabulary
    change = ADVERSARIES["random"](vocabulary, 0)
    with pytest.raises(DecodingError, match="no end after 20 tokens"):
        draft(report("en").copy(), vocabulary, change, Bounds(tokens=20))


def test_a_slot_that_the_vocabulary_lacks_is_refused():
    grammar = report_grammar((Group(("<unused5>",)),), SECTION, prose("en"))
    with pytest.raises(GrammarError, match="<unused5>"):
        guide("en").start(grammar)


def test_what_is_no_grammar_is_refused():
    grammar = report_grammar((Group((READING,)),), SECTION, prose_of(["a"], []))
    with pytest.raises(GrammarError, match="cannot be followed"):
        guide("en").start(grammar)


@pytest.mark.parametrize(
    "groups", [GROUPS[:2], (GROUPS[1], GROUPS[0], GROUPS[2]), (*GROUPS[:2], Group((SLOTS[12],)))]
)
def test_another_study_has_another_grammar_hash(groups):
    same = report_grammar(GROUPS, SECTION, prose("en")).sha256
    assert report_grammar(groups, SECTION, prose("en")).sha256 != same
    assert report_grammar(GROUPS, SECTION, prose("en")).sha256 == same


@pytest.mark.parametrize("text", ["the T1 image", "a share of ⅔", "٣ cases", "five %"])
def test_a_text_with_a_number_teaches_no_prose(text):
    with pytest.raises(ValueError, match="numbers and units stand in slots"):
        prose_of([text], [])


@pytest.mark.parametrize("text", ["二十侧", "共三"])
def test_a_han_number_teaches_no_prose(text):
    with pytest.raises(ValueError, match="a numeral stands before a letter"):
        prose_of([text], [])


def test_a_number_word_that_the_texts_use_is_not_forbidden():
    found = prose_of(["The interval excludes zero."], ["zero", "one", "per cent"])
    assert found.forbidden == ("one",)


def vocabulary_of(*words):
    pieces = ("\n", *words)
    return Vocabulary(pieces, (SECTION,), (STOP,), tuple(range(len(pieces) + 2)))


@pytest.mark.parametrize("word", ["1", "a²", "Ⅳ", "৩", "٣", "½", "二十", "<0x31>", "<unused7>", ""])
def test_a_word_that_can_say_a_number_is_refused(word):
    with pytest.raises(ValueError, match="a word"):
        vocabulary_of("volume", word)


def test_a_token_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="twice: \\['left'\\]"):
        vocabulary_of("left", "left")


def test_a_slot_that_is_spelled_with_letters_is_refused():
    with pytest.raises(ValueError, match="angle brackets"):
        Vocabulary(("\n",), ("reading",), (STOP,), (0, 1, 2))


def test_tokens_of_one_id_are_refused():
    with pytest.raises(ValueError, match="an id of its own"):
        Vocabulary(("\n",), (SECTION,), (STOP,), (0, 1, 1))


def test_a_vocabulary_without_a_stop_is_refused():
    with pytest.raises(ValueError, match="one stop token"):
        Vocabulary(("\n",), (SECTION,), (), (0, 1))


def test_a_piece_that_the_base_lacks_is_named():
    with pytest.raises(ValueError, match="hippocampus"):
        make_vocabulary(["hippocampus"], (SECTION,), (STOP,), {"\n": 0, SECTION: 1, STOP: 2})
