"""What the networks counted in one scan, and what speaks against it. Knows nothing of experts."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from segment.calibration import Calibrated
from segment.infer import Found
from segment.infer import Side as Looked
from segment.measure import Wanted, agreement, measure, member_volumes_ml
from segment.measurement import Reason
from segment.organs import Organ
from segment.resume import replacing
from segment.segmentation import Side

# What only says that no interval was at hand: the one to be fitted answers it.
ANSWERED = {Reason.NO_INTERVAL, Reason.OUTSIDE_CALIBRATION}


@dataclass(frozen=True)
class Counted:
    """One structure of one side; ``withheld`` says why a report would not state it, or is empty."""

    side: Side
    structure: str
    value_ml: float
    member_ml: tuple[float, ...]
    agreement: float
    withheld: str


def count(
    sides: Sequence[Looked], organ: Organ, gate: Calibrated, spacing_mm: Sequence[float]
) -> tuple[Counted, ...]:
    """Count every structure of every side; ``gate`` says which counts a report would withhold."""
    names = tuple(structure.name for structure in organ.structures)
    wanted = Wanted(names, (), coverage=0.5, widest_relative_interval=1.0)  # of no interval
    records = measure(sides, organ, wanted, gate.without_scores(), spacing_mm)
    found = {side.side: side.segmentation for side in sides if isinstance(side, Found)}
    return tuple(
        Counted(
            side=record.side,
            structure=record.structure,
            value_ml=record.value or 0.0,
            member_ml=member_volumes_ml(found[record.side], organ.structure(record.structure))
            if record.side in found
            else (),
            agreement=agreement(found[record.side], organ.structure(record.structure))
            if record.side in found
            else 0.0,
            withheld="" if record.reason in ANSWERED else str(record.reason),
        )
        for record in records
    )


def name_of(*made_from: object) -> str:
    """Name the file of a scan's counts by what they were made from, and by nobody's name."""
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest() + ".json"


def keep(path: Path, counts: Sequence[Counted]) -> None:
    """Write counts, whole or not at all."""
    with replacing(path) as temporary:
        text = json.dumps([asdict(one) for one in counts])
        temporary.write_text(text, encoding="utf-8")


def kept(path: Path) -> tuple[Counted, ...]:
    """Read what ``keep`` wrote."""
    table = json.loads(path.read_text(encoding="utf-8"))
    return tuple(Counted(**{**row, "member_ml": tuple(row["member_ml"])}) for row in table)
