"""What became of one study of a batch, as a value and as a row of JSON. Knows no files."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from assistant.batch.item import Item
from assistant.records import measurement_from_record, measurement_record
from assistant.writers.vlm.errors import OF_ONE_REQUEST
from segment.measurement import Measurement

Status = Literal["drafted", "nothing-measured", "failed"]
STATUSES: tuple[Status, ...] = ("drafted", "nothing-measured", "failed")
STAGES = ("read", "gate", "locate", "segment", "measure", "write", "verify", "save")


@dataclass(frozen=True)
class Outcome:
    """One study, drafted or failed.

    ``code`` and ``sentence`` say why it failed, and are None where it did not; the sentence calls
    the study by its id. ``seconds`` holds the time of each stage of STAGES that it came to,
    ``report_sha256`` is the hash of its report.json, ``finished`` the time in UTC.
    """

    id: str
    status: Status
    exam: str
    language: str
    finished: str
    prior: str | None = None
    code: str | None = None
    sentence: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    input_sha256: str | None = None
    report_sha256: str | None = None
    measurements: tuple[Measurement, ...] = ()

    def __post_init__(self) -> None:
        if (self.status == "failed") != (self.code is not None):
            msg = f"{self.id}: a reason code stands exactly where a study failed"
            raise ValueError(msg)

    @property
    def is_settled(self) -> bool:
        """Whether a resumed run leaves it so; what the writer's server missed is tried again."""
        return self.code not in OF_ONE_REQUEST

    @property
    def total_s(self) -> float:
        """Seconds that the study took in its process."""
        return math.fsum(self.seconds.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        records = [measurement_record(record) for record in self.measurements]
        return asdict(self) | {"seconds": dict(self.seconds), "measurements": records}


def failed(
    item: Item, code: str, sentence: str, finished: str, seconds: Mapping[str, float] | None = None
) -> Outcome:
    """Say that a study failed, and why."""
    return Outcome(
        id=item.id,
        status="failed",
        exam=item.exam,
        language=item.language,
        finished=finished,
        prior=item.prior,
        code=code,
        sentence=sentence,
        seconds=seconds or {},
    )


def outcome_from_json(row: Mapping[str, Any]) -> Outcome:
    """Read an outcome back; raises ValueError, KeyError or TypeError where it is none."""
    records = tuple(measurement_from_record(record) for record in row["measurements"])
    return Outcome(**{**row, "measurements": records})
