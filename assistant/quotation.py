"""What others wrote, as lines of a report. Knows nothing of writers or of checks."""

from collections.abc import Iterator

from assistant.draft import Section
from assistant.referral import Referral, quotable
from assistant.report import Line


def quotations(referral: Referral) -> tuple[Line, ...]:
    """Quote a referral: indication and question in one section, the prior report by its lines."""
    return tuple(
        Line(section, quoted, (), "quoted")
        for section, text in _texts(referral)
        if (quoted := quotable(text))
    )


def _texts(referral: Referral) -> Iterator[tuple[Section, str]]:
    yield "indication", referral.indication
    yield "indication", referral.clinical_question
    for line in referral.prior_report.splitlines():
        yield "comparison", line
