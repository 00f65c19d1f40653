"""What comes out of each step of the pipeline. Knows nothing of how it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assistant.draft import Draft
from assistant.followup import Placed
from assistant.ledger import Ledger
from assistant.report import Line, Report
from assistant.sequences import Beside
from assistant.study import Study
from assistant.writers import Brief
from segment.change import Visit
from segment.infer import Side
from segment.masks.pieces import Piece
from segment.register import Registration

STEPS = ("gate", "locate", "segment", "measure", "write", "verify")


@dataclass(frozen=True)
class Gated:
    """The study is a picture of the kind the exam needs."""

    study: Study


@dataclass(frozen=True, eq=False)
class Segmented:
    """What was found on each side, and the registration that said where to look.

    ``pieces`` say of which structures the sides are where a segmentation was supplied.
    """

    sides: tuple[Side, ...]
    registration: Registration | None
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, eq=False)
class Measured:
    """A study that is measured and not told yet: all that its report is made from.

    ``lesions`` say for the provenance where each lesion lies that is told by itself; ``beside`` are
    the series of other roles.
    """

    study: Study
    segmented: Segmented
    brief: Brief
    earlier: tuple[Visit, ...] = ()
    lesions: tuple[Mapping[str, Any], ...] = ()
    beside: tuple[Beside, ...] = ()


Step = Gated | Registration | Placed | Segmented | Visit | Ledger | Line | Draft | Report
