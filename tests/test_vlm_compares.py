"""A writer that was trained on comparisons words them itself; another leaves them to stock."""

from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

import prompts
from assistant import exams
from assistant.draft import Draft
from assistant.finish import compose
from assistant.writers import Brief, drain, phrasings
from assistant.writers.vlm.adapter import WEIGHTS, words_comparisons
from assistant.writers.vlm.asking import Request, grammar_of, texts_of
from assistant.writers.vlm.author import Author
from assistant.writers.vlm.base import cached_base
from assistant.writers.vlm.data import training_pairs
from assistant.writers.vlm.joining import joined
from assistant.writers.vlm.matcher import GrammarError
from assistant.writers.vlm.plan import TrainingPlan
from assistant.writers.vlm.prompt import Markup, write_prompt
from assistant.writers.vlm.slots import SECTION_TOKEN, TOKEN, SlotTable, sides_compared
from assistant.writers.vlm.sources import Source
from assistant.writers.vlm.writer import VisionLanguage
from segment.change import YEARLY
from tests.ledgers import followed, followup_ledger, plain_ledger, visit
from tests.test_vlm_writer import spelled_out
from tests.toy_writer import report_of, steered, towards

EXAM = exams.load("hippocampus")
QUESTION = {"en": "What has changed since the last scan?", "zh": "与上次检查相比有什么变化？"}
SHRUNK = {"en": "Has the left hippocampus shrunk?", "zh": "左侧海马缩小了吗？"}
languages = pytest.mark.parametrize("language", prompts.languages())


@cache
def ledger(kind="one"):
    """Return a ledger after one prior, after two, or after one that cannot be compared."""
    if kind == "two":
        plain = plain_ledger()
        first = visit(plain.records, 1.1, "2020-01-01")
        return followed(plain, first, visit(plain.records, 1.06, "2023-05-01"))
    if kind == "another grid":
        return followup_ledger(1.06, spacing_mm=(1.0, 1.0, 3.0))
    return followup_ledger(1.06)


def brief(language="en", kind="one"):
    return Brief(ledger(kind), EXAM, prompts.load(language))


@cache
def wanted(language="en", kind="one"):
    """Return the texts of a report as a tuned model writes them."""
    about = brief(language, kind)
    rng = np.random.default_rng(5)
    author = Author(rng, "training", about.phrasebook, phrasings.load(language), about.ledger)
    texts = [_text((), author.findings(), author.impression(), about)]
    for side in sides_compared(about.ledger):
        texts.append(_text(side, author.comparison(side), author.changes(side), about))
    return tuple(texts)


def _text(compared, said, shortly, about):
    table = SlotTable.of(about.ledger, compared)
    parts = ("\n".join(map(table.encode, part)) for part in (said, shortly))
    return f"\n{SECTION_TOKEN}\n".join(parts)


def written(about, texts, *, compares=True):
    """Compose what the toy writes; return it and the prompts of its texts."""
    ready, decoder = steered([towards(text) for text in texts], compares=compares)
    composed = drain(compose(VisionLanguage.of(ready).write(about), about))
    return composed, [_decoded(ready, prompt) for prompt in decoder.seen]


def _decoded(ready, prompt):
    return ready.model.tokenizer.decode(prompt.tokens.tolist(), skip_special_tokens=False)


# reports


@languages
@pytest.mark.parametrize(
    "kind", ["one", *(pytest.param(k, marks=pytest.mark.slow) for k in ("two", "another grid"))]
)
def test_a_report_with_a_prior_has_its_comparison_in_the_models_words(kind, language):
    about = brief(language, kind)
    composed, _ = written(about, wanted(language, kind))
    assert (composed.problems, composed.draft.failures) == ((), ())
    report = report_of(composed, about)
    assert set(composed.lines) <= set(report.lines)
    told = {cite for x in composed.lines if x.section == "comparison" for cite in x.cites}
    assert told == {r.id for r in about.ledger.records if r.is_of_comparison}
    short = [x for x in report.lines if x.section == "impression"]
    assert set(short) <= set(composed.lines)


def test_each_side_is_a_text_of_its_own_without_pictures():
    about = brief()
    _, prompts_ = written(about, wanted())
    assert [prompt.count("task: comparison") for prompt in prompts_] == [0, 1, 1]
    assert "relative volume change, left hippocampus: " in prompts_[1]
    assert "right hippocampus" not in prompts_[1]
    assert "left hippocampus" not in prompts_[2]
    assert "relative volume change" not in prompts_[0]


def test_a_model_that_saw_no_comparison_is_asked_for_none_and_says_so():
    about = brief()
    composed, prompts_ = written(about, wanted()[:1], compares=False)
    assert len(prompts_) == 1
    compared = [r.id for r in about.ledger.records if r.is_of_comparison]
    assert composed.draft.facts["left_out"] == compared
    assert not [x for x in composed.lines if x.section == "comparison"]
    stock = [x for x in report_of(composed, about).lines if x.section == "comparison"]
    assert {cite for x in stock for cite in x.cites} == set(compared)


