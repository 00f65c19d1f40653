"""Writers that mean harm: each changes a model's logits into what would make a number likeliest.

They get fp32 logits over a vocabulary and the tokens so far, as a ``Decoder`` hands them out.
"""

import unicodedata
from functools import partial

import numpy as np
import torch

from assistant.writers.vlm.text import Bounds, Text, write_lines

NUMBERS = "zero one two three four five six seven eight nine ten hundred half percent ml 一二三十半"


def random_logits(vocabulary, seed):
    """Draw every logit anew at every step."""
    generator = torch.Generator().manual_seed(seed)
    return lambda logits, tokens: torch.randn(len(logits), generator=generator)


def repeating_logits(vocabulary, seed):
    """Want the last token again, else one favourite order of tokens that never changes."""
    favourites = torch.randn(len(vocabulary.pieces), generator=torch.Generator().manual_seed(seed))

    def change(logits, tokens):
        wanted = favourites.clone()
        wanted[list(tokens[-1:])] = 1e3
        return wanted

    return change


def numeral_logits(vocabulary, seed):
    """Want digits, number words and their pieces above all; the longer the piece, the more."""
    scores = torch.tensor([_numeral_score(piece) for piece in vocabulary.pieces])
    noise = random_logits(vocabulary, seed)
    return lambda logits, tokens: 3.0 * scores + noise(logits, tokens)


def slot_logits(vocabulary, seed):
    """Want slots, of whatever record, over and over."""
    noise = random_logits(vocabulary, seed)
    is_slot = torch.tensor([piece in {*vocabulary.slots} for piece in vocabulary.pieces])
    return lambda logits, tokens: 4.0 * is_slot + noise(logits, tokens)


ADVERSARIES = {
    "random": random_logits,
    "repeating": repeating_logits,
    "numerals": numeral_logits,
    "slots": slot_logits,
}


def draft(matcher, vocabulary, change, bounds=None):
    """Let an adversary write one text with no model at all; return its lines."""
    choose = partial(_choose, change, torch.zeros(len(vocabulary.pieces)))
    return list(write_lines(choose, Text(matcher, vocabulary, bounds or Bounds())))


def _choose(change, logits, allowed, tokens):
    scores = np.where(allowed, change(logits, tokens).numpy(), -np.inf)
    return int(scores.argmax())


def _numeral_score(piece):
    plain = piece.strip("▁").lower()
    if any(unicodedata.category(character).startswith("N") for character in plain):
        return 10.0
    return float(len(plain)) if plain and plain in NUMBERS else 0.0
