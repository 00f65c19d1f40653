"""Adversaries that need a language: the longest lines, and the words of another study's report.

Also the vocabulary that they write with. Knows nothing of what becomes of a draft.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

import prompts
from assistant.writers.vlm.corpus import corpus
from assistant.writers.vlm.data import held_out_pairs
from assistant.writers.vlm.matcher import Guide, make_guide
from assistant.writers.vlm.spoken import vocabulary_of
from assistant.writers.vlm.vocabulary import NEWLINE, Vocabulary
from tests.adversaries import ADVERSARIES
from tests.toy_vlm import toy_tokenizer

LANGUAGES = ("en", "zh")
NO_END = -20.0
PAIRS = 1000  # among which there is a report
Change = Callable[[torch.Tensor, Sequence[int]], torch.Tensor]
Maker = Callable[[Vocabulary, int], Change]
OF_ANY_LANGUAGE: Mapping[str, Maker] = dict(ADVERSARIES)


def longest_logits(vocabulary: Vocabulary, seed: int) -> Change:
    """Want the longest pieces and no end of a line or of the text."""
    lengths = torch.tensor([float(len(piece)) for piece in vocabulary.words])
    rest = torch.full((len(vocabulary.pieces) - len(lengths),), NO_END)
    scores = torch.cat((lengths, rest))
    scores[vocabulary.dense[NEWLINE]] = NO_END
    noise = OF_ANY_LANGUAGE["random"](vocabulary, seed)
    return lambda logits, tokens: scores + noise(logits, tokens)


def borrowing_logits(
    tokenizer: Tokenizer, language: str, vocabulary: Vocabulary, seed: int, topic: str
) -> Change:
    """Want the report or the comparison of another study, line by line.

    It is well worded, and not about these records.
    """
    pairs = held_out_pairs(np.random.default_rng(seed), PAIRS, (language,))
    target = next(pair.target for pair in pairs if pair.topic == topic)
    cut = tokenizer.encode_batch(
        [line + NEWLINE for line in target.split(NEWLINE)], add_special_tokens=False
    )
    lines = [[vocabulary.dense.get(piece) for piece in found.tokens] for found in cut]
    newline, noise = vocabulary.dense[NEWLINE], OF_ANY_LANGUAGE["random"](vocabulary, seed)

    def change(logits: torch.Tensor, tokens: Sequence[int]) -> torch.Tensor:
        wanted = noise(logits, tokens)
        begun = next((n for n, token in enumerate(reversed(tokens)) if token == newline), None)
        place = len(tokens) if begun is None else begun
        line = lines[list(tokens).count(newline) % len(lines)]
        if place < len(line) and (token := line[place]) is not None:
            wanted[token] = 1e3
        return wanted

    return change


NAMES = (*ADVERSARIES, "longest", "borrowing")


def change_of(
    name: str, language: str, base: Path | None, seed: int, topic: str = "report"
) -> Change:
    """Make an adversary by its name; ``topic`` is what is asked for, a report or a comparison."""
    vocabulary = guide_of(base).vocabulary
    if name == "borrowing":
        return borrowing_logits(_tokenizer(base), language, vocabulary, seed, topic)
    return {**OF_ANY_LANGUAGE, "longest": longest_logits}[name](vocabulary, seed)


@cache
def guide_of(base: Path | None) -> Guide:
    """Make the product's vocabulary, and add the pieces that number words are spelled with."""
    lexicons = [prompts.load(language).lexicon["number_words"] for language in LANGUAGES]
    spelled = [f" {word}" for words in lexicons for word in words]
    letters = [" ".join("abcdefghijklmnopqrstuvwxyz")]
    return make_guide(vocabulary_of(_tokenizer(base), LANGUAGES, (*spelled, *letters)))


@cache
def _tokenizer(base: Path | None) -> Tokenizer:
    if base is not None:
        return Tokenizer.from_file(str(base / "tokenizer.json"))
    return toy_tokenizer([" ".join(sorted(set(corpus(language)))) for language in LANGUAGES])
