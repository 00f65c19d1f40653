"""Reports that are written together are those that are written alone, also by the shipped model."""

from itertools import product

import numpy as np
import pytest

import prompts
from assistant import exams
from assistant.draft import Draft
from assistant.writers import Brief, WritesMany, drain
from assistant.writers.choice import Fallback
from assistant.writers.server.writer import ServerWriter
from assistant.writers.template import Template
from assistant.writers.vlm.asking import Request, Wanted
from assistant.writers.vlm.author import exam
from assistant.writers.vlm.base import cached_base
from assistant.writers.vlm.data import held_out_pairs
from assistant.writers.vlm.ready import read
from assistant.writers.vlm.slots import sides_compared
from assistant.writers.vlm.tell import tell, tell_together
from assistant.writers.vlm.text import Bounds
from assistant.writers.vlm.writer import VisionLanguage
from tests.ledgers import plain_ledger, refused_ledger, wide_ledger
from tests.test_vlm_slots import many_records
from tests.toy_writer import steered

EXAM = exams.load("hippocampus")
SHORT = Bounds(tokens=60, line_tokens=8)


def untaught():
    """Return the toy, which learnt nothing and writes a little."""
    ready, _ = steered(lambda logits, tokens: logits, SHORT)
    return ready


def briefs():
    ledgers = (plain_ledger(), wide_ledger(), refused_ledger())
    return [Brief(ledger, EXAM, prompts.load(n)) for ledger, n in product(ledgers, ("en", "zh"))]


def test_drafts_of_several_briefs_are_those_of_each():
    writer = VisionLanguage.of(untaught())
    alone = [drain(writer.write(brief)) for brief in briefs()]
    for at_once in (2, 8):
        assert dict(writer.write_many(briefs(), at_once)) == dict(enumerate(alone))
    assert any(draft.statements for draft in alone)


def test_what_cannot_be_asked_for_is_a_draft_that_says_so_and_no_other_is_lost():
    ready, brief = untaught(), briefs()[0]
    foreign = Wanted(many_records(18).records[17:], ("reading",))
    asked = [(brief, Request("Why?", lines=(foreign,))), (brief, Request())]
    drafts = {n: told for n, told in tell_together(ready, asked, 2) if isinstance(told, Draft)}
    assert drafts == {0: drain(tell(ready, *asked[0])), 1: drain(tell(ready, *asked[1]))}
    assert "has no token" in drafts[0].failures[0]


def test_a_brief_is_taken_when_there_is_room_for_it():
    taken = []
    many = (taken.append(n) or brief for n, brief in enumerate(briefs()))
    drafts = VisionLanguage.of(untaught()).write_many(many, 2)
    next(drafts)
    assert taken == [0, 1]


def test_a_model_that_cannot_be_had_leaves_every_report_to_the_template():
    writer = Fallback(VisionLanguage(model="no-such-folder"))
    drafts = dict(writer.write_many(iter(briefs()), 4))
    assert drafts == {n: drain(writer.write(brief)) for n, brief in enumerate(briefs())}
    assert {draft.facts["fallback"] for draft in drafts.values()} == {"missing"}


def test_a_fallback_that_is_not_needed_writes_each_report_once():
    places = [n for n, _ in Fallback(VisionLanguage.of(untaught())).write_many(briefs(), 4)]
    assert sorted(places) == [*range(len(briefs()))]


def test_who_gains_by_writing_together_says_so():
    assert isinstance(VisionLanguage(), WritesMany)
    assert not isinstance(Template(), WritesMany)
    assert not isinstance(ServerWriter, WritesMany)


@pytest.mark.slow
@pytest.mark.skipif(cached_base() is None, reason="needs the embedded model in the cache")
def test_the_shipped_model_writes_together_what_it_writes_alone():
    ready = read()
    pairs = [
        pair
        for pair in held_out_pairs(np.random.default_rng(2), 30)
        if pair.topic == "report" and not sides_compared(pair.task.ledger)
    ]
    asked = [
        (Brief(pair.task.ledger, exam(), prompts.load(pair.task.language)), Request(seed=n))
        for n, pair in enumerate(pairs[:3])
    ]
    drafts = {n: told for n, told in tell_together(ready, asked, 3) if isinstance(told, Draft)}
    assert drafts == {n: drain(tell(ready, *one)) for n, one in enumerate(asked)}
    assert all(draft.failures == () for draft in drafts.values())
