"""Made comparisons are the product's own, and every wording of one says what holds of it."""

from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest

import prompts
from assistant.draft import Statement
from assistant.ledger import Ledger
from assistant.render import render
from assistant.report import Line
from assistant.verify import verify_line
from assistant.verify.check import expected_origin
from assistant.writers import phrasings, verdict
from assistant.writers.template import IN_SHORT, together
from assistant.writers.vlm.author import exam, fill, told_shortly
from assistant.writers.vlm.ledgers import SEGMENTER, make_ledger, plain_records
from assistant.writers.vlm.priors import with_prior
from assistant.writers.vlm.slots import SlotTable, sides_compared
from segment import models
from segment.change import ABSOLUTE, OF_EXAMINATIONS, RELATIVE, TREND, YEARLY
from segment.measurement import EARLIER, Reason, Reliability
from tests.ledgers import BEFORE, plain_ledger, withheld

LANGUAGES = ("en", "zh")
VERDICTS = ("increased", "decreased", "within_error")
CHANGES = (RELATIVE, ABSOLUTE, YEARLY, TREND)
languages = pytest.mark.parametrize("language", LANGUAGES)
each = pytest.mark.parametrize("times", [1, pytest.param(12, marks=pytest.mark.slow)])


@cache
def ledgers(part="training", count=240):
    """Make ledgers, and keep those with a prior."""
    rng = np.random.default_rng(4)
    made = (make_ledger(rng, part).ledger for _ in range(count))
    return tuple(ledger for ledger in made if sides_compared(ledger))


@cache
def found(kind):
    """List the records of comparisons, each with its ledger, of a verdict or a kind."""
    records: dict[str, list] = defaultdict(list)
    for ledger in ledgers():
        for side in sides_compared(ledger):
            for group in SlotTable.of(ledger, side).groups():
                records[kind_of(group[0])].append((ledger, group))
    return records[kind]


def kind_of(record):
    """Say which wordings a record has."""
    if record.quantity == EARLIER and record.reason is None:
        return "earlier" if record.date else "earlier_undated"
    if record.reason is None:
        return verdict(record)
    if record.reliability is Reliability.NOT_ASSESSED:
        return "not_assessed"
    if record.comparator is None:
        return "not_reliable"
    return "not_comparable" if record.reason in OF_EXAMINATIONS else "change_withheld"


def wordings(kind, language):
    """List every wording of a kind, those held out as well."""
    book = phrasings.load(language)
    if kind in VERDICTS:
        pairs = product(book.openings["change"], book.closings[f"change_{kind}"])
        return [a + text for a, b in pairs for text in (b, book.without_error(b))]
    return book.openings[kind] if kind.startswith("earlier") else book.sentences[kind]


def problems(wording, ledger, group, language):
    """Render a wording about records, and say what does not hold of it."""
    words, book = prompts.load(language), phrasings.load(language)
    text = fill(wording, group, words, book) + book.words["stop"]
    cites = tuple(record.id for record in group)
    statement = Statement("comparison", text, cites, "")
    line = Line("comparison", render(statement, ledger, words), cites, expected_origin(group))
    return verify_line(line, {record.id: record for record in ledger.records}, words)


# ledgers


def test_a_third_of_all_ledgers_has_one_prior_or_two():
    visits = Counter(
        len({r.date for r in ledger.records if r.quantity == EARLIER}) for ledger in ledgers()
    )
    assert visits.keys() == {1, 2}
    assert 0.25 < len(ledgers()) / 240 < 0.42
    assert visits[1] > visits[2] > 10


def test_every_verdict_quantity_and_reason_occurs():
    told = {r for ledger in ledgers() for r in ledger.records if r.is_of_comparison}
    assert {r.quantity for r in told} == {EARLIER, *CHANGES}
    for quantity in CHANGES:
        assert {verdict(r) for r in told if r.quantity == quantity} == {*VERDICTS, None}
    reasons = {r.reason for r in told}
    assert reasons >= {Reason.NOT_ALIGNED, Reason.OTHER_RESOLUTION, Reason.OTHER_PROTOCOL}
    assert reasons >= {Reason.DATES_UNKNOWN, Reason.DATES_TOO_CLOSE, Reason.DEPENDS_ON_UNRELIABLE}
    assert None in {r.date for r in told if r.quantity == EARLIER}


def test_either_side_of_a_change_may_be_what_is_not_reliable():
    kinds = Counter()
    for ledger in ledgers():
        volumes = [r for r in ledger.records if r.quantity == "volume"]
        for now in volumes:
            key = (now.structure, now.side)
            before = [
                r for r in ledger.records if r.quantity == EARLIER and (r.structure, r.side) == key
            ][-1]
            kinds[now.reason is None, before.reason is None] += 1
    assert {*kinds} == {*product((True, False), repeat=2)}