def test_what_wrote_the_comparison_stands_in_the_provenance():
    about = brief()
    composed, _ = written(about, wanted())
    facts = composed.draft.facts
    tables = [SlotTable.of(about.ledger, side) for side in sides_compared(about.ledger)]
    assert facts["comparison_grammar_sha256"] == [grammar_of(t, "en").sha256 for t in tables]
    assert facts["grammar_sha256"] == grammar_of(SlotTable.of(about.ledger), "en").sha256
    assert "left_out" not in facts
    words = [prompts.load(name).provenance for name in prompts.languages()]
    assert all("comparison_grammar_sha256" in known for known in words)


@languages
def test_a_false_verdict_gives_way_to_the_stock_sentence(language):
    about = brief(language)
    true = prompts.load(language).lexicon["changes"]["decreased"]
    false = {"en": ("decrease", "increase"), "zh": ("缩小", "增大")}[language]
    main, left, right = wanted(language)
    assert false[0] in left
    left = left.replace(f"a {false[0]}", f"an {false[1]}").replace(*false)
    composed, _ = written(about, (main, left, right))
    assert len(composed.problems) == left.count(false[1])
    report = report_of(composed, about)
    assert not [x for x in report.lines if false[1] in x.text]
    assert any(phrase in x.text for x in report.lines for phrase in true)


def test_a_text_that_breaks_off_leaves_the_other_sides_words():
    about = brief()
    ready, _ = steered(
        [towards(wanted()[0]), towards(wanted()[1], breaks_after=2), towards(wanted()[2])],
        compares=True,
    )
    composed = drain(compose(VisionLanguage.of(ready).write(about), about))
    assert len(composed.draft.failures) == 1
    told = {cite for x in composed.lines for cite in x.cites if x.section == "comparison"}
    assert len(told) == 2 + len(sides_compared(about.ledger)[1])
    report_of(composed, about)


def test_several_reports_at_once_are_those_of_one_after_the_other():
    abouts = [brief(), brief("zh")]
    texts = [towards(text) for name in ("en", "zh") for text in wanted(name)]
    ready, _ = steered(texts, compares=True)
    together = dict(VisionLanguage.of(ready).write_many(iter(abouts), 2))
    for place, about in enumerate(abouts):
        ready, _ = steered(texts[3 * place : 3 * place + 3], compares=True)
        assert drain(VisionLanguage.of(ready).write(about)) == together[place]


def test_without_a_prior_there_is_one_text():
    about = Brief(plain_ledger(), EXAM, prompts.load("en"))
    request = Request()
    assert texts_of(about, request, compares=True) == (request,)
    assert len(texts_of(brief(), request, compares=True)) == 3
    assert texts_of(brief(), request, compares=False) == (request,)


def test_drafts_are_joined_in_their_order():
    one = Draft((), "vlm", 0, {"grammar_sha256": "a"}, ("x",), took={})
    other = Draft((), "vlm", 0, {"grammar_sha256": "b", "left_out": ["m9"]}, ("y",))
    both = joined([one, other])
    assert both.facts == {
        "grammar_sha256": "a",
        "comparison_grammar_sha256": ["b"],
        "left_out": ["m9"],
    }
    assert both.failures == ("x", "y")
    assert joined([one]).facts == one.facts


# answers


def change_of(side):
    return next(
        r
        for r in ledger().records
        if (r.structure, r.side, r.quantity) == ("hippocampus", side, "relative volume change")
    )


@languages
def test_an_answer_about_what_changed_is_in_the_models_words(language):
    about = brief(language)
    book = phrasings.load(language)
    author = Author(np.random.default_rng(3), "training", about.phrasebook, book, about.ledger)
    told = [r for r in about.ledger.records if r.quantity in ("relative volume change", YEARLY)]
    told = [r for r in told if r.structure == "hippocampus"]
    said = [author.tell(record, "answer", "range") for record in told]
    table = SlotTable.of(about.ledger, [r.id for r in told])
    ready, decoder = steered(towards("\n".join(map(table.encode, said))), compares=True)
    answer = VisionLanguage.of(ready).answer(about, QUESTION[language])
    composed = drain(compose(answer, about))
    assert composed.problems == ()
    assert [s.text for s in composed.statements] == [s.text for s in said]
    assert len(decoder.seen) == 1


@languages
def test_an_answer_about_a_size_words_the_change_in_a_second_text(language):
    about = brief(language)
    book = phrasings.load(language)
    author = Author(np.random.default_rng(3), "training", about.phrasebook, book, about.ledger)
    change = change_of("left")
    place = author.tell(about.ledger["m1"], "answer", "range")
    said = author.tell(change, "answer", "range")
    texts = [
        SlotTable.of(about.ledger).encode(place),
        SlotTable.of(about.ledger, (change.id,)).encode(said),
    ]
    ready, decoder = steered([towards(text) for text in texts], compares=True)
    composed = drain(compose(VisionLanguage.of(ready).answer(about, SHRUNK[language]), about))
    assert [s.text for s in composed.statements] == [place.text, said.text]
    assert len(decoder.seen) == 2


