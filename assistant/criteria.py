"""What a report says of the criteria of published rules. Knows no rule and fills no slot.

Each is told by itself, met or not, with the measurement, the limit and the source; nothing sums
them up. What always holds of a rule, and whom its source measured, is said once.
"""

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


def criteria_statements(ledger: Ledger, phrasebook: Phrasebook) -> tuple[Statement, ...]:
    """Return a sentence for each judgement, then what holds of each rule and of all of them.

    Nothing is said where nothing was held against a rule. Raises KeyError for a rule that the
    language has no sentence for.
    """
    if not ledger.judgements:
        return ()
    rules = dict.fromkeys(judgement.rule for judgement in ledger.judgements)
    told = [criterion_statement(judgement, ledger, phrasebook) for judgement in ledger.judgements]
    keys = (*(f"criteria.rule.{rule}" for rule in rules), NOTE)
    told += [Statement(SECTION, phrasebook.phrases[key], (), key) for key in keys]
    return tuple(told)


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
