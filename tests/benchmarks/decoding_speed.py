"""How fast a model writes, and what each part of a step costs.

    python -m tests.benchmarks.decoding_speed FOLDER [--threads N]

FOLDER holds a Gemma 3 text model (config.json, model.safetensors, tokenizer.json). Times of the
processor are distorted less by a busy machine than those by the wall; both are printed.
"""

import argparse
import re
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from tokenizers import Tokenizer

import prompts
from assistant.vision_shim import ensure_torchvision
from assistant.writers.vlm.generate import Commission, Prompt, cache_argument, make_decoder
from assistant.writers.vlm.grammar import Group, prose_of, report_grammar
from assistant.writers.vlm.pen import Sampling
from assistant.writers.vlm.product import product
from assistant.writers.vlm.text import Bounds
from assistant.writers.vlm.vocabulary import make_vocabulary, spelled
from tests.adversaries import ADVERSARIES, draft

ensure_torchvision()

from transformers import (  # noqa: E402
    DynamicCache,
    Gemma3Config,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    StaticCache,
)

SLOTS = tuple(f"<unused{n}>" for n in range(1000, 1064))
SECTION, STOP, IMAGE = "<unused2000>", "<end_of_turn>", "<unused3000>"
PICTURES, PLACES = 4, 16
RECORDS, WORDS = 7, 1500


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--tokens", type=int, default=100)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    tokenizer = Tokenizer.from_file(str(asked.folder / "tokenizer.json"))
    model = _model(asked.folder, getattr(torch, asked.dtype), tokenizer)
    vocabulary, prose = _vocabulary(tokenizer)
    start = perf_counter()
    decoder = make_decoder(model, vocabulary)
    print(f"ready after {perf_counter() - start:.2f} s, {len(vocabulary.pieces)} tokens")
    prompt = _prompt(tokenizer, model)
    with torch.inference_mode():
        _parts(decoder, prompt, asked.tokens)
        _heads(decoder, model, prompt)
    grammar = _grammar(prose)
    _grammar_steps(decoder, grammar)
    _whole(decoder, prompt, grammar)


