"""What others wrote about a study: why it was asked for, and what was reported before.

It is quoted in the report and goes nowhere else. Knows nothing of reports, writers or models.
"""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from segment.errors import Refusal, ScanError
from segment.reading.source import file_bytes, file_name

LONGEST_INDICATION = 1000  # characters
LONGEST_PRIOR_REPORT = 10_000
MOST_BYTES_A_CHARACTER = 4  # UTF-8, RFC 3629
# Control, formatting (of direction among them), halves of characters, private use, no character.
LEFT_OUT = ("Cc", "Cf", "Cs", "Co", "Cn")
# A quotation is shown between the double marks, so that inside of it they become single.
INNER_MARKS = str.maketrans("“”„‟〝〞", "‘’‘’‘’")


@dataclass(frozen=True)
class Referral:
    """Indication, clinical question and prior report, as they were received; empty where not given.

    None of them is part of a ``Brief``, which is all that a writer gets: no text of others enters
    a model's prompt, and so none can instruct it. Raises ScanError for a text that is too long.
    """

    indication: str = ""
    clinical_question: str = ""
    prior_report: str = ""

    def __post_init__(self) -> None:
        _check_length("an indication", self.indication, LONGEST_INDICATION)
        _check_length("a clinical question", self.clinical_question, LONGEST_INDICATION)
        _check_length("a prior report", self.prior_report, LONGEST_PRIOR_REPORT)


def quotable(text: str) -> str:
    """Return a text as one line of visible characters whose marks cannot end the quotation."""
    visible = (c for c in text if c.isspace() or unicodedata.category(c) not in LEFT_OUT)
    return " ".join("".join(visible).translate(INNER_MARKS).split())


def read_prior_report(path: Path) -> str:
    """Read a prior report, plain text in UTF-8; raises ScanError for anything else."""
    name = file_name(path)
    if file_bytes(path) > LONGEST_PRIOR_REPORT * MOST_BYTES_A_CHARACTER:
        _refuse_length("a prior report", LONGEST_PRIOR_REPORT, "more")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{name}: expected a text in UTF-8, found another encoding; save it as UTF-8"
        raise ScanError(Refusal.UNREADABLE, msg) from error


def _check_length(what: str, text: str, most: int) -> None:
    if len(text) > most:
        _refuse_length(what, most, str(len(text)))


def _refuse_length(what: str, most: int, found: str) -> None:
    msg = f"expected {what} of at most {most} characters, found {found}; shorten it"
    raise ScanError(Refusal.BAD_OPTION, msg)
