"""What the gate by distance does with each shift, and risk-coverage curves. Measures nothing."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from segment import models
from segment.calibration import spread
from segment.familiarity import Likeness, Standing
from tests.benchmarks.scoring import aurc
from tests.benchmarks.shifts import NONE, SHIFTS, UNITS, Shift
from tests.benchmarks.uncertainty import WHOLE, Row
from tests.benchmarks.unlike import Seen, read_seen

SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
Key = tuple[int, str, float]


def likeness_of(seen: Sequence[Seen]) -> dict[Key, Likeness]:
    """Judge each crop as the product does, by the calibration cases at its slice thickness."""
    familiar = models.familiar("unet")
    found = {}
    for one in seen:
        spacing_mm = (1.0, 1.0, float(one.shift.thickness_mm))
        (found[one.key],) = familiar.of({"left": one.features}, spacing_mm)
    return found


def key_of(row: Row) -> Key:
    """Name the crop of a row."""
    return row.case, row.shift, float(row.strength)


def named(shift: Shift) -> str:
    """Name a shift with its strength."""
    if shift.name == NONE:
        return NONE
    return f"{shift.name}, {shift.strength:g} {UNITS[shift.name]}"


def gate_table(rows: Sequence[Row]) -> Iterator[str]:
    """Write by shift what the distance lets be reported, and how that fares.

    A crop that the product's other checks withhold counts as withheld in the last three columns.
    """
    likeness = likeness_of(read_seen())
    yield (
        "| shift | n | report | with caution | withhold | all checks: reported | their coverage |"
        " coverage, no caution |"
    )
    yield "|---" * 8 + "|"
    for shift in SHIFTS:
        mine = [r for r in rows if (r.shift, r.strength) == (shift.name, shift.strength)]
        if not mine:
            continue
        standings = [likeness[key_of(row)].standing for row in mine]
        counts = [str(sum(s is wanted for s in standings)) for wanted in Standing]
        pairs = list(zip(mine, standings, strict=True))
        shown = [r for r, s in pairs if s is not Standing.WITHHOLD and not r.reason]
        plain = [r for r, s in pairs if s is Standing.REPORT and not r.reason]
        cells = [named(shift), str(len(mine)), *counts, str(len(shown)), held(shown), held(plain)]
        yield f"| {' | '.join(cells)} |"


def held(rows: Sequence[Row]) -> str:
    """Write which share of the product's intervals holds the expert's volume, and of how many."""
    if not rows:
        return "–"
    return f"{np.mean([r.lower_ml <= r.true_ml <= r.upper_ml for r in rows]):.2f} of {len(rows)}"


def tiers(rows: Sequence[Row]) -> Iterator[str]:
    """Write how crops fare that are reported, with caution or not, and that are withheld."""
    likeness = likeness_of(read_seen())
    yield "| by distance | crops | subjects | mean Dice | lowest Dice | coverage of the interval |"
    yield "|---|---|---|---|---|---|"
    for standing in Standing:
        mine = [row for row in rows if likeness[key_of(row)].standing is standing]
        with_interval = [row for row in mine if np.isfinite(row.lower_ml)]
        dice = [row.dice for row in mine]
        about = f"{standing} | {len(mine)} | {len({row.subject for row in mine})}"
        told = f"{np.mean(dice):.3f} | {min(dice):.3f}" if mine else "– | –"
        yield f"| {about} | {told} | {held(with_interval)} |"


def curves(rows: Sequence[Row]) -> Iterator[str]:
    """Write the mean 1 - Dice of the least doubted share of crops, by each doubt."""
    likeness = likeness_of(read_seen())
    floor = models.calibrated("unet").floor[WHOLE]
    doubts: Mapping[str, list[float]] = {
        "Mahalanobis distance": [likeness[key_of(row)].distance for row in rows],
        "pairwise Dice of the members": [-row.agreement for row in rows],
        "spread of the members' volumes (u)": [spread(row.samples_ml, floor) for row in rows],
        "mean entropy": [row.entropy for row in rows],
    }
    risks = [1 - row.dice for row in rows]
    heads = " | ".join(f"{share:.0%}" for share in SHARES)
    yield f"| doubt, {len(rows)} crops | {heads} | area |"
    yield "|---" * (len(SHARES) + 2) + "|"
    for name, doubt in doubts.items():
        ordered = np.array(risks)[np.argsort(doubt, kind="stable")]
        means = [ordered[: max(1, round(share * len(rows)))].mean() for share in SHARES]
        cells = [*(f"{mean:.4f}" for mean in means), f"{aurc(doubt, risks):.4f}"]
        yield f"| {name} | {' | '.join(cells)} |"


def told(rows: Sequence[Row]) -> Iterator[str]:
    """Write all of it, for the ensemble's rows of the whole structure."""
    yield from gate_table(rows)
    yield ""
    yield from tiers(rows)
    yield "\n**Risk-coverage curve**: mean 1 - Dice of the share of crops that is doubted least\n"
    yield from curves(rows)
