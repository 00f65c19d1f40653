"""Why a person's act on a report is not done: a code with words in every language, and a sentence.

Knows nothing of the acts.
"""

from enum import StrEnum


class Denial(StrEnum):
    """What stands against an act; the page has words for each."""

    NO_STUDY = "no-study"
    NO_DRAFT = "no-draft"
    NOTHING_TO_UNDO = "nothing-to-undo"
    NO_SUCH_LINE = "no-such-line"
    UNKNOWN_SLOT = "unknown-slot"
    STRAY_BRACE = "stray-brace"
    QUOTATION = "quotation"
    SENTENCE_LENGTH = "sentence-length"
    FIXED_SENTENCE = "fixed-sentence"
    LAST_TOLD = "last-told"
    FOREIGN_NUMBER = "foreign-number"
    VALUES_MISSING = "values-missing"
    UNKNOWN_RECORD = "unknown-record"
    DERIVED = "derived"
    OUTSIDE_BOUNDS = "outside-bounds"
    IMPLAUSIBLE = "implausible"
    NOT_DERIVABLE = "not-derivable"
    NAME_LENGTH = "name-length"
    NO_ZONE = "no-zone"
    CONTRADICTION = "contradiction"
    READ_AGAIN = "read-again"
    TOO_MANY_FILES = "too-many-files"
    NOT_SENT = "not-sent"
    NO_PRIOR = "no-prior"
    PRIOR_GONE = "prior-gone"
    NO_ROOM = "no-room"
    AT_WORK = "at-work"
    QUEUE_FULL = "queue-full"


class DeniedError(ValueError):
    """An act that is not done; the sentence says what was expected and what to do."""

    def __init__(self, code: Denial, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
