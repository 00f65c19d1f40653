"""Fits the model that tells topics apart, on every wording of the phrasings.

Knows no question of the benchmarks. The result follows from the phrasings alone.
"""

import hashlib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped
from safetensors.numpy import save_file
from scipy.sparse import csr_array, diags_array
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

import prompts
from assistant.writers import phrasings
from assistant.writers.questions.names import plain, simplified
from assistant.writers.questions.ngrams import PLACES, bag_of
from assistant.writers.questions.topics import OF_RECORDS, TOPICS, WITH_INSTRUCTION
from prompts import Phrasebook

NAMED = re.compile(r"(?:the )?\{name\}")
POINTED = 3  # one in so many wordings is also asked of "it", as after an answer
AROUND = 12  # questions that each wording of an instruction is put around
ASKED = (*OF_RECORDS, "sides", "not_assessed", "summary")
STRENGTH = 100.0  # inverse of the penalty
ITERATIONS = 3000


class Example(NamedTuple):
    """A plain question and its topic."""

    text: str
    topic: str


def examples(languages: Sequence[str]) -> tuple[Example, ...]:
    """List all wordings of languages with their places filled."""
    return tuple(one for name in languages for one in asked_in(phrasings.load(name)))


def fit(known: Sequence[Example], path: Path) -> Path:
    """Fit the model of hashed n-grams and write it."""
    if missing := sorted({*TOPICS} - {example.topic for example in known}):
        msg = f"expected wordings of every topic, found none of {missing}"
        raise ValueError(msg)
    bags = [bag_of(example.text) for example in known]
    rows = np.repeat(np.arange(len(bags)), [len(bag.places) for bag in bags])
    columns = np.concatenate([bag.places for bag in bags])
    values = np.concatenate([bag.weights for bag in bags])
    counts = csr_array((values, (rows, columns)), shape=(len(bags), PLACES))
    seen = np.bincount(columns, minlength=PLACES)
    rarity = (np.log((1 + len(bags)) / (1 + seen)) + 1).astype(np.float32)
    weighed = normalize(counts @ diags_array(rarity))
    weights, bias = _regression(weighed, known, STRENGTH)
    tensors: dict[str, np.ndarray] = {
        "rarity": rarity,
        "weights": weights.astype(np.float16),
        "bias": bias,
    }
    return _save(path, tensors, facts_of(known))


def facts_of(known: Sequence[Example]) -> dict[str, str]:
    """Say which topics a model tells apart, and name the questions that it was fitted to."""
    asked = "\n".join(f"{example.topic} {example.text}" for example in known)
    return {"topics": " ".join(TOPICS), "questions": hashlib.sha256(asked.encode()).hexdigest()}


def asked_in(
    told: phrasings.Phrasings, around: int = AROUND, pointed: int = POINTED
) -> Iterator[Example]:
    """List the questions of a language; each wording of an instruction is put around some.

    One in ``pointed`` wordings is also asked of "it"; none if that is 0.
    """
    words = prompts.load(told.language)
    asked = [
        Example(text, topic)
        for table in (told.questions, told.follow_ups)
        for topic, wordings in table.items()
        if topic != WITH_INSTRUCTION
        for number, wording in enumerate(wordings)
        for text in _filled(wording, words, told, may_point=pointed > 0 and number % pointed == 0)
    ]
    yield from asked
    answerable = [example for example in asked if example.topic in ASKED]
    for number, wording in enumerate(told.questions[WITH_INSTRUCTION]):
        for text, topic in random.Random(number).sample(answerable, around):
            yield Example(simplified(wording.replace("{question}", text)), topic)


def _filled(
    wording: str, words: Phrasebook, told: phrasings.Phrasings, *, may_point: bool
) -> Iterator[str]:
    """Put a name into a wording, and each quantity where it asks for one; perhaps a pronoun too."""
    name = words.structure("hippocampus", "left")
    if may_point and "{name}" in wording and "{quantity}" not in wording:
        pronoun = words.lexicon["pronoun"]
        yield plain(simplified(NAMED.sub(pronoun, wording)), words)
    for quantity in _quantities(words) if "{quantity}" in wording else ("",):
        text = wording.replace("{name}", name).replace("{quantity}", quantity)
        text = text.replace("{short}", told.short.get("hippocampus|left", name))
        yield plain(simplified(text), words)


def _quantities(words: Phrasebook) -> list[str]:
    """Name the quantities that the wordings were written for."""
    return [words.quantities[quantity] for quantity in ("volume", "asymmetry index")]


def _regression(
    found: csr_array | Float32[np.ndarray, "example feature"],
    known: Sequence[Example],
    strength: float,
) -> tuple[Float32[np.ndarray, "feature topic"], Float32[np.ndarray, " topic"]]:
    """Fit a multinomial logistic regression; its columns are in the order of ``TOPICS``."""
    topics = np.array([TOPICS.index(example.topic) for example in known])
    model = LogisticRegression(C=strength, max_iter=ITERATIONS).fit(found, topics)
    return model.coef_.T.astype(np.float32), model.intercept_.astype(np.float32)


def _save(
    path: Path, tensors: Mapping[str, Shaped[np.ndarray, "..."]], facts: dict[str, str]
) -> Path:
    kept = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(kept, path, metadata=facts)
    return path
