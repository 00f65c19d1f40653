"""What a question is about, by the words that it shares with the questions of the phrasings.

Knows nothing of answers and nothing of models; the same question is always about the same.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import fsum, log

from assistant.ledger import Ledger
from assistant.writers import Turn, phrasings
from prompts import Phrasebook
from segment.measurement import Measurement

UNKNOWN = "not_measured"
INSTRUCTIONS, WITH_INSTRUCTION = "instructions", "with_instruction"
OF_RECORDS = ("volume", "size", "sure", "reliable")
LEAST_ALIKE = (
    0.4  # share of words, weighted by how rare they are, that two questions have in common
)
ALIKE = 0.9  # above it the whole question is taken as it stands, and not sentence by sentence
NAME, QUANTITY, QUESTION = "{name}", "{quantity}", "{question}"
PLACES = re.compile(r"\{(?:name|short)\}")
FEATURE = re.compile(r"\{name\}|[a-z]+|[\u4e00-\u9fff]")
SENTENCE = re.compile(r"(?<=[.!?。！？])\s*|(?<=[:：])\s*")


@dataclass(frozen=True)
class Asked:
    """What is asked and of which records; none where the topic is of none or nothing was named."""

    topic: str
    records: tuple[Measurement, ...] = ()


@dataclass(frozen=True)
class Wording:
    """One way to ask about a topic, as the words it is made of."""

    topic: str
    features: frozenset[str]

    @property
    def is_about_a_name(self) -> bool:
        """Tell whether it asks about a structure that must be named."""
        return NAME in self.features and self.topic not in (INSTRUCTIONS, WITH_INSTRUCTION)


@dataclass(frozen=True)
class Match:
    """The wording that a question is most like."""

    topic: str
    alike: float


def understand(
    question: str, ledger: Ledger, words: Phrasebook, turns: Sequence[Turn] = ()
) -> Asked:
    """Find the topic of a question and its records; ``turns`` say what "that" may be.

    What nobody would ask in words like these is of the topic ``not_measured``.
    """
    asked = _plain(question)
    found = named(asked, words)
    topic = _topic(asked, words, is_follow_up=bool(turns), is_named=bool(found))
    if topic not in (*OF_RECORDS, UNKNOWN):
        return Asked(topic)
    if found:
        records = _records(found, ledger, wants_index=_mentions_index(asked, words))
        return Asked(topic if records else UNKNOWN, records)
    cited = [cite for said in turns[-1].answer for cite in said.cites] if turns else []
    records = tuple(record for record in ledger.records if record.id in cited)
    return Asked(topic if records else UNKNOWN, records)


def named(plain: str, words: Phrasebook) -> tuple[tuple[str, str], ...]:
    """List the structures and sides that a text names, in its order."""
    pattern, meant = _names(words)
    return tuple(dict.fromkeys(meant[match[0]] for match in pattern.finditer(plain)))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def _mentions_index(plain: str, words: Phrasebook) -> bool:
    spelt = words.lexicon["quantities"].get("asymmetry index", ())
    return any(word.lower() in plain for word in spelt)


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


def _topic(plain: str, words: Phrasebook, *, is_follow_up: bool, is_named: bool) -> str:
    """Find the topic of the whole question, or else of the sentence that can be answered best."""
    known = [
        wording
        for wording in _wordings(words, is_follow_up=is_follow_up)
        if is_named or not wording.is_about_a_name
    ]
    whole = _nearest(plain, words, known)
    if whole.alike >= ALIKE and whole.topic != INSTRUCTIONS:
        return whole.topic
    pieces = [_nearest(piece, words, known) for piece in SENTENCE.split(plain) if piece.strip()]
    matches = [match for match in (whole, *pieces) if match.alike >= LEAST_ALIKE]
    asked = [match for match in matches if match.topic != INSTRUCTIONS]
    best = max(asked or matches, key=lambda match: match.alike, default=Match(UNKNOWN, 0.0))
    return best.topic


def _nearest(plain: str, words: Phrasebook, known: Sequence[Wording]) -> Match:
    """Compare a text with every wording; the first of equals is taken."""
    features, weights = _features(plain, words), _weights(words)
    rare = max(weights.values(), default=0.0)

    def weight(of: frozenset[str]) -> float:
        return fsum(weights.get(feature, rare) for feature in of)

    def alike(wording: Wording) -> float:
        total = weight(features) + weight(wording.features)
        return 2 * weight(features & wording.features) / total if total else 0.0

    best = max(known, key=alike, default=None)
    return Match(UNKNOWN, 0.0) if best is None else Match(best.topic, alike(best))


def _features(text: str, words: Phrasebook) -> frozenset[str]:
    """List the words of a text, pairs of Han characters among them; names become one word."""
    pattern, _ = _names(words)
    found = FEATURE.findall(pattern.sub(f" {NAME} ", text))
    pairs = (a + b for a, b in pairwise(found) if len(a) == len(b) == 1)
    return frozenset(found) | frozenset(pairs)


@cache
def _wordings(words: Phrasebook, *, is_follow_up: bool) -> tuple[Wording, ...]:
    """List all that can be asked in a language; none in one that has no phrasings."""
    return tuple(_listed(words, is_follow_up=is_follow_up))


def _listed(words: Phrasebook, *, is_follow_up: bool) -> Iterator[Wording]:
    if words.language not in phrasings.languages():
        return
    told = phrasings.load(words.language)
    tables = (told.questions, told.follow_ups) if is_follow_up else (told.questions,)
    for table in tables:
        for topic, questions in table.items():
            meant = INSTRUCTIONS if topic == WITH_INSTRUCTION else topic
            for question in questions:
                for quantity in words.quantities.values():
                    text = question.replace(QUESTION, "").replace(QUANTITY, quantity)
                    plain = PLACES.sub(f" {NAME} ", _plain(text))
                    yield Wording(meant, _features(plain, words))


@cache
def _weights(words: Phrasebook) -> Mapping[str, float]:
    """Weigh each word by how few wordings hold it."""
    known = _wordings(words, is_follow_up=True)
    counts = Counter(feature for wording in known for feature in wording.features)
    return {feature: log(1 + len(known) / count) for feature, count in counts.items()}


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