def _model(folder, dtype, tokenizer):
    """Put a text model into MedGemma's class, beside a tower that is never used."""
    text = Gemma3ForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    config = Gemma3Config(
        text_config=text.config,
        vision_config={"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 2},
        mm_tokens_per_image=PLACES,
        image_token_index=tokenizer.token_to_id(IMAGE),
    )
    with torch.device("meta"):
        model = Gemma3ForConditionalGeneration(config)
    model.model.language_model, model.lm_head = text.model, text.lm_head
    model.model.vision_tower = torch.nn.Identity()
    model.model.multi_modal_projector = torch.nn.Identity()
    return model.eval()


def _vocabulary(tokenizer):
    """Take the tokens of the English phrasebook, filled up with common words."""
    words = prompts.load("en")
    texts = [part for text in words.phrases.values() for part in re.split(r"\{[^}]*\}", text)]
    texts = [text for text in texts if not re.search("[0-9]", text)]
    prose = prose_of(texts, words.lexicon["number_words"])
    pieces = {p for text in texts for p in tokenizer.encode(text, add_special_tokens=False).tokens}
    base = tokenizer.get_vocab()
    known = {*prose.letters, *prose.marks}
    for piece in sorted(base, key=base.get):
        if len(pieces) < WORDS and spelled(piece) and {*spelled(piece)} <= known:
            pieces.add(piece)
    return make_vocabulary(pieces, (*SLOTS, SECTION), (STOP, "<eos>"), base), prose


def _prompt(tokenizer, model):
    """Write a prompt of a study's length: pictures, a line a record, the task."""
    pictures = f"<start_of_image>{IMAGE * PLACES}<end_of_image>" * PICTURES
    record = "volume, left hippocampus: <unused1000> <unused1002>, reliable, within reference\n"
    text = f"<start_of_turn>user\n{pictures}{record * RECORDS}language: en\nreport<end_of_turn>\n"
    tokens = torch.tensor(tokenizer.encode(f"{text}<start_of_turn>model\n").ids)
    hidden = model.config.text_config.hidden_size
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(PICTURES, PLACES, hidden, generator=generator)
    return Prompt(tokens, image_features=features.to(model.dtype))


def _grammar(prose):
    groups = [Group((SLOTS[4 * n],), SLOTS[4 * n + 1 : 4 * n + 3]) for n in range(RECORDS)]
    return report_grammar(groups, SECTION, prose)


def _parts(decoder, prompt, count):
    """Compare our step with transformers' own, with either cache."""
    ours, base = decoder.model.model.language_model, decoder.vocabulary.ids
    tokens = [base[n % len(decoder.vocabulary.words)] for n in range(count)]
    clock = _Clock()
    _, memory = decoder._read(prompt, 3 * count)
    clock.say(f"prefill of {len(prompt.tokens)} tokens", 1)
    found = _timed("our step", lambda token: decoder.step([token], memory), tokens)
    for batch in (2, 4, 8):
        texts = [decoder._read(prompt, count)[1] for _ in range(batch)]
        _timed(
            f"our step, {batch} texts together",
            lambda t, of=texts: decoder.step.together([([t], memory) for memory in of]),
            tokens,
        )
    caches = {
        "dynamic": DynamicCache(config=ours.config),
        "static": StaticCache(config=ours.config, max_cache_len=len(prompt.tokens) + 2 * count),
    }
    for attention in ("sdpa", "eager"):
        ours.config._attn_implementation = attention
        for name, cache in caches.items():
            cache.reset() if name == "static" else None
            cache = cache if name == "static" else DynamicCache(config=ours.config)
            _prefill(decoder.model, prompt, cache)
            step = lambda t, c=cache: ours(  # noqa: E731
                input_ids=torch.tensor([[t]]), use_cache=True, **{cache_argument(ours): c}
            ).last_hidden_state[0]
            theirs = _timed(f"transformers' step, {name} cache, {attention}", step, tokens[:40])
    ours.config._attn_implementation = "sdpa"
    apart = (found[:40].float() - theirs.float()).norm() / theirs.float().norm()
    print(f"relative distance of the hidden states: {apart:.2e}")


def _prefill(model, prompt, cache):
    from assistant.writers.vlm.generate import _pictures

    tokens = prompt.tokens[None]
    is_image = (tokens == model.config.image_token_id).long()
    model.model(
        input_ids=tokens,
        token_type_ids=is_image,
        use_cache=True,
        **{cache_argument(model.model): cache},
        **_pictures(prompt, model),
    )


def _heads(decoder, model, prompt):
    hidden, _ = decoder._read(prompt, 1)
    _timed("restricted head, reordered", lambda _: decoder.head(hidden), range(40))
    rows = decoder.vocabulary.rows(model.lm_head.weight)
    _timed("restricted head, plain", lambda _: hidden @ rows.T, range(40))
    _timed("full head", lambda _: model.lm_head(hidden), range(10))
    assert torch.equal(product(rows)(hidden).argmax(-1), (hidden @ rows.T).argmax(-1))


def _grammar_steps(decoder, grammar):
    """Time the grammar alone under an adversary that uses all its room."""
    clock = _Clock()
    start = decoder.guide.start(grammar)
    clock.say("building the grammar", 1)
    change = ADVERSARIES["random"](decoder.vocabulary, 0)
    clock = _Clock()
    written = sum(len(line) for line in draft(start.copy(), decoder.vocabulary, change))
    print(f"an adversary's draft of {written} characters")
    times, matcher = [], start.copy()
    rng = np.random.default_rng(0)
    for _ in range(400):
        begin = process_time()
        allowed = matcher.allowed()
        token = int(rng.choice(np.flatnonzero(allowed)))
        if token >= len(decoder.vocabulary.words) + len(SLOTS):
            break
        matcher.consume(token)
        times.append(process_time() - begin)
    print(f"grammar step: mean {np.mean(times) * 1e3:.3f} ms, worst {max(times) * 1e3:.2f} ms")


def _whole(decoder, prompt, grammar):
    """Write reports, with the grammar and all."""
    for seed in range(2):
        begin = process_time()
        wanted = Commission(prompt, grammar, Sampling(seed, 1.0), Bounds(1200, 40))
        *_, (_, whole) = decoder.write_together([(None, wanted)])
        found = whole.statistics
        spent = process_time() - begin
        print(
            f"report: {found.tokens} tokens, {found.forced} forced,"
            f" {found.tokens_per_s:.1f} a second by the wall,"
            f" {found.tokens / spent:.1f} by the processor with the prefill;"
            f" first statement after {found.first_statement_s:.2f} s"
        )


def _timed(what, run, arguments):
    """Run once per argument; print the median and the quickest eighth; return what came."""
    found, walls, spent = [], [], []
    for argument in arguments:
        wall, begin = perf_counter(), process_time()
        found.append(run(argument))
        spent.append(process_time() - begin)
        walls.append(perf_counter() - wall)
    eighth = sorted(walls)[len(walls) // 8]
    print(
        f"{what}: {np.median(spent) * 1e3:.2f} ms of the processor, wall median "
        f"{np.median(walls) * 1e3:.2f}, quickest eighth {eighth * 1e3:.2f}"
    )
    return torch.cat(found)


class _Clock:
    def __init__(self):
        self._wall, self._spent = perf_counter(), process_time()

    def say(self, what, count):
        wall, spent = perf_counter() - self._wall, process_time() - self._spent
        print(
            f"{what}: {spent / count * 1e3:.1f} ms of the processor, wall {wall / count * 1e3:.1f}"
        )


if __name__ == "__main__":
    main()
