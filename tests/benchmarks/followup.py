"""What a verdict on change is worth: false ones, true changes found, and one real pair.

    python -m tests.benchmarks.followup [--only false|deformed|pair]

*False verdicts*: pairs of pseudo test-retest of held-out subjects, from the repeats that `voxcite
repeatability` wrote beside the segmenter. The repeatability that judges a subject comes from the
other subjects.

*True changes*: each held-out crop was deformed smoothly, so that the integral of the Jacobian over
the expert's tracing is 0.95 or 1.05 times its volume, and is compared with a repeat of the crop
as it was. Both are moved, biased, bent in contrast and made noisy, and sampled once.

*The real pair* is one person scanned twice within the hour, once lying on the side.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import as_file, files

import numpy as np
from scipy.stats import beta

from assistant.cli.repeatability import measuring_of
from assistant.followup import aligned, between
from assistant.study import Study, read_study
from assistant.writers import verdict
from segment import models
from segment.change import RELATIVE, Visit, compare
from segment.infer import segment_head
from segment.measurement import Interval, Measurement, Reliability
from segment.register import register
from segment.repeatability import Repeatability
from segment.retest import (
    CROP,
    DEFORMED,
    RATIOS,
    Measuring,
    Retest,
    estimate,
    measured,
    read_retests,
)
from tests.shared_data import shared_data

WHOLE = "hippocampus"
EXAM = "hippocampus"


def within_binomial(count: int, n: int, coverage: float = 0.95) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) interval of a share."""
    tail = (1 - coverage) / 2
    low = beta.ppf(tail, count, n - count + 1) if count else 0.0
    high = beta.ppf(1 - tail, count + 1, n - count) if count < n else 1.0
    return float(low), float(high)


def by_subject(hits: Sequence[tuple[int, bool]], draws: int = 4000) -> float:
    """Return the upper 95 % bound of a share by a bootstrap over subjects."""
    rng = np.random.default_rng(0)
    groups: dict[int, list[bool]] = {}
    for subject, hit in hits:
        groups.setdefault(subject, []).append(hit)
    counts = np.array([(sum(mine), len(mine)) for mine in groups.values()])
    drawn = counts[rng.integers(len(counts), size=(draws, len(counts)))].sum(axis=1)
    return float(np.quantile(drawn[:, 0] / drawn[:, 1], 0.95))


def record_of(row: Retest) -> Measurement:
    """Make a record of a repeat."""
    return Measurement(
        id="m1",
        structure=row.structure,
        code="5366008",
        side="left",
        quantity="volume",
        unit="mL",
        value=row.value_ml,
        interval=Interval(
            row.value_ml * math.exp(-row.half_log), row.value_ml * math.exp(row.half_log), 0.9
        ),
        reliability=Reliability.REPORTABLE,
        reason=None,
        method="repeat",
    )


def change_of(
    before: Measurement, after: Measurement, thickness: float, repeatability: Repeatability
) -> Measurement:
    """Compare two volumes as the pipeline does."""
    spacing = (1.0, 1.0, thickness)
    visits = [Visit((replace(m, id="m1"),), spacing, {}, None) for m in (after, before)]
    made = compare(visits[0], [visits[1]], (), repeatability)
    (change,) = [record for record in made if record.quantity == RELATIVE]
    return change


def shipped_retests() -> tuple[Retest, ...]:
    """Read the repeats that the shipped repeatability rests on."""
    with as_file(files("segment.models.unet").joinpath("retests.csv")) as path:
        return read_retests(path)


def false_verdicts(rows: Sequence[Retest]) -> None:
    """Print how often a repeat is judged beyond measurement error, and how wide that error is."""
    print("| slices | structure | within-subject CV | pairs | beyond error | 95 % | by subject |")
    print("|---|---|---|---|---|---|---|")
    for thickness in sorted({row.thickness_mm for row in rows}):
        for structure in dict.fromkeys(row.structure for row in rows):
            mine = [
                row
                for row in rows
                if (row.thickness_mm, row.structure) == (thickness, structure) and not row.reason
            ]
            hits = list(_judged(mine))
            count, n = sum(hit for _, hit in hits), len(hits)
            low, high = within_binomial(count, n)
            cv = estimate(mine, "all", "all").levels[0].structures[structure].cv
            print(
                f"| {thickness} mm | {structure} | {cv:.2%} | {n} | {count / n:.1%} |"
                f" {low:.1%} to {high:.1%} | at most {by_subject(hits):.1%} |",
                flush=True,
            )