def test_the_range_of_no_change_is_that_of_the_networks_repeats():
    sources = {
        r.reference.source
        for ledger in ledgers()
        for r in ledger.records
        if r.comparator and r.reason is None
    }
    assert sources == {models.repeatability(SEGMENTER).source}


def test_the_records_of_the_examination_come_first_and_stay_what_they_were():
    rng = np.random.default_rng(2)
    plain = Ledger(plain_records())
    after = with_prior(rng, plain, exam(), SEGMENTER, 1.0).records
    assert [r.id for r in after] == [f"m{n}" for n in range(1, len(after) + 1)]
    assert [(r.value, r.interval, r.quantity) for r in after[: len(plain.records)]] == [
        (r.value, r.interval, r.quantity) for r in plain.records
    ]
    assert all(r.is_of_comparison for r in after[len(plain.records) :])


def test_every_record_of_a_side_fits_into_one_text():
    for ledger in ledgers():
        sides = sides_compared(ledger)
        tables = [SlotTable.of(ledger, side) for side in sides]
        assert all(table.left_out == () for table in tables)
        assert [r.id for table in tables for r in table.records] != []
        assert {r.id for table in tables for r in table.records} == {
            r.id for r in ledger.records if r.is_of_comparison
        }


def test_what_is_told_shortly_is_of_whole_structures_alone():
    for ledger in ledgers():
        for side in sides_compared(ledger):
            for group in told_shortly(SlotTable.of(ledger, side)):
                assert group[0].quantity in IN_SHORT
                is_part = group[0].structure != "hippocampus"
                assert not is_part or group[0].reason is not None


def test_volumes_of_two_dates_are_not_withheld_in_one_sentence():
    never = withheld(plain_ledger()["m1"], Reason.TRUNCATED)
    first, second = (
        replace(never, id=name, quantity=EARLIER, date=day)
        for name, day in (("m8", "2020-01-01"), ("m9", BEFORE))
    )
    assert list(together([first, second])) == [(first,), (second,)]
    of_one_day = replace(second, date=first.date)
    assert list(together([first, of_one_day])) == [(first, of_one_day)]


# wordings


@each
@languages
@pytest.mark.parametrize("kind", [*VERDICTS, "earlier", "earlier_undated"])
def test_every_wording_of_a_comparison_is_verified(kind, language, times):
    rng = np.random.default_rng(6)
    for wording in wordings(kind, language):
        for _ in range(times):
            ledger, group = found(kind)[int(rng.integers(len(found(kind))))]
            assert problems(wording, ledger, group, language) == ()


@each
@languages
@pytest.mark.parametrize(
    "kind", ["not_comparable", "change_withheld", "not_assessed", "not_reliable"]
)
def test_every_wording_of_what_is_withheld_of_a_comparison_is_verified(kind, language, times):
    rng = np.random.default_rng(6)
    for wording in wordings(kind, language):
        for _ in range(3 * times):
            ledger, group = found(kind)[int(rng.integers(len(found(kind))))]
            assert problems(wording, ledger, group, language) == ()


@languages
@pytest.mark.parametrize(("kind", "other"), [*product(VERDICTS, VERDICTS)])
def test_a_wording_of_another_verdict_is_refused(kind, other, language):
    ledger, group = found(kind)[0]
    refused = [problems(wording, ledger, group, language) for wording in wordings(other, language)]
    assert all(refused) == (kind != other)
    assert any(refused) == (kind != other)


@languages
def test_a_change_withheld_for_a_volume_is_not_called_incomparable(language):
    ledger, group = found("change_withheld")[0]
    of_examinations = prompts.load(language).lexicon["incomparable"]["not comparable"]
    wordings_of = phrasings.load(language).sentences["not_comparable"]
    false = [one for one in wordings_of if any(text in one for text in of_examinations)]
    assert 0 < len(false) < len(wordings_of)
    for wording in wordings_of:
        assert bool(problems(wording, ledger, group, language)) == (wording in false)


@languages
def test_what_can_be_compared_is_not_called_incomparable(language):
    ledger, group = found("within_error")[0]
    for wording in phrasings.load(language).sentences["not_comparable"]:
        text = wording.replace("{reason}", "{reading}")
        assert problems(text, ledger, group, language)


@languages
def test_every_verdict_has_eight_wordings_that_differ(language):
    closings = phrasings.load(language).closings
    for told in (closings[f"change_{key}"] for key in VERDICTS):
        assert len(set(told)) == len(told) >= 8
        assert all(text.count("{error}") == 1 for text in told)
