"""Texts that are written together come out as each does alone, to the token and to the bit."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from assistant.writers.vlm import product as product_module
from assistant.writers.vlm.generate import Decoded, make_decoder
from assistant.writers.vlm.grammar import Group, prose_of, report_grammar
from assistant.writers.vlm.pen import Sampling
from assistant.writers.vlm.product import MOST_ROWS, product
from assistant.writers.vlm.text import DecodingError
from tests.test_vlm_generate import (
    MORE,
    SENTENCES,
    WARM,
    commission,
    network,
    prompt,
    tokenizer,
    toy_network,
    vocabulary,
)

dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


@cache
def decoder(dtype):
    model = network() if dtype is torch.float32 else toy_network(tokenizer()).to(dtype)
    return make_decoder(model, vocabulary())


def asked():
    """Ask for five texts after prompts of three lengths, some drawn and some the likeliest."""
    kinds = [(0, 2, 1.0), (1, 0, 0.0), (2, 1, 2.0), (3, 2, 0.5), (4, 0, 1.0)]
    return [commission(prompt(seed, n), Sampling(seed, heat)) for seed, n, heat in kinds]


def ended(wanted, dtype, at_once):
    """Write texts; return of each its lines and how it ended."""
    lines, ends = [[] for _ in wanted], [None] * len(wanted)
    for n, event in decoder(dtype).write_together(enumerate(wanted), at_once):
        assert ends[n] is None
        if isinstance(event, str):
            lines[n].append(event)
        else:
            ends[n] = event
    return lines, ends


@cache
def alone(dtype):
    return [ended([wanted], dtype, 1) for wanted in asked()]


def texts(results):
    lines, ends = results
    return lines, [end.tokens for end in ends]


@dtypes
@pytest.mark.parametrize("at_once", [2, 8])
def test_texts_written_together_are_those_written_alone(dtype, at_once):
    expected = [texts(result) for result in alone(dtype)]
    found = texts(ended(asked(), dtype, at_once))
    assert found == ([lines for ((lines,), _) in expected], [end for (_, (end,)) in expected])
    assert len({*found[1]}) == len(found[1])


@dtypes
def test_a_state_is_the_same_to_the_bit_beside_other_texts(dtype):
    step = decoder(dtype).step
    pieces = [[MORE[:1], MORE[1:2]], [MORE[2:8], MORE[8:9]], [MORE[9:10], MORE[10:14]]]
    memories = [
        [decoder(dtype)._read(prompt(n, pictures), 20)[1] for n, pictures in enumerate((2, 0, 1))]
        for _ in range(2)
    ]
    with torch.inference_mode():
        for fed in zip(*pieces, strict=True):
            together = step.together([*zip(fed, memories[0], strict=True)])
            one_by_one = [step(new, memory) for new, memory in zip(fed, memories[1], strict=True)]
            assert torch.equal(together, torch.cat(one_by_one))


def test_an_error_ends_its_own_text_alone():
    broken = commission(change=lambda logits, tokens: logits * torch.nan)
    foreign = report_grammar((Group(("<unused9>",)),), "<unused2000>", prose_of(SENTENCES, []))
    wanted = [asked()[0], broken, replace(broken, grammar=foreign), asked()[1]]
    lines, ends = ended(wanted, torch.float32, 4)
    assert isinstance(ends[1], DecodingError)
    assert "not finite" in str(ends[1])
    assert "<unused9>" in str(ends[2])
    expected = [texts(result) for result in alone(torch.float32)[:2]]
    assert [([lines[n]], [ends[n].tokens]) for n in (0, 3)] == expected


def test_a_text_without_room_beside_others_is_refused_before_anything_is_remembered():
    step = decoder(torch.float32).step
    long, short = (decoder(torch.float32)._read(prompt(), room)[1] for room in (9, 1))
    before = long.length
    with pytest.raises(ValueError, match="there is room for"):
        step.together([(MORE[:2], long), (MORE[:2], short)])
    assert long.length == before


def test_a_text_is_begun_when_there_is_room_for_it():
    taken, open_, most = 0, set(), 0

    def given():
        nonlocal taken
        for n, wanted in enumerate(asked()):
            taken += 1
            open_.add(n)
            yield n, wanted

    for n, event in decoder(torch.float32).write_together(given(), 2):
        most = max(most, len(open_))
        if isinstance(event, Decoded):
            open_.remove(n)
    assert (taken, most, open_) == (5, 2, set())


def test_texts_that_are_no_longer_wanted_are_not_written():
    seen = []
    change = lambda logits, tokens: seen.append(len(tokens)) or logits  # noqa: E731
    wanted = [replace(one, change_logits=change) for one in asked()[:2]]
    events = decoder(torch.float32).write_together(enumerate(wanted), 2)
    next(events)
    before = len(seen)
    events.close()
    assert len(seen) == before


@dtypes
@pytest.mark.parametrize("counts", [[1, 1], [3, 1, 4], [MOST_ROWS, 2]])
def test_rows_of_several_texts_are_multiplied_as_by_themselves(dtype, counts):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(96, 64, generator=generator).to(dtype)
    x = torch.randn(sum(counts), 64, generator=generator).to(dtype)
    made = product(weight)
    assert torch.equal(made.each(x, counts), torch.cat([made(rows) for rows in x.split(counts)]))


def test_a_product_whose_rows_depend_on_their_number_is_found_out(monkeypatch):
    packed = product_module._packed

    def uneven(weight):
        exact = packed(weight)
        return lambda x: exact(x) * (1.0 + (len(x) > 5))

    monkeypatch.setattr(product_module, "_packed", uneven)
    assert not product_module._is_rowwise.__wrapped__(64, 32, 1)


def test_writing_with_a_seed_of_its_own_needs_no_other_text():
    changed = [*asked()[:2], commission(prompt(9, 1), WARM)]
    expected = [texts(result) for result in alone(torch.float32)[:2]]
    lines, ends = ended(changed, torch.float32, 3)
    assert [([lines[n]], [ends[n].tokens]) for n in (0, 1)] == expected
