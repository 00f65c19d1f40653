"""Topics by the letters and words of a question: hashed n-grams and a linear model of them.

The features are those of fastText's bag of n-grams, hashed into a fixed number of places; the model
is a logistic regression that ``fit`` wrote. Needs no language model.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.resources import as_file, files
from math import log
from typing import NamedTuple
from zlib import crc32

import numpy as np
from jaxtyping import Float32, Int64
from safetensors.numpy import load_file

PLACES = 2**15
LETTERS = 5  # of the longest run
WORDS = 3
PIECE = re.compile(r"[a-z]+|[\u4e00-\u9fff]+|[^\sa-z\u4e00-\u9fff]")
WORD = re.compile(r"[a-z]+|[\u4e00-\u9fff]")
WEIGHTS = "weights.safetensors"


class Bag(NamedTuple):
    """Where the n-grams of a text fall and how heavy they weigh, before their rarity does."""

    places: Int64[np.ndarray, " gram"]
    weights: Float32[np.ndarray, " gram"]


def bag_of(text: str) -> Bag:
    """Count the n-grams of a plain text, dampened as 1 + ln(count)."""
    counts = Counter(crc32(gram.encode()) % PLACES for gram in _grams(text))
    places = sorted(counts)
    weights = [1 + log(counts[place]) for place in places]
    return Bag(np.array(places, dtype=np.int64), np.array(weights, dtype=np.float32))


def ngram_scores(text: str) -> Float32[np.ndarray, " topic"]:
    """Return the log-probability of each topic for a plain text."""
    model, bag = _model(), bag_of(text)
    weighed = bag.weights * model["rarity"][bag.places]
    length = float(np.linalg.norm(weighed)) or 1.0
    scores = (weighed / length) @ model["weights"][bag.places].astype(np.float32) + model["bias"]
    found: Float32[np.ndarray, " topic"] = scores - np.logaddexp.reduce(scores)
    return found


def _grams(text: str) -> Iterator[str]:
    """List runs of letters within each word, and runs of words."""
    for piece in PIECE.findall(text):
        padded = f" {piece} "
        for size in range(1, LETTERS + 1):
            yield from (padded[i : i + size] for i in range(len(padded) - size + 1))
    found = WORD.findall(text)
    for size in range(1, WORDS + 1):
        yield from ("\t".join(found[i : i + size]) + "\n" for i in range(len(found) - size + 1))


@cache
def _model() -> dict[str, np.ndarray]:
    with as_file(files(__package__).joinpath(WEIGHTS)) as path:
        return load_file(path)
