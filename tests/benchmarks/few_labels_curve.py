"""Writes the learning curve: a table, what each pretraining gains, and a figure. Trains nothing."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from segment.models.training.plan import subject_of
from segment.models.training.schedules import SCRATCH
from segment.quantiles import cases_needed

COVERAGE = 0.9
WHOLE = "hippocampus"
COLOURS = {SCRATCH: "#555", "masked": "#0b6", "contrastive": "#06b"}
WIDTH, HEIGHT, MARGIN = 560, 340, 48


def table(rows: Sequence[Mapping[str, Any]], coverage: float = COVERAGE) -> str:
    """Write the curve: of each size and start the mean over seeds and the lowest to the highest.

    The intervals' columns stand only where a cell has one.
    """
    if not rows:
        return "No cell has finished yet."
    needed = cases_needed(coverage, is_two_sided=True)
    has_intervals = any(_count(row, "is_covered") for row in rows)
    heads = [
        *("subjects", "start", "seeds", "Dice, whole", "Dice, mean of the parts"),
        *("mean surface distance, mm", "volume error, absolute"),
        *(("coverage", "width") if has_intervals else ()),
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for size, start in sorted({(row["subjects"], row["start"]) for row in rows}):
        mine = [row for row in rows if (row["subjects"], row["start"]) == (size, start)]
        shown = [
            ranged([_mean(row, "dice") for row in mine], 3),
            ranged([_mean(row, "dice", of_parts=True) for row in mine], 3),
            ranged([_mean(row, "distance_mm") for row in mine], 2),
            ranged([_mean(row, "volume_error") for row in mine], 3),
            *(_intervals(mine, needed) if has_intervals else ()),
        ]
        lines.append(f"| {size} | {start} | {len(mine)} | " + " | ".join(shown) + " |")
    cases = sorted({case["case"] for case in rows[0]["cases"]})
    subjects = len({subject_of(case) for case in cases})
    devices = ", ".join(sorted({row.get("device", "cpu") for row in rows}))
    judged = f"{len(cases)} validation crops of {subjects} subjects; trained on {devices}."
    return "\n".join([*lines, "", judged, "", *verdicts(rows)])


def _intervals(mine: Sequence[Mapping[str, Any]], needed: int) -> tuple[str, str]:
    """Write coverage and width of a size and start, or how many subjects they need."""
    covered = [_mean(row, "is_covered") for row in mine if _count(row, "is_covered")]
    widths = [_mean(row, "width") for row in mine if _count(row, "width")]
    if not covered:
        none = f"needs {needed} subjects"
        return none, none
    with_one, judged = (sum(_count(row, q) for row in mine) for q in ("is_covered", "dice"))
    told = f"{ranged(covered, 3)} of {with_one} with an interval among {judged}"
    return told, ranged(widths, 3)


def verdicts(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say of each pretraining and size whether it helped in every seed, in some or in none."""
    dice = {(r["subjects"], r["start"], r["seed"]): _mean(r, "dice") for r in rows}
    for start in sorted({start for _, start, _ in dice} - {SCRATCH}, reverse=True):
        for size in sorted({size for size, found, _ in dice if found == start}):
            gains = [
                value - dice[size, SCRATCH, seed]
                for (n, found, seed), value in sorted(dice.items())
                if (n, found) == (size, start) and (size, SCRATCH, seed) in dice
            ]
            if not gains:
                continue
            told = f"{min(gains):+.3f} to {max(gains):+.3f} Dice, {len(gains)} seeds"
            helped = sum(gain > 0 for gain in gains)
            seeds = {0: "in no seed", len(gains): "in every seed"}.get(helped, "not in every seed")
            yield f"- {size} subjects: {start} helps {seeds} ({told})."


def figure(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw the Dice of the whole over the number of subjects, as SVG: a line a start."""
    means = {
        (row["subjects"], row["start"]): statistics.mean(
            _mean(other, "dice")
            for other in rows
            if (other["subjects"], other["start"]) == (row["subjects"], row["start"])
        )
        for row in rows
    }
    sizes = sorted({size for size, _ in means})
    low = min([*means.values(), 0.8])
    span = max(np.log(sizes[-1] / sizes[0]), 1e-9)

    def at(size: int, dice: float) -> tuple[float, float]:
        across = MARGIN + np.log(size / sizes[0]) / span * (WIDTH - 2 * MARGIN)
        return float(across), HEIGHT - MARGIN - (dice - low) / (1 - low) * (HEIGHT - 2 * MARGIN)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">']
    for size in sizes:
        x, y = at(size, low)
        parts.append(f'<text x="{x:.0f}" y="{y + 20:.0f}" font-size="12">{size}</text>')
    for dice in np.linspace(low, 1, 5):
        x, y = at(sizes[0], float(dice))
        parts.append(f'<text x="4" y="{y:.0f}" font-size="12">{dice:.2f}</text>')
    axes = (
        ("Dice of the whole", 4, MARGIN - 30),
        ("labelled subjects", WIDTH // 2 - 40, HEIGHT - 8),
    )
    parts += [f'<text x="{x}" y="{y}" font-size="12">{told}</text>' for told, x, y in axes]
    for place, start in enumerate(dict.fromkeys(start for _, start in means)):
        points = [at(size, means[size, start]) for size in sizes if (size, start) in means]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        colour = COLOURS[start]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        below = 36 + 16 * place
        told = f'<text x="{MARGIN}" y="{below}" font-size="12" fill="{colour}">{start}</text>'
        parts.append(told)
    return "\n".join([*parts, "</svg>", ""])


def _mean(row: Mapping[str, Any], quantity: str, *, of_parts: bool = False) -> float:
    """Average a quantity of the whole structure, or of its parts, over the cases.

    Of an error it is the size that is averaged.
    """
    chosen = [c for c in row["cases"] if (c["structure"] != WHOLE) == of_parts]
    found = [c[quantity] for c in chosen if quantity in c]
    return statistics.mean(abs(float(value)) for value in found if value is not None)


def _count(row: Mapping[str, Any], quantity: str) -> int:
    """Count the cases of which a quantity of the whole structure is known."""
    return sum(case["structure"] == WHOLE and quantity in case for case in row["cases"])


def ranged(values: Sequence[float], digits: int) -> str:
    """Write the mean of some values, and the lowest and highest where there are several."""
    mean = f"{statistics.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"
