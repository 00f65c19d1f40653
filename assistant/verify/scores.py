"""Checks lines about scores: which fault, with what probability, read from the image.

Knows nothing of measurements: a line cites one or the other. What is said of a fault is so little
that a sentence may hold it once and nothing else, so no wording can turn it round.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache

from assistant.report import Line
from assistant.score import UNCALIBRATED, Score
from assistant.verify.bind import parts
from assistant.verify.lexer import Kind, Lexicon, Token, compiled, number_words, tokens
from prompts import TERMS, Phrasebook

TOLD_FROM = 0.8  # the least probability at which a fault may be said to be there
HALF_A_PERCENT = Decimal("0.5") + Decimal("1e-9")  # a whole percentage is rounded by that much
SHOWN: tuple[Kind, ...] = ("number", "limit")
KNOWN: tuple[Kind, ...] = (*SHOWN, "fault", "probability", "origin", "glue", "punctuation")
ONCE: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    ("fault", ("fault",)),
    ("probability", SHOWN),
    ("mark of what was read from the image", ("origin",)),
)
LISTS: tuple[Kind, ...] = ("probability", "origin", "glue")


def is_told(score: Score) -> bool:
    """Tell whether a score is that of a fault that a report states."""
    is_fault = score.finding.split(".")[0] == "quality"
    return is_fault and score.calibration != UNCALIBRATED and score.probability >= TOLD_FROM


def check_scored(line: Line, cited: Sequence[Score], phrasebook: Phrasebook) -> Iterator[str]:
    """Say what in a line the scores it cites do not carry.

    In a line edited by a person only the numbers are bound, the other words are theirs.
    """
    is_edited = line.origin == "edited by"
    if not is_edited and line.origin != "read from the image":
        yield f"the origin of a line about scores is not {line.origin!r}"
    named: set[str] = set()
    for sentence in parts(tokens(line.text, read_lexicon(phrasebook))):
        named |= {token.key for token in sentence if token.kind == "fault"}
        if is_edited:
            yield from _check_numbers(sentence, cited)
        else:
            yield from _check_sentence(sentence, cited)
    for score in cited:
        if _fault(score) not in named:
            yield f"cites {score.id} and does not name its fault"


@cache
def read_lexicon(phrasebook: Phrasebook) -> Lexicon:
    """Compile what a language says of scores; raises ValueError where a phrase means two things."""
    return compiled(_entries(phrasebook), phrasebook)


def _entries(phrasebook: Phrasebook) -> Iterator[tuple[str, Kind, str]]:
    """List every phrase with what it stands for."""
    yield from ((name, "fault", fault) for fault, name in phrasebook.faults.items())
    for fault, others in phrasebook.lexicon["faults"].items():
        yield from ((name, "fault", fault) for name in others)
    for kind in LISTS:
        yield from ((phrase, kind, "") for phrase in phrasebook.lexicon["read"][kind])
    yield from ((term, "term", term) for term in TERMS)
    yield from number_words()


def _fault(score: Score) -> str:
    """Name the fault of a score; empty for a score of anything else."""
    fact, _, value = score.finding.partition(".")
    return value if fact == "quality" else ""


def _check_sentence(sentence: Sequence[Token], cited: Sequence[Score]) -> Iterator[str]:
    """Say what a sentence holds too much or too little of, and what differs from the score."""
    for token in sentence:
        if token.kind not in KNOWN:
            yield f"{token.text!r} is bound to nothing"
    for name, kinds in ONCE:
        found = [token.text for token in sentence if token.kind in kinds]
        if len(found) != 1:
            yield f"a sentence about a score holds one {name}, not {found}"
    for before, token in zip((None, *sentence), sentence, strict=False):
        if token.kind in SHOWN and (before is None or before.kind != "probability"):
            yield f"{token.text!r} is not called a probability"
        if token.kind == "fault":
            yield from _check_fault(token, cited)
    yield from _check_numbers(sentence, cited)


def _check_fault(token: Token, cited: Sequence[Score]) -> Iterator[str]:
    """Say why a fault may not be stated: it is not cited, or not told of."""
    score = _named(token, cited)
    if score is None:
        yield f"{token.text!r} is not what the line cites"
    elif not is_told(score):
        yield f"{score.id} is no calibrated probability of at least {TOLD_FROM:g}"


def _check_numbers(sentence: Sequence[Token], cited: Sequence[Score]) -> Iterator[str]:
    """Say which numbers are not the probability of the fault named last, or else first."""
    faults = [token for token in sentence if token.kind == "fault"]
    about = faults[0] if faults else None
    for token in sentence:
        if token.kind == "fault":
            about = token
        elif token.is_numeric:
            score = _named(about, cited) if about else None
            if score is None or not _is_probability(token, score):
                yield f"{token.text!r} is not the probability of a fault that the line cites"


def _named(token: Token, cited: Sequence[Score]) -> Score | None:
    """Return the cited score of a fault."""
    return next((score for score in cited if _fault(score) == token.key), None)


def _is_probability(token: Token, score: Score) -> bool:
    """Compare a whole percentage, or a limit that stands for what is all but certain."""
    if token.kind not in SHOWN or token.unit != "%" or score.calibration == UNCALIBRATED:
        return False
    (shown,), exact = token.numbers, Decimal(score.probability) * 100
    if token.kind == "limit":
        is_high, is_low = 100 - exact <= HALF_A_PERCENT, exact <= HALF_A_PERCENT
        return {">": is_high and shown.value == 99, "<": is_low and shown.value == 1}[token.key]
    is_near = abs(shown.value - exact) <= HALF_A_PERCENT
    return is_near and shown.decimals == 0 and 0 < shown.value < 100