def test_a_model_that_saw_no_comparison_answers_in_stock_sentences():
    about = brief()
    ready, decoder = steered(lambda logits, tokens: logits)
    composed = drain(compose(VisionLanguage.of(ready).answer(about, QUESTION["en"]), about))
    assert decoder.seen == []
    assert composed.statements[0].stock == "change.decreased"
    assert composed.lines[0].cites == (change_of("left").id,)


# the grammar


@pytest.mark.parametrize("kind", ["one", "two", "another grid"])
@languages
def test_the_grammar_of_a_comparison_allows_what_is_trained(kind, language):
    for side, text in zip(sides_compared(ledger(kind)), wanted(language, kind)[1:], strict=True):
        spelled_out(grammar_of(SlotTable.of(ledger(kind), side), language), text)


def swapped(text, one, other):
    return text.replace(one, "<other>").replace(other, one).replace("<other>", other)


@languages
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("m8", "reading"), ("m9", "reading")),
        (("m8", "date"), ("m9", "date")),
        (("m8", "reading"), ("m8", "date")),
        (("m14", "reading"), ("m15", "reading")),
        (("m14", "since"), ("m15", "since")),
        (("m14", "reading"), ("m14", "since")),
        (("m14", "reading"), ("m14", "error")),
        (("m14", "error"), ("m14", "since")),
    ],
)
def test_slots_of_a_comparison_cannot_be_swapped(one, other, language):
    side = sides_compared(ledger())[0]
    table = SlotTable.of(ledger(), side)
    text = wanted(language)[1]
    wrong = swapped(text, table.token(*one), table.token(*other))
    assert wrong != text
    with pytest.raises(GrammarError):
        spelled_out(grammar_of(table, language), wrong)


@languages
@pytest.mark.parametrize("field", ["since", "error", "reading"])
def test_a_change_without_its_day_error_or_number_cannot_be_written(field, language):
    table = SlotTable.of(ledger(), sides_compared(ledger())[0])
    text = wanted(language)[1]
    before, section, after = text.partition(SECTION_TOKEN)
    wrong = before.replace(table.token("m14", field), "") + section + after
    with pytest.raises(GrammarError):
        spelled_out(grammar_of(table, language), wrong)


def test_a_withheld_side_has_its_day_once_and_its_reasons_together():
    held = ledger("another grid")
    text = wanted("en", "another grid")[1]
    line = next(line for line in text.split("\n") if len(TOKEN.findall(line)) == 4)
    table = SlotTable.of(held, sides_compared(held)[0])
    decoded, cites = table.decode(line)
    assert len(cites) == 3
    assert f"{{{cites[0]}.since}}" in decoded
    assert f"{{{cites[0]}.reason}}" in decoded
    assert decoded.count("{") == 2


# prompts and lengths


def test_a_comparison_is_listed_with_its_verdicts():
    side = sides_compared(ledger())[0]
    task = next(
        pair.task
        for pair in training_pairs(np.random.default_rng(1), 400, ("en",))
        if pair.topic == "comparison"
    )
    text = write_prompt(task, Markup()).text
    assert text.rstrip().endswith("task: comparison<end_of_turn>\n<start_of_turn>model")
    table = SlotTable.of(ledger(), side)
    slots = "".join(table.token("m14", field) for field in ("since", "reading", "error"))
    about = type(task)(ledger(), "en", compared=side)
    lines = write_prompt(about, Markup()).text.split("\n")
    told = f"relative volume change, left hippocampus: {slots} reliable, decreased beyond error"
    assert told in lines
    assert [line for line in lines if line.startswith("volume, ")] == []


def test_what_a_comparison_has_no_room_for_is_named():
    side = sides_compared(ledger("two"))[0]
    task = next(training_pairs(np.random.default_rng(1), 1, ("en",))).task
    about = type(task)(ledger("two"), "en", compared=side)
    whole = write_prompt(about, Markup())
    assert whole.left_out == ()
    short = write_prompt(about, Markup(), window=len(whole.text) - 40)
    assert short.left_out == side[-len(short.left_out) :]


@pytest.mark.slow
@pytest.mark.skipif(cached_base() is None, reason="the embedded model is not in the cache")
def test_a_sample_about_a_comparison_is_no_longer_than_the_shipped_plan_takes():
    plan = TrainingPlan.read(Path(str(files("assistant.writers.vlm").joinpath("train.toml"))))
    tokenizer = Tokenizer.from_file(str(cached_base() / "tokenizer.json"))
    lengths = [
        len(tokenizer.encode(write_prompt(pair.task, Markup()).text + pair.target).ids)
        for pair in training_pairs(np.random.default_rng(2), 600)
        if pair.task.compared
    ]
    assert len(lengths) > 60
    assert max(lengths) < plan.longest


# what a training says of itself


def test_an_adapter_that_does_not_say_so_was_not_trained_on_comparisons(tmp_path):
    assert not words_comparisons(tmp_path)
    assert Source(None, tmp_path, None, None).adapter_folder == tmp_path / "adapter"
    assert Source("whole", None, None, None).adapter_folder is None
    assert Source(None, tmp_path, tmp_path / "own", None).adapter_folder == tmp_path / "own"
    assert WEIGHTS.endswith(".safetensors")
