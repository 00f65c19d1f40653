"""Fits the models that tell topics apart, on every wording of the phrasings.

Knows no question of the benchmarks. The result follows from the phrasings alone.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from safetensors.numpy import save_file
from scipy.sparse import csr_array, diags_array
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

import prompts
from assistant.writers import phrasings
from assistant.writers.questions import plain, simplified
from assistant.writers.questions.ngrams import PLACES, bag_of
from assistant.writers.questions.topics import OF_RECORDS, TOPICS, WITH_INSTRUCTION
from prompts import Phrasebook

AROUND = 12  # questions that each wording of an instruction is put around
ASKED = (*OF_RECORDS, "sides", "not_assessed", "summary")
NGRAM_STRENGTH = 100.0  # inverse of the penalty; chosen on the wordings held out by ``phrasings``
FEATURE_STRENGTH = 0.03
ITERATIONS = 3000


class Example(NamedTuple):
    """A plain question and its topic."""

    text: str
    topic: str


def examples(languages: Sequence[str], part: phrasings.Part | None = None) -> tuple[Example, ...]:
    """List the wordings of languages with their places filled; all, or those of a part."""
    return tuple(e for language in languages for e in _of_language(language, part))


def fit_ngrams(known: Sequence[Example], path: Path) -> Path:
    """Fit the model of hashed n-grams and write it."""
    bags = [bag_of(example.text) for example in known]
    rows = np.repeat(np.arange(len(bags)), [len(bag.places) for bag in bags])
    columns = np.concatenate([bag.places for bag in bags])
    values = np.concatenate([bag.weights for bag in bags])
    counts = csr_array((values, (rows, columns)), shape=(len(bags), PLACES))
    seen = np.bincount(columns, minlength=PLACES)
    rarity = (np.log((1 + len(bags)) / (1 + seen)) + 1).astype(np.float32)
    weighed = normalize(counts @ diags_array(rarity))
    weights, bias = _regression(weighed, known, NGRAM_STRENGTH)
    return _save(path, {"rarity": rarity, "weights": weights.astype(np.float16), "bias": bias}, {})


def fit_features(
    known: Sequence[Example],
    found: Float32[np.ndarray, "example feature"],
    path: Path,
    of: dict[str, str],
) -> Path:
    """Fit a model of a language model's features and write it; ``of`` says which model's."""
    mean, spread = found.mean(0), np.maximum(found.std(0), 1e-6)
    weights, bias = _regression((found - mean) / spread, known, FEATURE_STRENGTH)
    scaled = weights / spread[:, None]
    return _save(path, {"weights": scaled, "bias": bias - mean @ scaled}, of)


def _of_language(language: str, part: phrasings.Part | None) -> Iterator[Example]:
    words, told = prompts.load(language), phrasings.load(language)
    asked: list[Example] = []
    for table in (told.questions, told.follow_ups):
        for topic, wordings in table.items():
            if topic == WITH_INSTRUCTION:
                continue
            for wording in _of_part(wordings, part):
                asked += [Example(text, topic) for text in _filled(wording, words, told)]
    yield from asked
    answerable = [example for example in asked if example.topic in ASKED]
    for number, around in enumerate(_of_part(told.questions[WITH_INSTRUCTION], part)):
        for text, topic in random.Random(number).sample(answerable, AROUND):
            yield Example(simplified(around.replace("{question}", text)), topic)


def _of_part(wordings: tuple[str, ...], part: phrasings.Part | None) -> tuple[str, ...]:
    return wordings if part is None else phrasings.of_part(wordings, part)


def _filled(wording: str, words: Phrasebook, told: phrasings.Phrasings) -> Iterator[str]:
    """Put a name into a wording, and each quantity where it asks for one."""
    name = words.structure("hippocampus", "left")
    for quantity in words.quantities.values() if "{quantity}" in wording else ("",):
        text = wording.replace("{name}", name).replace("{quantity}", quantity)
        text = text.replace("{short}", told.short.get("hippocampus|left", name))
        yield plain(simplified(text), words)


def _regression(
    found: csr_array | Float32[np.ndarray, "example feature"],
    known: Sequence[Example],
    strength: float,
) -> tuple[Float32[np.ndarray, "feature topic"], Float32[np.ndarray, " topic"]]:
    """Fit a multinomial logistic regression; its columns are in the order of ``TOPICS``."""
    topics = np.array([TOPICS.index(example.topic) for example in known])
    if missing := set(range(len(TOPICS))) - set(topics.tolist()):
        msg = f"expected wordings of every topic, found none of {[TOPICS[n] for n in missing]}"
        raise ValueError(msg)
    model = LogisticRegression(C=strength, max_iter=ITERATIONS).fit(found, topics)
    return model.coef_.T.astype(np.float32), model.intercept_.astype(np.float32)


def _save(path: Path, tensors: dict[str, np.ndarray], of: dict[str, str]) -> Path:
    kept = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(kept, path, metadata={"topics": " ".join(TOPICS), **of})
    return path
