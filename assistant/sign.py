"""A person puts their name under a report. Knows nothing of passwords or of who may sign."""

import json
from dataclasses import replace
from datetime import datetime

from assistant.denial import Denial, DeniedError
from assistant.report import READ_AGAIN, Report, report_bytes
from assistant.rows import one_line
from assistant.verify import verify_report

LONGEST_NAME = 120  # characters, of a person or of an organisation


class SignError(DeniedError):
    """A report that may not be signed; the sentence says what to do first."""


def sign(report: Report, who: str, at: str, organisation: str = "") -> Report:
    """Return the report signed by ``who``, for whom, at an ISO 8601 time with its zone.

    Raises SignError without a name, for a time without a zone, and for a report in which a line
    contradicts its record: override the record, so that everything follows, or change the line.
    So does a sentence that a person wrote about a value which was changed since, until it is read.
    """
    name = one_line(who)
    if not name or len(name) > LONGEST_NAME:
        msg = f"expected a name of at most {LONGEST_NAME} characters, found {len(name)}; enter one"
        raise SignError(Denial.NAME_LENGTH, msg)
    place = one_line(organisation)
    if len(place) > LONGEST_NAME:
        msg = f"expected an organisation of at most {LONGEST_NAME} characters; shorten its name"
        raise SignError(Denial.NAME_LENGTH, msg)
    if datetime.fromisoformat(at).tzinfo is None:
        msg = f"expected the time of signing with its zone, found {at!r}; add +00:00"
        raise SignError(Denial.NO_ZONE, msg)
    if found := problems(report):
        msg = f"expected a report that holds, found {found[0]}; change the line or its record"
        raise SignError(Denial.CONTRADICTION, msg)
    if overtaken := report.provenance.get(READ_AGAIN):
        msg = (
            "expected sentences that were read since their values were changed, found"
            f" {overtaken[0]!r}; accept it or edit it"
        )
        raise SignError(Denial.READ_AGAIN, msg)
    signed_for = {"signed_for": place} if place else {}
    provenance = {**report.provenance, "signed_at": at, **signed_for}
    return replace(report, status="signed", signed_by=name, provenance=provenance)


def problems(report: Report) -> tuple[str, ...]:
    """Say what in a report does not hold; a report with a problem is not signed or exported."""
    return verify_report(json.loads(report_bytes(report)))
