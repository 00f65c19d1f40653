"""A model writes under a grammar: its text ends properly, and is its own choice where it has one.

The reference is transformers' own forward over the whole text, with no cache and the full head.
"""

import re
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from torch import nn

import prompts
from assistant.writers.vlm import product as product_module
from assistant.writers.vlm.generate import Commission, Prompt, make_decoder
from assistant.writers.vlm.grammar import Group, prose_of, report_grammar
from assistant.writers.vlm.pen import Sampling
from assistant.writers.vlm.product import product
from assistant.writers.vlm.step import TextStep
from assistant.writers.vlm.text import Bounds, DecodingError
from assistant.writers.vlm.vocabulary import make_vocabulary
from tests.adversaries import ADVERSARIES
from tests.toy_vlm import IMAGE, IMAGE_PX, SOFT, TOKENS_PER_IMAGE, toy_network, toy_tokenizer

SLOTS = tuple(f"<unused{n}>" for n in range(1000, 1064))
SECTION, STOP = "<unused2000>", "<end_of_turn>"
SLOT = re.compile(r"<unused\d+>")
GROUPS = (Group((SLOTS[0],), (SLOTS[2],)), Group((SLOTS[7], SLOTS[11])))
REQUIRED = [SLOTS[0], SLOTS[7], SLOTS[11]]
BOUNDS = Bounds(tokens=300, line_tokens=16)
WARM = Sampling(seed=5, temperature=1.0)
WORDS = prompts.load("en")
SENTENCES = [
    part
    for key, text in WORDS.phrases.items()
    if "technique" not in key
    for part in re.split(r"\{[^}]*\}", text)
]


@cache
def tokenizer():
    return toy_tokenizer()


@cache
def network():
    return toy_network(tokenizer())


@cache
def vocabulary():
    encoded = [tokenizer().encode(text, add_special_tokens=False) for text in SENTENCES]
    words = {piece for found in encoded for piece in found.tokens if not piece.startswith("<0x")}
    return make_vocabulary(words, (*SLOTS, SECTION), (STOP, "<eos>"), tokenizer().get_vocab())


@cache
def decoder():
    return make_decoder(network(), vocabulary())


@cache
def grammar():
    return report_grammar(GROUPS, SECTION, prose_of(SENTENCES, WORDS.lexicon["number_words"]))


def prompt(seed=0, pictures=2):
    """Return pictures and then words; longer than the toy's window of 64 tokens."""
    places = f"{IMAGE[0]}{SOFT * TOKENS_PER_IMAGE}{IMAGE[1]}"
    text = places * pictures + "volume, left hippocampus: reliable, within reference\nreport\n" * 4
    tokens = torch.tensor(tokenizer().encode(text).ids)
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(pictures, 3, IMAGE_PX, IMAGE_PX, generator=generator) * 2 - 1
    return Prompt(tokens, pixels if pictures else None)


def commission(asked=None, sampling=None, bounds=BOUNDS, change=None):
    """Ask for a text about two groups of slots."""
    return Commission(asked or prompt(), grammar(), sampling or Sampling(), bounds, change)


def write(asked=None, sampling=None, bounds=BOUNDS, change=None, by=None):
    """Write to the end; return the lines that came and the whole."""
    *lines, whole = events(commission(asked, sampling, bounds, change), by)
    if isinstance(whole, DecodingError):
        raise whole
    return lines, whole


def events(wanted, by=None):
    """Yield what comes of one commission."""
    for _, event in (by or decoder()).write_together([(None, wanted)]):
        yield event


@torch.no_grad()
def reference_hidden(model, asked, more):
    """Run transformers' forward over prompt and further tokens at once, without any cache."""
    tokens = torch.cat((asked.tokens, torch.tensor(more, dtype=torch.long)))[None]
    is_image = (tokens == model.config.image_token_id).long()
    found = model.model(
        input_ids=tokens,
        pixel_values=asked.pixel_values.to(model.dtype),
        token_type_ids=is_image,
        use_cache=False,
    )
    return found.last_hidden_state[0, len(asked.tokens) - 1 :]


def stepped_hidden(model, asked, pieces):
    """Run our step over the same tokens, some at a time."""
    made = make_decoder(model, vocabulary())
    first, memory = made._read(asked, sum(map(len, pieces)))
    with torch.inference_mode():
        return torch.cat([first, *(made.step(piece, memory) for piece in pieces)])


MORE = torch.randint(10, 400, (90,), generator=torch.Generator().manual_seed(1)).tolist()
CUTS = {
    "one at a time": [[token] for token in MORE],
    "all at once": [MORE],
    "some at a time": [MORE[:1], MORE[1:6], MORE[6:7], MORE[7:70], MORE[70:]],
}


