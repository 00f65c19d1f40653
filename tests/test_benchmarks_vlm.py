"""The benchmarks of the writer count what they say: a wrong number, a wrong answer, a refusal."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest

import prompts
from assistant.answer import Answer
from assistant.draft import Draft
from assistant.finish import compose, finish, replay
from assistant.render import render
from assistant.writers import Brief, drain
from assistant.writers.vlm.author import exam
from assistant.writers.vlm.data import UNANSWERABLE, held_out_pairs
from assistant.writers.vlm.ledgers import make_ledger
from assistant.writers.vlm.text import Bounds
from segment.change import RELATIVE, YEARLY
from tests.benchmarks import adversarial, chat, writers
from tests.benchmarks.adversarial import Job, Tally
from tests.benchmarks.harmful import LANGUAGES, NAMES
from tests.benchmarks.plain_numbers import foreign, numbers, unbound
from tests.benchmarks.plain_words import claims, contradictions
from tests.drafts import template_draft
from tests.ledgers import BEFORE, NOW, followup_ledger, plain_ledger, refused_ledger, wide_ledger

SHORT = Bounds(line_tokens=2)
ONE_EACH = range(len(NAMES) * len(LANGUAGES))
languages = pytest.mark.parametrize("language", LANGUAGES)


def brief(language="en", ledger=None):
    return Brief(ledger or plain_ledger(), exam(), prompts.load(language))


def report(language="en", ledger=None):
    asked = brief(language, ledger)
    draft = template_draft(asked.ledger, asked.exam, asked.phrasebook)
    return finish(draft, asked.ledger, asked.exam, asked.phrasebook, {})


def told(language="en"):
    """Return the report's first line about the left hippocampus, and all records."""
    written = report(language)
    line = next(line for line in written.lines if line.cites == ("m1",))
    return line, {record.id: record for record in written.measurements}


# numbers, read plainly


@languages
@pytest.mark.parametrize("make", [plain_ledger, wide_ledger, refused_ledger])
def test_the_plain_reader_finds_nothing_in_a_report_that_holds(language, make):
    written = report(language, make())
    records = {record.id: record for record in written.measurements}
    for line in written.lines:
        assert (foreign(line, records), unbound(line, records)) == ((), ())


def test_the_plain_reader_finds_nothing_in_held_out_reports():
    for pair in held_out_pairs(np.random.default_rng(3), 30):
        asked = brief(pair.task.language, pair.task.ledger)
        records = {record.id: record for record in pair.task.ledger.records}
        for statement in pair.statements:
            line = adversarial.rendered(statement, asked)
            assert (foreign(line, records), unbound(line, records)) == ((), ())


@languages
def test_every_number_of_a_line_is_found_when_it_is_changed(language):
    line, records = told(language)
    assert len(numbers(line.text)) >= 4
    for number in set(numbers(line.text)):
        changed = line.text.replace(number, f"{number[:-1]}{(int(number[-1]) + 5) % 10}", 1)
        assert foreign(replace(line, text=changed), records) != ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" mL", " %"),
        ("hippocampus", "hippocampus, two"),
        ("hippocampus", "hippocampus ٣"),
        ("hippocampus", "hippocampus 三十毫升"),
    ],
)
def test_a_number_of_another_unit_or_in_words_is_foreign(old, new):
    line, records = told()
    assert foreign(replace(line, text=line.text.replace(old, new)), records) != ()


def test_a_number_under_another_side_or_of_another_record_is_found():
    line, records = told()
    assert unbound(replace(line, text=line.text.replace("left", "right")), records) == ("m1",)
    assert foreign(replace(line, cites=("m4",)), records) != ()


def test_a_number_of_a_withheld_record_is_foreign():
    line, records = told()
    withheld = {record.id: record for record in refused_ledger().records}
    assert withheld["m1"].reason is not None
    assert foreign(line, records) == ()
    assert foreign(line, withheld) != ()


# changes, read plainly


def compared(language="en", scale=1.06):
    """Return a report with a prior, its first line about a change, and all records."""
    written = report(language, followup_ledger(scale))
    records = {record.id: record for record in written.measurements}
    change = next(r for r in written.measurements if r.quantity == RELATIVE)
    line = next(line for line in written.lines if line.cites == (change.id,))
    return written, line, records


@languages
@pytest.mark.parametrize("scale", [0.9, 1.01, 1.06])
def test_the_plain_readers_find_nothing_in_a_comparison_that_holds(language, scale):
    written, _, records = compared(language, scale)
    for line in written.lines:
        assert (foreign(line, records), unbound(line, records)) == ((), ())
    for line in (x for x in written.lines if x.cites and x.section in ("comparison", "impression")):
        assert contradictions(line.text, [records[cite] for cite in line.cites]) == ()


