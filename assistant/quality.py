"""What a report says of the quality of its pictures. Knows no reader, and not how slots are filled.

It stands in the technique. The ACR's practice parameter for communicating findings keeps what may
limit an examination apart from what it shows, and a fault of the pictures is no finding of the
patient. That no fault was read is never said. A reader knows a few faults, as they were made from
other pictures; a probability below the threshold is no proof that a fault is absent, and a sentence
that none was read would be taken for good quality. Its scores stand in report.json all the same.
"""

from collections.abc import Sequence

from assistant.draft import Statement
from assistant.ledger import Ledger
from assistant.score import Score
from prompts import Phrasebook

# Among faults stated from here on at most one in five is none, if the calibration holds. Lower, and
# a reader learns to skip the sentence; higher, and averages over pictures seldom get there.
TOLD_FROM = 0.8


def told(scores: Sequence[Score]) -> tuple[Score, ...]:
    """Return the scores of faults that are stated; ``score.value`` is the key of such a fault.

    A score that is not calibrated is no probability and never told.
    """
    faults = (score for score in scores if score.fact == "quality" and score.is_calibrated)
    return tuple(score for score in faults if score.probability >= TOLD_FROM)


def quality_statements(ledger: Ledger, phrasebook: Phrasebook) -> tuple[Statement, ...]:
    """Return one stock sentence for each fault that is told, citing its score; often none.

    Raises KeyError for a fault that the language has no sentence for.
    """
    return tuple(_statement(score, phrasebook) for score in told(ledger.scores))


def _statement(score: Score, phrasebook: Phrasebook) -> Statement:
    """State one fault."""
    key = f"technique.quality.{score.value}"
    text = phrasebook.phrases[key].replace("{a.", f"{{{score.id}.")
    return Statement("technique", text, (score.id,), key)
