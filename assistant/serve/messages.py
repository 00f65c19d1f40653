"""What the API takes and gives, as its OpenAPI document says it. Decides nothing."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from assistant.referral import LONGEST_INDICATION
from assistant.writers.questions import LONGEST_QUESTION

Study = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="of an earlier draft")]
Quoted = Annotated[str, Field(max_length=LONGEST_INDICATION, description="quoted in the report")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]


class Message(BaseModel):
    """What is sent holds the fields that are named, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Uploaded(Message):
    """Files that were taken; ``upload`` is the study of a draft, once."""

    upload: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class NotTaken(Message):
    """Why files were not taken."""

    code: str


class Wanted(Message):
    """A draft that is wanted."""

    study: Annotated[
        str,
        Field(pattern=r"^(sample|[0-9a-f]{32})$", description="sample, or the token of an upload"),
    ]
    exam: Name | None = None
    language: Name | None = None
    series: Annotated[str, Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?$")] | None = None
    indication: Quoted = ""
    clinical_question: Quoted = ""


class Refusal(Message):
    """Why a study was refused: a code and a sentence."""

    code: str
    sentence: str


class Job(Message):
    """A draft on its way or at its end; ``before`` counts the studies that come first."""

    study: Study
    state: Literal["waiting", "running", "drafted", "failed", "cancelled"]
    step: str | None = None
    before: int = 0
    refusal: Refusal | None = None
    report: dict[str, Any] | None = None


class Question(Message):
    """A question about a drafted study."""

    study: Study
    question: Annotated[str, Field(min_length=1, max_length=LONGEST_QUESTION)]


class Cited(Message):
    """One line of an answer and the records that it cites."""

    text: str
    cites: tuple[str, ...]


class Answer(Message):
    """The lines of an answer."""

    lines: tuple[Cited, ...]


class Export(Message):
    """A drafted study as a file."""

    study: Study
    format: Name


class Fault(Message):
    """What is wrong with a request, in a sentence."""

    detail: str


class Health(Message):
    """The server answers."""

    status: Literal["ok"] = "ok"