@languages
def test_a_change_of_another_sign_unit_or_day_is_foreign(language):
    _, line, records = compared(language)
    a_year = {"en": "%/year", "zh": "%/年"}[language]
    value = numbers(line.text)[0]
    assert value.startswith("−")
    for old, new in (
        (value, value[1:]),
        (" %", f" {a_year}"),
        (BEFORE, "2023-05-02"),
        (NOW, BEFORE),
    ):
        assert old in line.text
        assert foreign(replace(line, text=line.text.replace(old, new, 1)), records) != ()


@languages
def test_days_in_the_other_order_are_foreign(language):
    _, line, records = compared(language)
    swapped = line.text.replace(BEFORE, "x").replace(NOW, BEFORE).replace("x", NOW)
    assert foreign(replace(line, text=swapped), records) == (f"first day {NOW}", f"day {BEFORE}")


def test_a_rate_is_no_change():
    written, line, records = compared()
    rate = next(r for r in written.measurements if r.quantity == YEARLY)
    assert foreign(replace(line, cites=(rate.id,)), records) != ()


@languages
@pytest.mark.parametrize(
    ("scale", "verdict"), [(0.9, "increased"), (1.01, "within error"), (1.06, "decreased")]
)
def test_a_verdict_is_a_contradiction_where_it_does_not_hold(language, scale, verdict):
    line = compared(language, scale)[1]
    assert claims(line.text) == (verdict,)
    for other in {0.9, 1.01, 1.06} - {scale}:
        _, _, others = compared(language, other)
        (cite,) = line.cites
        assert contradictions(line.text, [others[cite]]) == (f"{verdict} of {cite}",)


@pytest.mark.parametrize("text", ["The volume is stable.", "左海马体积稳定。"])
def test_nothing_is_ever_stable(text):
    _, line, records = compared(scale=1.01)
    assert contradictions(text, [records[line.cites[0]]]) != ()


# adversarial drafts


@pytest.mark.parametrize(
    ("numbers", "keys"),
    [
        (range(2), {(NAMES[0], language) for language in LANGUAGES}),
        pytest.param(ONE_EACH, {*product(NAMES, LANGUAGES)}, marks=pytest.mark.slow),
    ],
)
def test_no_wrong_number_reaches_a_report_whoever_writes(numbers, keys):
    counted = adversarial.work(Job(numbers, 0, None, SHORT))
    assert {*counted.tallies} == keys
    for tally in counted.tallies.values():
        assert tally.drafts == 1
        assert tally.statements > 0
        assert (tally.wrong_lines, tally.wrong_reports, tally.refused_reports) == (0, 0, 0)


