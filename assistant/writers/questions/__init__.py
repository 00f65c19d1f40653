"""What a question is about: its topic, found by a trained linear model, and the records it names.

Knows nothing of answers. Names of structures are found by the phrasebook (``names``) and not by the
model; the same question is always about the same.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from assistant.ledger import Ledger
from assistant.writers import Turn
from assistant.writers.questions.asked import Asked
from assistant.writers.questions.criteria import (
    CRITERIA,
    asks_for_criteria,
    rules_meant,
    rules_named,
)
from assistant.writers.questions.dates import in_its_year, on_earlier_dates, on_its_dates
from assistant.writers.questions.hints import (
    MISHEARD,
    SIGNAL,
    asked_of_change,
    asks_for_caution,
    asks_for_change,
    asks_for_earlier,
    asks_for_prior_date,
    is_about_lesions,
    is_for_enhancement,
    is_in_millilitres,
    is_of_change_alone,
    is_of_error,
    is_of_signal,
    is_of_trust_alone,
    topic_aside,
    topic_of_one_side,
    topic_of_parts,
)
from assistant.writers.questions.lesions import about_lesions, is_of_lesions, topic_of_lesions
from assistant.writers.questions.names import (
    cited,
    is_elsewhere,
    mentions_index,
    named,
    plain,
    readings,
    simplified,
    without_others,
)
from assistant.writers.questions.ngrams import ngram_scores
from assistant.writers.questions.topics import (
    ANSWERED,
    DECLINED,
    HEAD_SIZE,
    INSTRUCTIONS,
    INTERVAL,
    LESION,
    OF_RECORDS,
    OF_SIDES,
    OF_TRUST,
    OTHER_STRUCTURES,
    PRIOR,
    RATE,
    REALITY,
    TOPICS,
    UNCLEAR,
    UNKNOWN,
)
from prompts import Phrasebook
from segment.change import ABSOLUTE, RELATIVE, TREND, YEARLY
from segment.measurement import EARLIER, Measurement

HOW_SURE = "sure"
# What would be told of a whole structure, or of the head, where a piece of a structure is meant.
OF_PLACES = (*OF_RECORDS, *OF_SIDES, PRIOR, HEAD_SIZE, UNCLEAR)
LETTER = re.compile(r"[^\W\d_]")
HAN = re.compile(r"[\u3400-\u9fff]")
SENTENCE = re.compile(r"(?<=[.!?。！？])\s*|(?<=[:：])\s*")
LONGEST_QUESTION = 1000  # characters that are read
MOST_SENTENCES = 8  # that are heard by themselves
LEAST_LIKELY = 0.2  # letters without a meaning get less; nobody can tell what they ask
LEAST_SURE = 0.5  # above it a sentence is taken for what was asked, whatever stands beside it
SURE = 0.8  # above it a sentence about something that nobody measured is answered as well


class Heard(NamedTuple):
    """The likeliest topic of a text and its share of the probability."""

    topic: str
    share: float


def understand(
    question: str,
    ledger: Ledger,
    words: Phrasebook,
    turns: Sequence[Turn] = (),
) -> Asked:
    """Find the topic of a question and its records; ``turns`` say what "that" may be.

    What nobody measured is of the topic ``not_measured``, and where no measured structure is named
    it is ``unclear``.
    """
    asked = simplified(question[:LONGEST_QUESTION])
    if asks_for_criteria(asked, words):
        return Asked(CRITERIA, rules=rules_named(asked, words))
    if meant := rules_meant(asked, words):
        if set(meant) & {judgement.rule for judgement in ledger.judgements}:
            return Asked(CRITERIA, rules=meant)
        if is_of_lesions(ledger) and is_about_lesions(asked, words):
            return Asked(UNKNOWN)
    heard = _of_measurements(asked, ledger, words, turns)
    is_of_enhancement = is_of_lesions(ledger) and is_for_enhancement(asked, words)
    return replace(heard, is_of_enhancement=is_of_enhancement)


def language_of(question: str) -> str:
    """Tell which language a question is asked in: Chinese where it holds a Chinese character."""
    return "zh" if HAN.search(question) else "en"


def _of_measurements(asked: str, ledger: Ledger, words: Phrasebook, turns: Sequence[Turn]) -> Asked:
    """Find the topic and the records of a simplified question that asks for no criteria."""
    if (of_ids := _of_ids(asked, ledger, words)) is not None:
        return of_ids
    if asks_for_prior_date(asked, words):
        return on_earlier_dates(ledger)
    if (of_year := in_its_year(asked, ledger, words)) is not None:
        return of_year
    before = _cited(turns, ledger)
    of_change = asked_of_change(asked, words)
    if (found := about_lesions(asked, ledger, words, of_change)) is not None:
        return on_its_dates(found, asked, ledger)
    if is_of_change_alone(asked, words):
        is_of_answer = of_change == REALITY and before
        topic, records = ("reliable", before) if is_of_answer else (PRIOR, ())
        return Asked(topic, records, of_change=of_change)
    heard = replace(_of_structures(asked, ledger, words, before), of_change=of_change)
    if heard.topic in (INTERVAL, UNCLEAR) and is_of_error(asked, words):
        heard = _of_error(asked, ledger, words)
    if is_of_lesions(ledger):
        heard = replace(heard, topic=topic_of_lesions(heard.topic, asked, words))
    return on_its_dates(heard, asked, ledger)


def _of_ids(asked: str, ledger: Ledger, words: Phrasebook) -> Asked | None:
    """Find what is asked of records that a question gives by their ids; None where it gives none.

    What is surely asked of something that nobody measured is no question about them.
    """
    text, records = cited(asked, ledger.records, words)
    if not records:
        return None
    heard = _likeliest(plain(text, words))
    if heard.topic in DECLINED and heard.share >= SURE:
        return Asked(heard.topic)
    if is_of_lesions(ledger):
        return Asked(LESION, records)
    topic = heard.topic if heard.topic in OF_RECORDS else "volume"
    return Asked(topic, records)


def _of_structures(
    asked: str, ledger: Ledger, words: Phrasebook, before: tuple[Measurement, ...]
) -> Asked:
    """Find what is asked of measured structures, and whether others are named beside them."""
    alone = asked if is_of_lesions(ledger) else without_others(asked, ledger.records, words)
    heard = _understood(alone, ledger, words, before)
    if alone == asked or heard.topic in DECLINED:
        return heard
    if heard.topic == UNCLEAR:
        return Asked(OTHER_STRUCTURES)
    return replace(heard, besides=tuple(dict.fromkeys((*heard.besides, OTHER_STRUCTURES))))


def _of_error(asked: str, ledger: Ledger, words: Phrasebook) -> Asked:
    """Find the changes that are told with their measurement error; that of lesions nobody knows."""
    if is_of_lesions(ledger):
        return Asked(PRIOR, of_change=REALITY)
    names = named(asked, words)
    compared = any(record.comparator for record in ledger.records)
    return Asked(PRIOR, _compared(names, asked, ledger, words)) if compared else Asked(UNCLEAR)


def _understood(
    asked: str, ledger: Ledger, words: Phrasebook, before: tuple[Measurement, ...]
) -> Asked:
    """Find the topic and the records of a simplified question, after an answer about some."""
    heard = [(read, _hear(read.text)) for read in readings(asked, words, before)]
    read, (whole, pieces) = max(heard, key=lambda one: one[1][0].share)
    topic = _topic_of(whole, pieces)
    topic = topic if pieces else topic_aside(topic, asked, words)
    if whole.share < LEAST_SURE and before and all(record.comparator for record in before):
        topic = PRIOR  # "how fast?", after an answer about a change
    names = heard[-1][0].names  # also where the question was heard better as it stands
    topic = _plainly(topic, asked, words, is_named=bool(names or before))
    besides = tuple(dict.fromkeys(_besides(topic, pieces)))
    if topic in OF_PLACES and is_elsewhere(read.text, words):
        return Asked(UNKNOWN, besides=besides)
    if topic == PRIOR and names:
        return Asked(topic, _compared(names, asked, ledger, words), besides)
    if topic not in OF_RECORDS:
        return Asked(topic, besides=besides)
    wants_index = mentions_index(asked, words)
    if wants_index and not names:
        names = tuple((r.structure, r.side) for r in _of_today(ledger) if r.expression)
    records = _records(names, ledger, wants_index=wants_index) if names else before
    is_of_all = is_of_trust_alone(asked, words) or asks_for_caution(asked, words)
    if not records and topic in OF_TRUST and is_of_all:
        records = _first(ledger)
    return Asked(topic if records else UNCLEAR, records, besides)


def _plainly(topic: str, asked: str, words: Phrasebook, *, is_named: bool) -> str:
    """Return the topic that a question says plainly, whatever it was heard as."""
    if topic not in (*OF_TRUST, INSTRUCTIONS) and asks_for_caution(asked, words):
        return "reliable"
    if is_named and asked_of_change(asked, words) == RATE:
        is_change = topic == UNKNOWN and asks_for_change(asked, words)
        topic = PRIOR if is_change or topic == "size" else topic
    if topic in MISHEARD and asks_for_change(asked, words):
        is_signal = topic == SIGNAL and (not is_named or is_of_signal(asked, words))
        return topic if is_signal else PRIOR
    if topic not in OF_TRUST and is_of_trust_alone(asked, words):
        return HOW_SURE
    if topic in OF_SIDES and is_named:
        topic = topic_of_one_side(asked, words) or topic
    return topic_of_parts(topic, asked, words) if is_named else topic


def _compared(
    names: Sequence[tuple[str, str]], asked: str, ledger: Ledger, words: Phrasebook
) -> tuple[Measurement, ...]:
    """List what a comparison says of the structures that are named, in the quantities asked for."""
    wanted = [RELATIVE, YEARLY, TREND]
    if asks_for_earlier(asked, words):
        wanted = [EARLIER, RELATIVE]
    elif is_in_millilitres(asked, words):
        wanted = [ABSOLUTE, RELATIVE]
    found = (record for record in ledger.records if record.quantity in wanted)
    mine = [r for r in found if any(r.structure == s and x in (r.side, "none") for s, x in names)]
    return tuple(mine)


def _cited(turns: Sequence[Turn], ledger: Ledger) -> tuple[Measurement, ...]:
    """List the records that the last answer about any was about."""
    for turn in reversed(turns):
        if cited := {cite for said in turn.answer for cite in said.cites}:
            return tuple(record for record in ledger.records if record.id in cited)
    return ()


def likeliest_topic(asked: str) -> str:
    """Find the likeliest topic; of several sentences that of one, if it alone is surer."""
    return _topic_of(*_hear(asked))


def _hear(asked: str) -> tuple[Heard, tuple[Heard, ...]]:
    """Hear the whole of a text, and each sentence where there are several."""
    pieces = [piece for piece in SENTENCE.split(asked) if piece.strip()][:MOST_SENTENCES]
    of_pieces = (_likeliest(piece) for piece in pieces if len(pieces) > 1)
    return _likeliest(asked), tuple(of_pieces)


def _topic_of(whole: Heard, pieces: Sequence[Heard]) -> str:
    """Choose between the whole and a sentence that can be answered."""
    questions = [piece for piece in pieces if piece.topic in ANSWERED]
    surest = max(questions, key=lambda heard: (heard.share, heard.topic), default=None)
    is_order = whole.topic == INSTRUCTIONS
    if surest and surest.share >= LEAST_SURE and (surest.share > whole.share or is_order):
        return surest.topic
    return whole.topic if whole.share >= LEAST_LIKELY else UNCLEAR


def _besides(topic: str, pieces: Sequence[Heard]) -> Iterator[str]:
    """List what another sentence asks for surely and nobody measured."""
    for heard in pieces:
        if heard.topic in DECLINED and heard.share >= SURE and heard.topic != topic:
            yield heard.topic


def _likeliest(asked: str) -> Heard:
    """Return the likeliest topic of a text; without a letter it has none."""
    if not LETTER.search(asked):
        return Heard(UNCLEAR, 1.0)
    shares = np.exp(ngram_scores(asked))
    best = int(np.argmax(shares))
    return Heard(TOPICS[best], float(shares[best]))


def _records(
    found: Iterable[tuple[str, str]], ledger: Ledger, *, wants_index: bool
) -> tuple[Measurement, ...]:
    """List the records of structures; a structure without a side is both of them."""
    of_names = [
        record
        for record in _of_today(ledger)
        if any(record.structure == s and side in (record.side, "none") for s, side in found)
    ]
    wanted = [record for record in of_names if (record.expression is not None) == wants_index]
    return tuple(wanted or of_names)


def _first(ledger: Ledger) -> tuple[Measurement, ...]:
    """List the records of the structure that a report begins with, of both sides."""
    found = _of_today(ledger)
    return tuple(r for r in found if r.structure == found[0].structure and r.expression is None)


def _of_today(ledger: Ledger) -> list[Measurement]:
    """List the records of the examination itself: "the volume" is never the earlier one."""
    return [record for record in ledger.records if not record.is_of_comparison]
