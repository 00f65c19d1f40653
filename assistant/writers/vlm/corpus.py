"""All that a writer may say in a language, and the tokens that this takes of a tokenizer.

Every wording with every name it can be about, those held out as well; knows no ledger.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Protocol, runtime_checkable

import prompts
from assistant.report import CJK_NUMBER
from assistant.writers.phrasings import Phrasings, load
from assistant.writers.questions.criteria import CRITERIA
from assistant.writers.questions.topics import ACQUISITION
from assistant.writers.template import COUNTS, LESIONS
from assistant.writers.vlm.author import exam, fill
from assistant.writers.vlm.ledgers import compared_records, plain_records
from assistant.writers.vlm.slots import TEXT_SLOT
from prompts import Phrasebook
from segment.measurement import EARLIER, Measurement

SLOT = "<unused1000>"
BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
NAMED = re.compile(r"<[^<>\s]+>")
NEWLINE = "\n"
# Answers that the template alone gives: about criteria, about lesions, and how the scan was made.
STOCK = tuple(f"answer.{topic}." for topic in (CRITERIA, *LESIONS, ACQUISITION))
CHANGE = "change_"  # closings about a change begin so
# Which closings an opening can have, and whether it is about the pair of sides.
CLOSED_BY = {
    "volume": ("volume_", False),
    "asymmetry": ("asymmetry_", True),
    "reference": ("reference_", True),
    "reference_interval": ("reference_overlaps", True),
}


@runtime_checkable
class Encoding(Protocol):
    """What a tokenizer makes of a text: its pieces, as it spells them."""

    @property
    def tokens(self) -> list[str]:
        """The pieces in order."""


@runtime_checkable
class Tokenizes(Protocol):
    """The part of ``tokenizers.Tokenizer`` that is needed here."""

    def encode_batch(self, input: list[str], *, add_special_tokens: bool) -> Sequence[Encoding]:  # noqa: A002
        """Cut texts into pieces."""

    def token_to_id(self, token: str) -> int | None:
        """Return the number of a piece."""


@cache
def corpus(language: str) -> str:
    """Return one line for each wording and name, slots as tokens: the same text every time."""
    words, phrasings = prompts.load(language), load(language)
    lines = dict.fromkeys(
        TEXT_SLOT.sub(SLOT, re.sub(r" (?=\{)", "", line)) for line in _lines(words, phrasings)
    )
    return NEWLINE.join(lines)


@cache
def joints(language: str) -> tuple[str, ...]:
    """List all that stands between a volume and its reference range in one sentence."""
    phrasings, found = load(language), dict[str, None]()
    for closing in (c for key, cs in phrasings.closings.items() if _is_of(key) for c in cs):
        for opening in phrasings.openings["volume"]:
            before, slot, _ = (opening + closing).partition("{norm}")
            if slot:
                found[before.partition("{reading}")[2].rstrip(" ")] = None
    return tuple(found)


@cache
def turns(language: str) -> tuple[str, ...]:
    """List all that stands between a change and its measurement error in one sentence."""
    phrasings, found = load(language), dict[str, None]()
    for key, closings in phrasings.closings.items():
        for closing in closings if key.startswith(CHANGE) else ():
            before, slot, _ = closing.partition("{error}")
            if slot:
                found[before.rstrip(" ")] = None
    return tuple(found)


@cache
def leads(language: str) -> tuple[str, ...]:
    """List all that leads to the reference range of an index, in a sentence about that alone."""
    words, phrasings, found = prompts.load(language), load(language), dict[str, None]()
    for record in (record for record in plain_records() if record.side == "none"):
        for wording in _comparing(phrasings):
            before, _, _ = fill(wording, (record,), words, phrasings).partition(f"{{{record.id}.")
            found[before.rstrip(" ")] = None
    return tuple(found)


def vocabulary_words(tokenizer: Tokenizes, languages: Iterable[str]) -> tuple[str, ...]:
    """List the pieces of the corpora in order, slots apart.

    Raises ValueError for one that holds a number of any script or stands for a byte.
    """
    found = {NEWLINE}
    for language in languages:
        lines = [line + NEWLINE for line in corpus(language).split(NEWLINE)]
        for encoding in tokenizer.encode_batch(lines, add_special_tokens=False):
            found.update(encoding.tokens)
    pieces = sorted(piece for piece in found if BYTE.fullmatch(piece) or not NAMED.fullmatch(piece))
    for piece in pieces:
        if BYTE.fullmatch(piece) or holds_number(piece):
            msg = f"a token of the corpus is a number or a byte: expected words, found {piece!r}"
            raise ValueError(msg)
    return tuple(pieces)


def allowed_ids(tokenizer: Tokenizes, languages: Iterable[str]) -> tuple[int, ...]:
    """List the ids of the pieces of the corpora, in the order of ``vocabulary_words``."""
    ids = [tokenizer.token_to_id(piece) for piece in vocabulary_words(tokenizer, languages)]
    return tuple(number for number in ids if number is not None)


def holds_number(piece: str) -> bool:
    """Tell whether a piece holds a numeric character of any script or a Chinese number."""
    is_numeric = any(unicodedata.category(c).startswith("N") for c in piece)
    return is_numeric or CJK_NUMBER.search(piece) is not None


def _lines(words: Phrasebook, phrasings: Phrasings) -> Iterator[str]:
    """List what can be said: of each record, of each group, and without a record."""
    stop = phrasings.words["stop"]
    for records in (plain_records(), compared_records()):
        for record in records:
            yield from (
                fill(wording, (record,), words, phrasings) + stop
                for wording in _wordings(record, phrasings)
            )
        for group in _groups(records):
            for kind in _withheld(group[0]):
                for wording in phrasings.sentences[kind]:
                    yield fill(wording, group, words, phrasings) + stop
    gaps = tuple(f"not_assessed.{key}" for key in exam().not_assessed)
    for key, text in words.phrases.items():
        is_answer = key.startswith("answer.") and not key.startswith(STOCK)
        if is_answer or key in gaps:
            yield text


def _wordings(record: Measurement, phrasings: Phrasings) -> Iterator[str]:
    """List every wording that can be about a record."""
    if record.is_of_comparison:
        yield from _compared(record, phrasings)
        return
    is_pair = record.side == "none"
    for name, (start, is_about_pair) in CLOSED_BY.items():
        closings = [
            c for key, cs in phrasings.closings.items() if key.startswith(start) for c in cs
        ]
        for opening in phrasings.openings[name] if is_pair == is_about_pair else ():
            for closing in closings:
                yield opening + closing
                yield opening + phrasings.without_norm(closing)
    for kind in ("sure", "sure_wide", "reliable"):
        yield from phrasings.sentences[kind]


def _compared(record: Measurement, phrasings: Phrasings) -> Iterator[str]:
    """List every wording that can be about a volume of before, or about a change."""
    if record.quantity == EARLIER:
        yield from (*phrasings.openings["earlier"], *phrasings.openings["earlier_undated"])
        return
    first, *others = phrasings.openings["change"]  # a slot parts each from its closing
    yield from others
    for key, closings in phrasings.closings.items():
        for closing in closings if key.startswith(CHANGE) else ():
            yield first + closing
            yield first + phrasings.without_error(closing)


def _withheld(record: Measurement) -> tuple[str, ...]:
    """Say in which sentences a record can be withheld."""
    if record.comparator is None:
        return "not_assessed", "not_reliable"
    return "not_assessed", "not_comparable", "change_withheld"


def _is_of(closing: str) -> bool:
    """Tell whether closings are those of volumes."""
    return closing.startswith(CLOSED_BY["volume"][0])


def _comparing(phrasings: Phrasings) -> Iterator[str]:
    """List the wordings that compare an index with its reference range."""
    for name in ("reference", "reference_interval"):
        start, _ = CLOSED_BY[name]
        for key, closings in phrasings.closings.items():
            overlaps = key == CLOSED_BY["reference_interval"][0]
            if key.startswith(start) and overlaps == (name == "reference_interval"):
                yield from (a + b for a in phrasings.openings[name] for b in closings)


def _groups(records: Sequence[Measurement]) -> Iterator[tuple[Measurement, ...]]:
    """List what can be withheld together: neighbours of one side, quantity and date."""
    for start in range(len(records)):
        for end in range(start + 1, min(start + len(COUNTS), len(records)) + 1):
            group = tuple(records[start:end])
            if len({(r.side, r.quantity, r.date) for r in group}) == 1:
                yield group