@pytest.mark.parametrize("name", ["random", pytest.param("borrowing", marks=pytest.mark.slow)])
def test_no_wrong_number_of_a_comparison_reaches_a_report(name):
    number = next(
        n
        for n in range(200)
        if (NAMES[n // len(LANGUAGES) % len(NAMES)] == name) and "with a prior" in kinds_made(n)
    )
    counted = adversarial.work(Job(range(number, number + 1), 0, None, SHORT))
    assert counted.ledgers["with a prior"] == 1
    (tally,) = counted.tallies.values()
    assert tally.statements > 7
    assert (tally.wrong_lines, tally.wrong_reports, tally.refused_reports) == (0, 0, 0)


def kinds_made(number, seed=0):
    """Say what kind of ledger a draft of a number has."""
    rng = np.random.default_rng((seed, number))
    part = "held out" if rng.random() < 0.5 else "training"
    return {*adversarial.kinds_of(make_ledger(rng, part).ledger)}


def test_the_same_seed_makes_the_same_drafts():
    job = Job(range(1), 5, None, SHORT)
    assert adversarial.work(job) == adversarial.work(job)


def test_a_report_with_a_wrong_number_is_counted_once():
    whole = report()
    first = next(n for n, line in enumerate(whole.lines) if line.cites == ("m1",))
    lines = list(whole.lines)
    lines[first] = replace(lines[first], text=lines[first].text.replace(" mL", "9 mL"))
    counted = adversarial.count(replace(whole, lines=tuple(lines)), brief(), ())
    assert (counted.wrong_lines, counted.wrong_reports, counted.refused_reports) == (1, 1, 1)


def test_none_of_ten_thousand_bounds_the_share_as_the_exact_interval_does():
    assert Tally(drafts=10_000).upper == pytest.approx(1 - 0.025 ** (1 / 10_000))


@pytest.mark.slow
def test_a_table_of_all_drafts_is_printed(capsys):
    adversarial.main(["--drafts", "1", "--line-tokens", "2"])
    printed = capsys.readouterr().out
    assert "| all | both | 1 |" in printed
    assert "drafts a second" in printed


# questions


def answered(pair, statements=None):
    """Return the answer that a pair expects, or another, as the product composes it."""
    asked = brief(pair.task.language, pair.task.ledger)
    draft = Draft(tuple(statements or pair.statements), "expected")
    composed = drain(compose(replay(draft), asked))
    return Answer(pair.task.question, composed.lines, composed.problems, {}, composed.statements)


@cache
def questions():
    return chat.questions(30, 1)


def unanswerable():
    """Return a question that this study holds no answer to, and not about who the patient is."""
    return next(p for p in questions() if p.topic in {*UNANSWERABLE} - {"identity"})


def reliable():
    """Return a question about the volume of something reliable."""
    return next(
        pair
        for pair in questions()
        if pair.topic == "volume" and "{" in pair.statements[0].text
        if pair.task.ledger[pair.statements[0].cites[0]].reason is None
    )


def test_three_in_ten_questions_cannot_be_answered():
    asked = questions()
    assert len(asked) == 30
    assert sum(pair.topic in UNANSWERABLE for pair in asked) == 9


def test_the_expected_answer_is_right():
    for pair in questions():
        checked = chat.check(pair, answered(pair))
        assert checked.wrong == ()
        assert checked.is_declined == (pair.topic in UNANSWERABLE)


def test_a_refusal_of_another_kind_declines_and_is_not_right():
    pair, other = unanswerable(), "answer.identity.a"
    said = replace(pair.statements[0], text=prompts.load(pair.task.language).phrases[other])
    checked = chat.check(pair, answered(pair, [said]))
    assert checked.is_declined
    assert "says ['answer.identity']" in checked.wrong[0]


def test_an_answer_to_what_cannot_be_answered_is_not_declined():
    pair = unanswerable()
    lines = report(pair.task.language, pair.task.ledger).lines
    cited = tuple(line for line in lines if line.cites)
    checked = chat.check(pair, replace(answered(pair), lines=cited))
    assert not checked.is_declined
    assert checked.wrong


def test_an_answer_about_another_record_or_with_a_wrong_number_is_wrong():
    pair = reliable()
    right = answered(pair)
    (line,) = right.lines
    other = next(r.id for r in pair.task.ledger.records if r.id not in line.cites)
    for wrong in (replace(line, cites=(other,)), replace(line, text=line.text + " 99.99 mL")):
        assert chat.check(pair, replace(right, lines=(wrong,))).wrong


def test_an_answer_without_its_number_is_wrong():
    pair = reliable()
    right = answered(pair)
    bare = replace(right.lines[0], text="...")
    assert chat.check(pair, replace(right, lines=(bare,))).wrong == (
        "tells no number of a reliable record",
    )


def test_a_table_of_all_questions_is_printed(capsys):
    chat.main(["--questions", "6"])
    printed = capsys.readouterr().out
    assert "| all | 6 |" in printed
    assert "unanswerable, declined: " in printed


# words, read plainly


def test_held_out_reports_contradict_none_of_their_records():
    for pair in held_out_pairs(np.random.default_rng(5), 30):
        if pair.topic in (*writers.WHOLE, "change"):
            ledger, words = pair.task.ledger, prompts.load(pair.task.language)
            for said in pair.statements:
                text = render(said, ledger, words)
                assert contradictions(text, [ledger[cite] for cite in said.cites]) == ()


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("The volume is 3.1 mL, which is lower than the reference range.", "below"),
        ("The volume is 3.1 mL; this is neither below nor above the reference range.", "within"),
        ("The index is 2 %; neither side is shown to be larger.", "no difference"),
        ("左海马体积 3.1 mL，高于参考范围。", "above"),
        ("左海马体积 3.1 mL，未超出参考范围。", "within"),
        ("海马不对称指数 9 %，右侧较小。", "left larger"),
    ],
)
def test_each_claim_is_read_and_is_a_contradiction_where_it_does_not_hold(text, claim):
    withheld = refused_ledger().records[0]
    assert claims(text) == (claim,)
    assert contradictions(text, [withheld])[0].startswith(claim)


def test_a_withheld_record_told_as_if_it_were_reliable_is_a_contradiction():
    withheld = refused_ledger().records[0]
    assert contradictions("The left hippocampus has a volume.", [withheld])


def test_the_template_says_all_of_itself_and_contradicts_nothing():
    results = [writers.run(writers.with_template, pair) for pair in writers.reports(6, 0)]
    assert all(result.told == result.records for result in results)
    assert sum(r.replaced + r.contradictions + r.wrong_numbers + r.left_over for r in results) == 0


@pytest.mark.slow
@pytest.mark.parametrize("write", [writers.always_the_same, writers.nearest])
def test_borrowed_reports_contradict_as_written_and_not_in_the_end(write, monkeypatch):
    monkeypatch.setattr(writers, "KNOWN", 60)
    results = [writers.run(write, pair) for pair in writers.reports(12, 0)]
    assert sum(result.contradictions for result in results) > 0
    assert sum(result.replaced for result in results) > 0
    assert sum(result.left_over + result.wrong_numbers for result in results) == 0