@pytest.mark.parametrize("how", CUTS)
def test_a_step_is_what_transformers_computes(how):
    found = stepped_hidden(network(), prompt(), CUTS[how])
    torch.testing.assert_close(
        found, reference_hidden(network(), prompt(), MORE), rtol=1e-4, atol=1e-4
    )


def test_a_step_in_bf16_is_what_transformers_computes_within_its_precision():
    model = toy_network(tokenizer()).to(torch.bfloat16)
    found = stepped_hidden(model, prompt(), CUTS["one at a time"]).float()
    expected = reference_hidden(model, prompt(), MORE).float()
    exact = reference_hidden(network(), prompt(), MORE)
    assert (found - exact).norm() <= 1.5 * (expected - exact).norm()


def test_a_step_calls_projections_that_are_more_than_a_matrix():
    model = toy_network(tokenizer())
    for layer in model.model.language_model.layers:
        layer.self_attn.v_proj = nn.Sequential(layer.self_attn.v_proj)
        layer.mlp.down_proj = nn.Sequential(layer.mlp.down_proj)
    found = stepped_hidden(model, prompt(), CUTS["one at a time"])
    torch.testing.assert_close(
        found, reference_hidden(network(), prompt(), MORE), rtol=1e-4, atol=1e-4
    )


def test_a_step_beyond_its_room_is_refused():
    _, memory = decoder()._read(prompt(), 2)
    with pytest.raises(ValueError, match="there is room for"):
        decoder().step([5, 6, 7], memory)


def test_a_bidirectional_text_model_is_refused():
    model = toy_network(tokenizer()).model.language_model
    model.config.use_bidirectional_attention = True
    with pytest.raises(ValueError, match="causal"):
        TextStep(model)


def test_the_restricted_head_gives_the_full_heads_logits():
    hidden = reference_hidden(network(), prompt(), [])
    full = network().lm_head(hidden)[-1].detach()
    (found,) = decoder()._logits(hidden)
    torch.testing.assert_close(found, full[list(vocabulary().ids)], rtol=1e-5, atol=1e-5)


def test_the_full_head_is_never_computed(monkeypatch):
    monkeypatch.setattr(network().lm_head, "forward", partial(pytest.fail, "the full head ran"))
    lines, _ = write()
    assert SECTION in lines


def reference_text(asked, sampling):
    """Decode the slow way: whole forward, full head, every token asked for, forced or not."""
    matcher = decoder().guide.start(grammar())
    generator = torch.Generator().manual_seed(sampling.seed)
    tokens, ids = [], list(vocabulary().ids)
    while not matcher.is_ended:
        hidden = reference_hidden(network(), asked, [ids[token] for token in tokens])
        logits = network().lm_head(hidden)[-1].detach()[ids].float()
        allowed = torch.from_numpy(matcher.allowed())
        masked = logits.masked_fill(~allowed, -torch.inf)
        token = int(masked.argmax())
        if sampling.temperature and int(allowed.sum()) > 1:
            drawn = torch.softmax(masked / sampling.temperature, -1)
            token = int(torch.multinomial(drawn, 1, generator=generator))
        matcher.consume(token)
        tokens.append(token)
    return vocabulary().text(tokens)


def ending(asked, bounds):
    """Sample until a text of the toy's ends within its window; a greedy toy repeats itself."""
    for seed in range(20):
        with suppress(DecodingError):
            return Sampling(seed, 30.0), write(asked, Sampling(seed, 30.0), bounds)[1]
    raise AssertionError("no text of the toy's has an end")


@pytest.mark.slow
def test_a_text_is_the_one_that_transformers_would_choose():
    sampling, whole = ending(prompt(pictures=1), Bounds(tokens=800, line_tokens=800))
    assert whole.text == reference_text(prompt(pictures=1), sampling)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", [Sampling(), WARM])
def test_the_same_seed_writes_the_same_text(sampling):
    torch.manual_seed(0)
    _, first = write(sampling=sampling)
    torch.manual_seed(1)
    _, second = write(sampling=sampling)
    assert first.tokens == second.tokens


@pytest.mark.slow
def test_another_seed_writes_another_text():
    texts = {write(sampling=Sampling(seed, 1.0))[1].text for seed in range(4)}
    assert len(texts) == 4


def test_writing_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    write(sampling=WARM)
    assert torch.equal(torch.rand(3), expected)


def test_the_lines_that_stream_are_the_whole():
    lines, whole = write(sampling=WARM)
    assert "\n".join(lines) == whole.text.removesuffix("\n")


