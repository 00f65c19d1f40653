"""The rounds of a federation as the server sees them: combined, kept as files, gone on with.

Knows nothing of networks or of Flower: what came back, and from whom, is passed in.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from segment.federated.combine import combine
from segment.federated.plan import BYTES, FederationPlan
from segment.federated.updates import (
    LeftOut,
    Update,
    Weights,
    clip,
    norm_of_change,
    sift,
)
from segment.resume import replacing

JOURNAL, FINAL = "journal.csv", "weights.safetensors"
START = 0  # the round of the weights that a federation begins with


class StoppedError(ValueError):
    """The federation cannot go on; what is finished is kept, and the same command goes on."""


@dataclass(frozen=True)
class Line:
    """What became of one site in one round; ``kept_share`` is what clipping left of its change."""

    round: int
    site: str
    is_used: bool
    cases: int
    norm: float
    kept_share: float
    mebibytes: float
    reason: str


@dataclass(frozen=True, eq=False)
class Round:
    """The weights after a round, and what became of each site."""

    number: int
    weights: Weights
    lines: tuple[Line, ...]


def finish_round(
    number: int,
    before: Weights,
    updates: Sequence[Update],
    absent: Sequence[LeftOut],
    plan: FederationPlan,
) -> Round:
    """Combine what can be used of a round; ``absent`` are sites that sent no weights, and why.

    Raises StoppedError where fewer sites than the plan asks for can be used: weights that only
    some sites' data shaped would pass for everybody's.
    """
    usable, unusable = sift(updates, before)
    lines = [
        Line(number, left.site, False, 0, 0.0, 0.0, 0.0, left.reason)
        for left in (*absent, *unusable)
    ]
    if len(usable) < plan.least_sites:
        told = "; ".join(f"{line.site}: {line.reason}" for line in lines) or "no site answered"
        msg = f"round {number}: expected {plan.least_sites} sites or more, found {len(usable)}"
        raise StoppedError(f"{msg} ({told}); start the missing sites and run it again")
    clipped, shares = clip(usable, before, plan.most_change)
    for update, share in zip(usable, shares, strict=True):
        norm = norm_of_change(update.weights, before)
        numbers = sum(tensor.size for tensor in update.weights.values())
        size = numbers * BYTES[plan.sent] / 2**20
        reason = "" if share == 1.0 else f"its change was drawn back to {share:.3g} of itself"
        lines.append(Line(number, update.site, True, update.cases, norm, share, size, reason))
    weights = combine(plan.combine, clipped, plan.trimmed_share)
    return Round(number, weights, tuple(lines))


def write_round(folder: Path, done: Round, told: Mapping[str, str]) -> None:
    """Keep a round: its lines first, so that no weights lie there without them."""
    journal = folder / JOURNAL
    _cut_after(journal, done.number - 1)
    with journal.open("a", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        if journal.stat().st_size == 0:
            rows.writerow(field.name for field in fields(Line))
        rows.writerows(astuple(line) for line in done.lines)
    write_weights(_file(folder, done.number), done.weights, told)


def write_weights(path: Path, weights: Weights, told: Mapping[str, str]) -> None:
    """Write weights as safetensors, with what they are of."""
    in_order = {name: np.asarray(tensor, order="C") for name, tensor in weights.items()}
    with replacing(path) as temporary:
        save_file(in_order, temporary, metadata=dict(told))  # it writes memory as it lies


def read_weights(path: Path) -> Weights:
    """Read weights; raises ValueError for a file that is not in safetensors."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise _not_weights(path) from error


def last_round(folder: Path, told: Mapping[str, str]) -> tuple[int, Weights] | None:
    """Read the last finished round, if there is one.

    Raises ValueError where the folder holds the rounds of another federation.
    """
    found = sorted(folder.glob("round-*.safetensors"))
    if not found:
        return None
    path = found[-1]
    try:
        with safe_open(path, framework="numpy") as file:
            held = file.metadata()
    except SafetensorError as error:
        raise _not_weights(path) from error
    if held != dict(told):
        msg = f"{path.name}: expected a round of this plan and this start, found one of others"
        raise ValueError(f"{msg}; give another output folder")
    return int(path.stem.removeprefix("round-")), read_weights(path)


def _not_weights(path: Path) -> ValueError:
    msg = f"{path.name}: expected weights in safetensors, found something else"
    return ValueError(f"{msg}; give a file that `voxcite federated start` or a round wrote")


def _file(folder: Path, number: int) -> Path:
    return folder / f"round-{number:04d}.safetensors"


def _cut_after(journal: Path, number: int) -> None:
    """Drop the lines of later rounds: one that was interrupted is done again."""
    if not journal.exists():
        return
    with journal.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    with journal.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *(row for row in rows if int(row[0]) <= number)])
