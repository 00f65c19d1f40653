"""Checks lines about criteria: the outcome, the limit and the source, beside what was measured.

What is said of the criterion is compared with the judgement and taken out; what is left is about
the record and checked like any other sentence about one. That the judgement follows from its
records is checked where a ledger is made, and that it is the rule's own, in ``verify_report``.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import product

from assistant.judgement import Judgement, Obstacle, Outcome
from assistant.report import Line
from assistant.verify.bind import bind
from assistant.verify.check import check_sentence, expected_origin
from assistant.verify.lexer import Kind, Lexicon, Token, compiled, entries, tokens
from prompts import Phrasebook
from segment.measurement import Measurement

CLAIMS: tuple[Kind, ...] = (
    "outcome",
    "criterion",
    "rule",
    "source",
    "stance",
    "relation",
    "limit of",
)
PLACED = (None, Obstacle.CROSSES, Obstacle.WITHIN_ERROR)  # reasons beside which the limit stands
TOGETHER = (Obstacle.WITHHELD, Obstacle.ERROR_UNKNOWN)  # reasons that several can share in a line
SILENT: tuple[Kind, ...] = ("glue", "punctuation")
STANCES = {
    Obstacle.CROSSES: "crosses",
    Obstacle.WITHIN_ERROR: "within_error",
    Obstacle.ERROR_UNKNOWN: "error_unknown",
    Obstacle.MISSING: "missing",
}


def check_judged(
    line: Line,
    judgements: Sequence[Judgement],
    records: Mapping[str, Measurement],
    phrasebook: Phrasebook,
) -> Iterator[str]:
    """Say what in a line the judgements and the records that it cites do not carry.

    Several that one reason keeps from being judged may stand in one line, which names each of
    their criteria and each of their records: every pair of these must be one of them. In a line
    edited by a person only numbers and claims are bound, the other words are theirs.
    """
    is_edited = line.origin == "edited by"
    judgement = judgements[0]
    cites = tuple(dict.fromkeys(cite for one in judgements for cite in one.cites))
    if line.section != "criteria" or line.cites != (*(one.id for one in judgements), *cites):
        yield f"a line about {judgement.id} stands in the criteria and cites {cites}"
        return
    cited = [records[cite] for cite in cites]
    if len(judgements) > 1 and not _are_alike(judgements, cited):
        yield f"a line about {judgement.id} cites judgements that differ in more than their limits"
        return
    if not is_edited and line.origin != expected_origin(cited):
        yield f"the origin of a line about {judgement.id} is not {line.origin!r}"
    said = tokens(line.text, judged_lexicon(phrasebook, judgement))
    found = [token for token in said if token.kind != "stop"]
    yield from _check_claims(found, judgements, is_edited=is_edited)
    yield from _check_limit(found, judgement, is_edited=is_edited)
    rest = list(_rest(found))
    if not cited:
        yield from _check_missing(rest, judgement, is_edited=is_edited)
        return
    predicted = phrasebook.lexicon["interval"]
    sentence = bind(rest, cited)
    yield from check_sentence(sentence, records, is_edited=is_edited, predicted=predicted)
    unnamed = {*cites} - {record.id for record in sentence.subjects}
    if len(judgements) > 1 and unnamed and not is_edited:
        yield f"a line about {judgement.id} cites {sorted(unnamed)} and does not name the structure"


def _are_alike(judgements: Sequence[Judgement], cited: Sequence[Measurement]) -> bool:
    """Tell whether judgements cannot be made for one reason, each pair exactly once.

    Their records are of one quantity and of the same dates, which a sentence says once of all.
    """
    if len({(record.quantity, record.date, record.comparator) for record in cited}) > 1:
        return False
    shared = {(j.rule, j.version, j.source, j.outcome, j.reason, j.missing) for j in judgements}
    pairs = [(judgement.criterion, judgement.cites) for judgement in judgements]
    criteria, cites = ({*one} for one in zip(*pairs, strict=True))
    is_single = all(len(cite) == 1 for cite in cites)
    is_whole = len(pairs) == len({*pairs}) and {*pairs} == {*product(criteria, cites)}
    return len(shared) == 1 and judgements[0].reason in TOGETHER and is_single and is_whole


def judged_lexicon(phrasebook: Phrasebook, judgement: Judgement) -> Lexicon:
    """Compile what a language says of measurements and of one judgement."""
    return _lexicon(
        phrasebook, judgement.rule, judgement.version, judgement.source, judgement.missing
    )


@cache
def _lexicon(
    words: Phrasebook, rule: str, version: str, source: str, missing: tuple[str, ...]
) -> Lexicon:
    """Compile once what all judgements of a rule share."""
    return compiled(_entries(words, rule, version, source, missing), words)


def _entries(
    words: Phrasebook, rule: str, version: str, source: str, missing: tuple[str, ...]
) -> Iterator[tuple[str, Kind, str]]:
    """List every phrase with what it stands for; other criteria are told apart from this one."""
    yield from entries(words)
    yield from ((text, "outcome", key) for key, text in words.outcomes.items())
    yield from ((text, "relation", key) for key, text in words.relations.items())
    yield from ((words.quantities[key], "quantity", key) for key in missing)
    for other, criteria in words.criteria.items():
        yield from ((text, "criterion", f"{other}.{name}") for name, text in criteria.items())
    yield words.rule(rule, version), "rule", rule
    yield source, "source", source
    judged = words.lexicon["judged"]
    yield from ((text, "limit of", "") for text in judged["limit"])
    yield from ((text, "glue", "") for text in judged["glue"])
    for key, texts in words.lexicon["stances"].items():
        yield from ((text, "stance", key) for text in texts)


def _check_claims(
    found: Sequence[Token], judgements: Sequence[Judgement], *, is_edited: bool
) -> Iterator[str]:
    """Say which claim is not the judgements', which is missing and which stands twice."""
    judgement = judgements[0]
    expected = {f"{one.rule}.{one.criterion}" for one in judgements}
    criteria = [token.key for token in found if token.kind == "criterion"]
    is_complete = is_edited or len(criteria) == len(expected) == len({*criteria})
    if not {*criteria} <= expected or not is_complete:
        yield f"the criteria of {judgement.id} are {expected}, and the sentence says {criteria}"
    carried: dict[Kind, str | None] = {
        "outcome": str(judgement.outcome),
        "rule": judgement.rule,
        "source": judgement.source,
        "stance": _stance(judgement),
        "relation": judgement.conditions[0].relation if judgement.reason is None else None,
    }
    for kind, key in carried.items():
        keys = [token.key for token in found if token.kind == kind]
        if any(one != key for one in keys):
            known = "nothing that is known" if key is None else key
            yield f"the {kind} of {judgement.id} is {known}, and the sentence says {keys}"
        elif not is_edited and len(keys) != (key is not None):
            yield f"the {kind} of {judgement.id} stands once, and the sentence has {keys}"