def test_a_line_comes_before_the_next_is_begun():
    seen = []
    change = lambda logits, tokens: seen.append(len(tokens)) or logits  # noqa: E731
    stream = events(commission(sampling=WARM, change=change))
    line = next(stream)
    assert seen[-1] <= len(line)
    assert vocabulary().text([vocabulary().dense["\n"]]) not in line


def test_closing_the_stream_stops_the_writing():
    seen = []
    change = lambda logits, tokens: seen.append(len(tokens)) or logits  # noqa: E731
    stream = events(commission(sampling=WARM, change=change))
    next(stream)
    before = len(seen)
    stream.close()
    assert len(seen) == before
    assert list(stream) == []


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_required_slots_stand_in_order_whoever_changes_the_logits(adversary):
    change = ADVERSARIES[adversary](vocabulary(), 0)
    lines, _ = write(change=change)
    written = SLOT.findall("\n".join(lines[: lines.index(SECTION)]))
    assert [slot for slot in written if slot in REQUIRED] == REQUIRED


def test_statistics_count_tokens_and_tell_when_the_first_line_came():
    lines, whole = write(sampling=WARM)
    found = whole.statistics
    assert found.tokens == len(whole.tokens)
    assert found.prompt_tokens == len(prompt().tokens)
    assert 0 < found.prefill_s < found.first_statement_s <= found.total_s
    assert found.tokens_per_s > 0
    assert found.forced >= 1  # the new line after the section token
    assert whole.grammar_sha256 == grammar().sha256
    assert len(lines) >= len(GROUPS) + 2


def test_features_of_pictures_do_what_the_pictures_do():
    with torch.inference_mode():
        found = network().model.get_image_features(prompt().pixel_values)
    asked = replace(prompt(), pixel_values=None, image_features=found.pooler_output)
    assert write(asked, WARM)[1].tokens == write(sampling=WARM)[1].tokens


def test_other_pictures_give_other_logits():
    one, other = (decoder()._read(prompt(seed), 1)[0] for seed in (0, 1))
    assert not torch.allclose(one, other, atol=1e-3)


def test_a_prompt_without_pictures_is_read():
    lines, _ = write(prompt(pictures=0), WARM)
    assert SECTION in lines


def test_a_prompt_with_pictures_and_features_is_refused():
    with pytest.raises(ValueError, match="not both"):
        replace(prompt(), image_features=torch.zeros(2, TOKENS_PER_IMAGE, 32))


def test_no_end_within_the_bound_is_a_failure():
    with pytest.raises(DecodingError, match="no end after 12 tokens"):
        write(bounds=Bounds(tokens=12))


def test_logits_that_are_no_numbers_are_a_failure():
    change = lambda logits, tokens: logits * torch.nan  # noqa: E731
    with pytest.raises(DecodingError, match="not finite"):
        write(change=change)


def test_a_context_longer_than_the_model_reads_is_a_failure():
    with pytest.raises(DecodingError, match="the model reads 1024 tokens"):
        write(bounds=Bounds(tokens=1000))


def test_a_grammar_of_foreign_slots_is_a_failure():
    foreign = report_grammar((Group(("<unused9>",)),), SECTION, prose_of(SENTENCES, []))
    (end,) = events(Commission(prompt(), foreign))
    assert isinstance(end, DecodingError)
    assert "<unused9>" in str(end)


@pytest.mark.parametrize("temperature", [-0.1, float("nan"), float("inf")])
def test_a_temperature_below_zero_or_without_bound_is_refused(temperature):
    with pytest.raises(ValueError, match="a temperature is"):
        Sampling(0, temperature)


@pytest.mark.parametrize("rows", [1, 7])
def test_a_reordered_weight_gives_the_same_product(rows):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(96, 64, generator=generator).to(torch.bfloat16)
    x = torch.randn(rows, 64, generator=generator).to(torch.bfloat16)
    expected = x.float() @ weight.float().T
    torch.testing.assert_close(product(weight)(x).float(), expected, rtol=0.02, atol=0.05)


def test_a_reordered_weight_that_fails_its_self_test_is_not_used(monkeypatch):
    monkeypatch.setattr(product_module, "SELF_TEST_TOLERANCE", -1.0)
    assert product_module._packed(torch.eye(8, dtype=torch.bfloat16)) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_text_is_written_on_a_gpu(dtype):
    on_gpu = make_decoder(toy_network(tokenizer()).to("cuda", dtype), vocabulary())
    lines, whole = write(sampling=WARM, by=on_gpu)
    assert SECTION in lines
    assert write(sampling=WARM, by=on_gpu)[1].tokens == whole.tokens
