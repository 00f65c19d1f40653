"""What a question is about: its topic, found by a trained linear model, and the records it names.

Knows nothing of answers. Names of structures are found by the phrasebook and not by the model; the
same question is always about the same.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from assistant.ledger import Ledger
from assistant.writers import Turn
from assistant.writers.questions.ngrams import ngram_scores
from assistant.writers.questions.topics import (
    ANSWERED,
    INSTRUCTIONS,
    OF_RECORDS,
    TOPICS,
    UNCLEAR,
    UNKNOWN,
)
from prompts import Phrasebook
from segment.measurement import Measurement

HAN = re.compile(r"[\u3400-\u9fff]")
MARKUP = re.compile(r"<[^<>\s]{0,40}>|[<>{}\[\]|`]")
SENTENCE = re.compile(r"(?<=[.!?。！？])\s*|(?<=[:：])\s*")
NAMED = {"en": "hippocampus", "zh": "海马"}  # what every named structure is read as
OTHER_SIDE = re.compile(
    r"\b(?:the )?(?:other|opposite|contralateral) (?:side|one|hippocampus)\b"
    r"|(?:对|另一|另外一)(?:侧|边)(?:海马)?"
)
OTHER = {"left": "right", "right": "left"}
LONGEST = 1000  # characters that are read
MOST_SENTENCES = 8  # that are heard by themselves
LEAST_LIKELY = 0.18  # letters without a meaning get less; nobody can tell what they ask
LEAST_SURE = 0.5  # above it a sentence is taken for what was asked, whatever stands beside it


@dataclass(frozen=True)
class Asked:
    """What is asked and of which records; none where the topic is of none or nothing was named."""

    topic: str
    records: tuple[Measurement, ...] = ()


@runtime_checkable
class Listener(Protocol):
    """Anything else that tells topics apart, such as a language model."""

    def __call__(self, plain: str) -> Float32[np.ndarray, " topic"]:
        """Return the log-probability of each of ``TOPICS`` for a plain question."""


def understand(
    question: str,
    ledger: Ledger,
    words: Phrasebook,
    turns: Sequence[Turn] = (),
    listener: Listener | None = None,
) -> Asked:
    """Find the topic of a question and its records; ``turns`` say what "that" may be.

    With a ``listener`` both are asked and what they agree on most is taken. What nobody measured
    is of the topic ``not_measured``, and where no measured structure is named it is ``unclear``.
    """
    asked = simplified(question[:LONGEST])
    before = _cited(turns, ledger)
    across = _across(before) if OTHER_SIDE.search(asked) else ()
    found = across or named(asked, words)
    if across:
        asked = OTHER_SIDE.sub(name_of(words), asked)
    topic = likeliest_topic(plain(asked, words), listener)
    if topic not in OF_RECORDS:
        return Asked(topic)
    if _is_elsewhere(plain(asked, words), words):
        return Asked(UNKNOWN)
    records = before
    if wants_index := _mentions_index(asked, words):
        found = found or tuple((r.structure, r.side) for r in ledger.records if r.expression)
    if found:
        records = _records(found, ledger, wants_index=wants_index)
    return Asked(topic if records else UNCLEAR, records)


def language_of(question: str) -> str:
    """Tell which language a question is asked in: Chinese where it holds a Chinese character."""
    return "zh" if HAN.search(question) else "en"


def named(asked: str, words: Phrasebook) -> tuple[tuple[str, str], ...]:
    """List the structures and sides that a simplified text names, in its order.

    A side or a part that stands beside a name, as in "the left and right hippocampus", is one more.
    """
    pattern, meant = _names(words)
    found = dict.fromkeys(meant[match[0]] for match in pattern.finditer(asked))
    beside = pattern.sub(" ", asked)
    for structure, side in tuple(found):
        others = [one for one in _said(beside, words.lexicon["sides"]) if side in OTHER]
        parts = [one for one in _said(beside, words.lexicon["parts"]) if one != structure]
        if structure in words.lexicon["parts"]:
            found |= dict.fromkeys((part, side) for part in parts)
        found |= dict.fromkeys((structure, other) for other in others)
    return tuple(found)


def _said(text: str, terms: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """List the keys of which a term stands in a text."""
    for key, spelt in terms.items():
        if any(re.search(rf"(?<![a-z]){re.escape(term)}(?![a-z])", text) for term in spelt):
            yield key


def _is_elsewhere(asked: str, words: Phrasebook) -> bool:
    """Tell whether a plain text is about a neighbour or a nameless piece of a structure."""
    name, other = name_of(words), "|".join(map(re.escape, words.lexicon["elsewhere"]))
    beside = rf"{name} ?(?:{other})(?![a-z])|(?<![a-z])(?:{other}) (?:of|in) (?:the |both )?{name}"
    return re.search(beside, asked) is not None


def simplified(text: str) -> str:
    """Return a text in one form of each letter, in lower case, without markup."""
    return MARKUP.sub(" ", unicodedata.normalize("NFKC", text).lower())


def plain(asked: str, words: Phrasebook) -> str:
    """Read every name of a structure as the same one: which it is says nothing of the topic."""
    pattern, _ = _names(words)
    return pattern.sub(name_of(words), asked)


def name_of(words: Phrasebook) -> str:
    """Return the name that every structure is read as."""
    return NAMED.get(words.language, NAMED["en"])


def _cited(turns: Sequence[Turn], ledger: Ledger) -> tuple[Measurement, ...]:
    """List the records that the last answer about any was about."""
    for turn in reversed(turns):
        if cited := {cite for said in turn.answer for cite in said.cites}:
            return tuple(record for record in ledger.records if record.id in cited)
    return ()


def _across(records: Iterable[Measurement]) -> tuple[tuple[str, str], ...]:
    """Name the structures on the other side of records; none where they are of both."""
    sides = {record.side for record in records}
    if len(sides) != 1 or not sides <= OTHER.keys():
        return ()
    return tuple(dict.fromkeys((r.structure, OTHER[r.side]) for r in records))


def likeliest_topic(asked: str, listener: Listener | None = None) -> str:
    """Find the likeliest topic; of several sentences that of one, if it alone is surer."""
    topic, share = _likeliest(asked, listener)
    pieces = [piece for piece in SENTENCE.split(asked) if piece.strip()][:MOST_SENTENCES]
    heard = [_likeliest(piece, listener) for piece in pieces] if len(pieces) > 1 else []
    questions = [(sure, found) for found, sure in heard if found in ANSWERED]
    surest, found = max(questions, default=(0.0, topic))
    if surest >= LEAST_SURE and (surest > share or topic == INSTRUCTIONS):
        return found
    return topic if share >= LEAST_LIKELY else UNCLEAR


def _likeliest(asked: str, listener: Listener | None) -> tuple[str, float]:
    """Return the likeliest topic and its share of the probability."""
    scores = ngram_scores(asked)
    if listener is not None:
        scores = scores + listener(asked)
    shares = np.exp(scores - np.logaddexp.reduce(scores))
    best = int(np.argmax(shares))
    return TOPICS[best], float(shares[best])


def _mentions_index(asked: str, words: Phrasebook) -> bool:
    spelt = words.lexicon["quantities"].get("asymmetry index", ())
    return any(word.lower() in asked for word in spelt)


def _records(
    found: Iterable[tuple[str, str]], ledger: Ledger, *, wants_index: bool
) -> tuple[Measurement, ...]:
    """List the records of structures; a structure without a side is both of them."""
    of_names = [
        record
        for structure, side in found
        for record in ledger.records
        if record.structure == structure and side in (record.side, "none")
    ]
    wanted = [record for record in of_names if (record.expression is not None) == wants_index]
    return tuple(dict.fromkeys(wanted or of_names))


@cache
def _names(words: Phrasebook) -> tuple[re.Pattern[str], Mapping[str, tuple[str, str]]]:
    """List what structures are called, the longest name first; without a side it is both."""
    meant = words.spellings()
    for spelt, (structure, side) in list(meant.items()):
        for word in words.lexicon["sides"].get(side, ()):
            bare = " ".join(spelt.replace(word, "").split())
            meant.setdefault(bare, (structure, "none"))
    ordered = sorted((name for name in meant if name), key=len, reverse=True)
    edges = (rf"(?<![a-z]){re.escape(name)}(?![a-z])" for name in ordered)
    return re.compile("|".join(edges)), meant
