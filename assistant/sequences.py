"""The series that stand beside the one that is measured: where they lie, and what is said of them.

Knows nothing of how roles were found, and measures nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from assistant.exams import Exam
from assistant.study import Study
from segment.measurement import Reason
from segment.reading.roles import Role
from segment.register.within import Within, align_within, doubt
from segment.volume import Volume

KEY = "technique.role.{said}.{role}"


@dataclass(frozen=True, eq=False)
class Beside:
    """A series of another role, and the map from the measured one's millimetres to its own."""

    role: Role
    volume: Volume
    within: Within

    @property
    def doubt(self) -> Reason | None:
        """Why it cannot be taken as aligned; None if it can."""
        return doubt(self.within)


def aligned(study: Study) -> tuple[Beside, ...]:
    """Align each other series of a study with the one that is measured, in the order of roles."""
    return tuple(
        Beside(role, volume, align_within(study.volume, volume))
        for role, volume in study.others.items()
    )


def stated(study: Study, exam: Exam, beside: Sequence[Beside]) -> tuple[str, ...]:
    """Name the fixed sentences on what was measured, what stands beside it and what is missing.

    Nothing is said of a study that is one series of an exam that misses none, nor where the role
    of what is measured is not known.
    """
    missing = missed(study, exam)
    if study.role is None or not (beside or missing):
        return ()
    return (
        KEY.format(said="measured", role=study.role),
        *(KEY.format(said="apart" if b.doubt else "beside", role=b.role) for b in beside),
        *(KEY.format(said="missing", role=role) for role in missing),
    )


def missed(study: Study, exam: Exam) -> tuple[Role, ...]:
    """List the roles that an exam misses in a study; none where it is not known what is there."""
    if study.role is None:
        return ()
    return tuple(role for role in exam.misses if role not in (study.role, *study.others))


def of_sequences(study: Study, exam: Exam, beside: Sequence[Beside]) -> dict[str, Any]:
    """Say for a provenance what was measured, what stands beside it and how that was aligned."""
    missing = missed(study, exam)
    if not (beside or missing):
        return {}
    told: dict[str, Any] = {} if study.role is None else {"measured": study.role}
    if beside:
        told["beside"] = [dict(_row(one)) for one in beside]
    if missing:
        told["missing"] = list(missing)
    return {"sequences": told}


def _row(one: Beside) -> Iterator[tuple[str, Any]]:
    """Describe one series and its alignment."""
    within = one.within
    yield "role", one.role
    yield "input_sha256", one.volume.sha256
    yield "modality", one.volume.modality
    yield "spacing_mm", [round(length, 4) for length in one.volume.geometry.spacing_mm]
    yield "aligned", "no" if one.doubt else "yes"
    yield "information", round(within.information, 3)
    yield "inside", round(within.inside, 3)
    yield "disagreement_mm", round(within.disagreement_mm, 2)
    turn = Rotation.from_matrix(within.matrix[:3, :3])
    yield "turned_degrees", round(float(np.degrees(turn.magnitude())), 2)