def _stance(judgement: Judgement) -> str | None:
    """Say how the interval lies to the limit, or why it is not held against it."""
    if judgement.reason is None:
        return "met" if judgement.outcome is Outcome.MET else "not_met"
    return STANCES.get(judgement.reason)


def _check_limit(found: Sequence[Token], judgement: Judgement, *, is_edited: bool) -> Iterator[str]:
    """Say where a limit is not that of the condition, or is missing."""
    limits = [token for before, token in _pairs(found) if _is_limit(before, token)]
    marks = [token for token in found if token.kind == "limit of"]
    expected = 1 if judgement.reason in PLACED else 0
    if len(marks) != len(limits) or (not is_edited and len(limits) != expected):
        yield f"a sentence about {judgement.id} states {expected} limits, each with its number"
    condition = judgement.conditions[0]
    for token in limits:
        is_value = token.numbers[0].value == Decimal(repr(condition.limit))
        if not is_value or token.unit != condition.unit:
            yield f"{token.text!r} is not the limit of {judgement.id}, which is {condition.limit}"


def _pairs(found: Sequence[Token]) -> Iterator[tuple[Token | None, Token]]:
    return zip((None, *found), found, strict=False)


def _is_limit(before: Token | None, token: Token) -> bool:
    return before is not None and before.kind == "limit of" and token.kind == "number"


def _rest(found: Sequence[Token]) -> Iterator[Token]:
    """Leave out what was compared with the judgement."""
    for before, token in _pairs(found):
        if token.kind not in CLAIMS and not _is_limit(before, token):
            yield token


def _check_missing(
    rest: Sequence[Token], judgement: Judgement, *, is_edited: bool
) -> Iterator[str]:
    """Say what a line about nothing measured holds besides what is missing."""
    names = [token.key for token in rest if token.kind == "quantity"]
    if not is_edited and names != [*judgement.missing]:
        yield f"{judgement.id} misses {judgement.missing}, and the sentence says {names}"
    for token in rest:
        is_word = is_edited and not token.is_numeric
        if token.kind not in (*SILENT, "quantity") and not is_word:
            yield f"{token.text!r} is bound to nothing"