def _judged(rows: Sequence[Retest]) -> Iterator[tuple[int, bool]]:
    """Judge all pairs of repeats of each held-out crop by what the other subjects showed."""
    crops = [row for row in rows if row.source == CROP]
    for subject in sorted({row.subject for row in crops}):
        others = [row for row in rows if row.source != CROP or row.subject != subject]
        known = estimate(others, "others", "others")
        for case in sorted({row.case for row in crops if row.subject == subject}):
            mine = [row for row in crops if row.case == case]
            for n, one in enumerate(mine):
                for other in mine[n + 1 :]:
                    pair = record_of(one), record_of(other)
                    told = verdict(change_of(*pair, float(one.thickness_mm), known))
                    yield subject, told != "within_error"


def deformed(rows: Sequence[Retest]) -> None:
    """Print how often true changes of 5 % are found, how biased they are and how often covered."""
    found: dict[float, list[tuple[int, Measurement, float]]] = {ratio: [] for ratio in RATIOS}
    mine = [row for row in rows if (row.thickness_mm, row.structure) == (1, WHOLE)]
    mine = [row for row in mine if not row.reason]
    changed = [row for row in mine if row.source == DEFORMED]
    for subject in sorted({row.subject for row in changed}):
        known = estimate([r for r in mine if r.subject != subject], "others", "others")
        for case in sorted({row.case for row in changed if row.subject == subject}):
            first, *rest = [row for row in changed if row.case == case]
            for row in rest:
                change = change_of(record_of(first), record_of(row), 1.0, known)
                true = math.exp(row.true_log)
                ratio = min(RATIOS, key=lambda known: abs(known - true))
                found[ratio].append((subject, change, 100 * (true - 1)))
    for ratio, pairs in found.items():
        _print_deformed(ratio, pairs)


def _print_deformed(ratio: float, pairs: Sequence[tuple[int, Measurement, float]]) -> None:
    """Print one row of true changes."""
    n, wanted = len(pairs), "decreased" if ratio < 1 else "increased"
    errors = np.array([change.value - true for _, change, true in pairs])
    hits = sum(verdict(change) == wanted for _, change, _ in pairs)
    held = sum(c.interval.lower <= true <= c.interval.upper for _, c, true in pairs)
    width = np.mean([change.interval.upper - change.interval.lower for _, change, _ in pairs])
    found, covered = within_binomial(hits, n), within_binomial(held, n)
    print(
        f"true change {100 * (ratio - 1):+.0f} %, {n} pairs: found {hits / n:.1%}"
        f" ({found[0]:.1%} to {found[1]:.1%}); error {errors.mean():+.2f} points, SD"
        f" {errors.std(ddof=1):.2f}; the 90 % interval, {width:.1f} points wide, holds"
        f" {held / n:.1%} ({covered[0]:.1%} to {covered[1]:.1%})",
        flush=True,
    )


def real_pair(measuring: Measuring, repeatability: Repeatability) -> None:
    """Print the verdict on one person scanned twice within the hour."""
    folder = shared_data("dicom", "mr_t1_one_person_two_positions")
    studies = [read_study(folder / name) for name in ("supine", "left_side")]
    _print_pair("one person, supine and on the side", studies, measuring, repeatability)


def _print_pair(
    name: str, studies: Sequence[Study], measuring: Measuring, repeatability: Repeatability
) -> None:
    """Print what is said of the change between two heads."""
    found = register(studies[1].volume)
    placed = between(studies[1], found, [aligned(studies[1], found, studies[0])])
    visits = []
    for one in placed:
        volume = one.study.volume
        sides = segment_head(volume, measuring.organ, one.registration, measuring.segmenter)
        records = measured(sides, volume, measuring)
        geometry = volume.geometry
        visits.append(Visit(records, geometry.spacing_mm, volume.facts, None, one.doubt))
    alignment = placed[1].alignment
    assert alignment is not None
    print(
        f"{name}: similarity {alignment.similarity:.3f}, both directions"
        f" {alignment.disagreement_mm:.2f} mm apart"
    )
    for change in compare(visits[0], [visits[1]], (), repeatability):
        if change.quantity != RELATIVE:
            continue
        if change.reason is not None or change.interval is None or change.reference is None:
            print(f"  {change.side} {change.structure}: cannot be compared ({change.reason})")
            continue
        print(
            f"  {change.side} {change.structure}: {change.value:+.1f} % (90 % interval"
            f" {change.interval.lower:+.1f} to {change.interval.upper:+.1f}), error"
            f" {change.reference.lower:+.1f} to {change.reference.upper:+.1f}: {verdict(change)}",
            flush=True,
        )


def main() -> None:
    """Print what was asked for."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", choices=("false", "deformed", "pair"))
    chosen = arguments.parse_args()
    parts = (chosen.only,) if chosen.only else ("false", "deformed", "pair")
    if "false" in parts:
        false_verdicts(shipped_retests())
    if "deformed" in parts:
        deformed(shipped_retests())
    if "pair" in parts:
        real_pair(measuring_of(EXAM), models.repeatability("unet"))


if __name__ == "__main__":
    main()
