"""What a report says of the criteria of published rules. Knows no rule and fills no slot.

Each is told by itself, met or not, with the measurement, the limit and the source; nothing sums
them up. What always holds of a rule, and whom its source measured, is said once.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby, product

from assistant.draft import Section, Statement
from assistant.judgement import OUTLINED, Judgement, Obstacle, Outcome
from assistant.ledger import Ledger
from prompts import Phrasebook

SECTION: Section = "criteria"
NOTE = "criteria.note"
KEYS = {
    Obstacle.WITHIN_ERROR: "within_error",
    Obstacle.ERROR_UNKNOWN: "error_unknown",
    Obstacle.NO_INTERVAL: "no_interval",
    Obstacle.MISSING: "missing",
}
TOGETHER = (Obstacle.WITHHELD, Obstacle.ERROR_UNKNOWN)  # reasons that are no matter of the limit
MOST_TOGETHER = 2  # structures of one sentence


def criteria_statements(ledger: Ledger, phrasebook: Phrasebook) -> tuple[Statement, ...]:
    """Return a sentence for each judgement, then what holds of each rule and of all of them.

    What cannot be judged for one and the same reason stands in one sentence.

    Nothing is said where nothing was held against a rule. Raises KeyError for a rule that the
    language has no sentence for.
    """
    if not ledger.judgements:
        return ()
    rules = dict.fromkeys(judgement.rule for judgement in ledger.judgements)
    told = [*told_together(ledger.judgements, ledger, phrasebook)]
    keys = (*(f"criteria.rule.{rule}" for rule in rules), NOTE)
    told += [Statement(SECTION, phrasebook.phrases[key], (), key) for key in keys]
    return tuple(told)


def told_together(
    judgements: Sequence[Judgement], ledger: Ledger, phrasebook: Phrasebook
) -> Iterator[Statement]:
    """Say what became of criteria, those that one reason keeps from being judged together."""
    for _, group in groupby(judgements, lambda judgement: _kind(judgement, ledger)):
        members = tuple(group)
        if _is_one_sentence(members):
            yield _one_sentence(members, ledger, phrasebook)
            continue
        for judgement in members:
            yield criterion_statement(judgement, ledger, phrasebook)


def _kind(judgement: Judgement, ledger: Ledger) -> tuple[object, ...]:
    """Say what judgements of one sentence share; one that was made, or rests on more, is alone."""
    if judgement.reason not in TOGETHER or len(judgement.cites) != 1:
        return (judgement.id,)
    record = ledger[judgement.cites[0]]
    rule = (judgement.rule, judgement.version, judgement.source, judgement.reason)
    dates = (record.date, record.comparator)
    return (*rule, record.quantity, record.reliability, record.reason, *dates)


def _is_one_sentence(judgements: Sequence[Judgement]) -> bool:
    """Tell whether there are several, of each criterion and each structure one."""
    criteria = dict.fromkeys(judgement.criterion for judgement in judgements)
    cites = dict.fromkeys(judgement.cites for judgement in judgements)
    held = {(judgement.criterion, judgement.cites) for judgement in judgements}
    is_whole = held == {*product(criteria, cites)} and len(held) == len(judgements)
    return len(judgements) > 1 and is_whole and len(cites) <= MOST_TOGETHER


def _one_sentence(
    judgements: Sequence[Judgement], ledger: Ledger, phrasebook: Phrasebook
) -> Statement:
    """Name all criteria and all structures that the same reason keeps from being judged."""
    records = tuple(dict.fromkeys(cite for judgement in judgements for cite in judgement.cites))
    one_each = {judgement.criterion: judgement.id for judgement in judgements}
    criteria = phrasebook.marks["and"].join(f"{{{one}.criterion}}" for one in one_each.values())
    key = f"criterion.{_key(judgements[0], ledger)}{'' if len(records) == 1 else '.two'}"
    text = phrasebook.phrases[key].replace("{a.criterion}", criteria)
    for place, cite in zip("abc", (judgements[0].id, *records), strict=False):
        text = text.replace(f"{{{place}.", f"{{{cite}.")
    cites = (*(judgement.id for judgement in judgements), *records)
    return Statement(SECTION, text, cites, key)


def criterion_statement(judgement: Judgement, ledger: Ledger, phrasebook: Phrasebook) -> Statement:
    """Say what became of one criterion, of one structure of one side."""
    cites = (judgement.id, *judgement.cites)
    key = f"criterion.{_key(judgement, ledger)}"
    text = phrasebook.phrases[key]
    for place, cite in zip("ab", cites, strict=False):
        text = text.replace(f"{{{place}.", f"{{{cite}.")
    return Statement(SECTION, text, cites, key)


def _key(judgement: Judgement, ledger: Ledger) -> str:
    """Choose the sentence by the outcome, by what is in the way, or by what is withheld.

    What was outlined has no measurement error beside which it could be placed.
    """
    cited = [ledger[cite] for cite in judgement.cites]
    counted = "counted." if any(record.basis == OUTLINED for record in cited) else ""
    if judgement.reason is None:
        return counted + ("met" if judgement.outcome is Outcome.MET else "not_met")
    if judgement.reason is Obstacle.CROSSES:
        return f"{counted}crosses"
    if judgement.reason is Obstacle.WITHHELD:
        return ledger[judgement.cites[0]].reliability.replace(" ", "_")
    return KEYS[judgement.reason]
