"""The command ``voxcite evaluate``: compares with an expert's labels. Decides nothing."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import (
    OK,
    add_crop,
    add_intervals,
    add_segmenter,
    assistant_for,
    shown,
    side_of,
)
from assistant.settings import DEFAULT_EXAM

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands
    from segment.evaluate import Json

TOO_FEW = "; too few subjects to say"


def add_evaluate(commands: "Commands") -> None:
    """Describe the command."""
    evaluate = commands.add_parser("evaluate", help="compare with an expert's labels")
    evaluate.add_argument("--images", type=Path, required=True, metavar="DIR")
    evaluate.add_argument("--labels", type=Path, required=True, metavar="DIR")
    evaluate.add_argument(
        "--split", type=Path, metavar="SPLIT.json", help="judge only its val cases"
    )
    evaluate.add_argument(
        "--groups",
        type=Path,
        metavar="GROUPS.csv",
        help="the column scan (names of files), subject if you like, and groups, a column each",
    )
    evaluate.add_argument("--json", type=Path, metavar="OUT.json")
    evaluate.add_argument("--exam", default=DEFAULT_EXAM)
    add_crop(evaluate)
    add_segmenter(evaluate)
    add_intervals(evaluate)
    evaluate.set_defaults(run=run_evaluate)


def run_evaluate(chosen: argparse.Namespace) -> int:
    """Compare a folder of scans with an expert's labels."""
    from assistant.evaluation import evaluate, grouped, pairs, summary
    from assistant.grouping import read_grouping
    from assistant.written import written_whole

    assistant = assistant_for(chosen, chosen.coverage, chosen.intervals)
    matched = pairs(chosen.images, chosen.labels)
    if chosen.split:
        wanted = set(_validation_ids(chosen.split))
        matched = [pair for pair in matched if _number(pair[0].name) in wanted]
    belong = None
    if chosen.groups:
        belong = read_grouping(chosen.groups, [scan.name for scan, _ in matched])
    evaluated = list(shown(evaluate(assistant, matched, side_of(chosen)), len(matched), "Scans"))
    groups = [_subject(case.name) if chosen.split else case.name for case in evaluated]
    table = dict(summary(evaluated, groups, assistant))
    if belong is not None:
        table["by_group"] = [row.to_dict() for row in grouped(evaluated, belong)]
    if chosen.json:
        with written_whole(chosen.json.parent) as folder:
            (folder / chosen.json.name).write_text(json.dumps(table, indent=1) + "\n")
    for row in table["metrics"]:
        print(
            f"{row['structure']:32s} {row['quantity']:32s} {row['mean']:8.3f}"
            f"  ({_between(row['lower'], row['upper'], ', ')}n = {row['n']})"
        )
    for row in table["coverage"]:
        print(
            f"{row['structure']:32s} coverage, {row['stratum']:22s} {row['coverage_mean']:8.3f}"
            f"  (accepted {row['band_lower']:.3f} to {row['band_upper']:.3f}, n = {row['n']},"
            f" relative width {row['width_mean']:.3f}){TOO_FEW if row['is_too_small'] else ''}"
        )
    for row in table.get("by_group", ()):
        print(_of_group(row))
    return OK


def _of_group(row: "Json") -> str:
    """Write how a structure fares in one group."""
    told = f"{row['structure']:32s} {row['group']:32s} n = {row['n']}, subjects {row['subjects']}"
    for name in ("volume_error", "dice", "coverage"):
        mean, lower, upper = (row[f"{name}_{part}"] for part in ("mean", "lower", "upper"))
        if mean is not None:
            interval = "" if lower is None else f" ({_between(lower, upper)})"
            told += f"; {name.replace('_', ' ')} {mean:.3f}{interval}"
            told += "" if row[f"{name}_n"] == row["n"] else f" of {row[f'{name}_n']}"
    return f"{told}{TOO_FEW}" if row["is_too_small"] else told


def _between(lower: str | float | None, upper: str | float | None, then: str = "") -> str:
    """Write an interval and what follows it; nothing of a mean of one subject, which has none."""
    return "" if lower is None else f"{lower:.3f} to {upper:.3f}{then}"


def _validation_ids(path: Path) -> list[int]:
    """Read the ids of a split file's validation cases."""
    from segment.errors import Refusal, ScanError

    table = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(table, dict) or not isinstance(table.get("val"), list):
        msg = f"{path.name}: expected a split with a list of ids named val, found none; add it"
        raise ScanError(Refusal.BAD_OPTION, msg)
    ids: list[int] = table["val"]
    return ids


def _subject(name: str) -> str:
    """Return the subject of a case of the training data: ids 2k-1 and 2k are one head."""
    return str((_number(name) + 1) // 2)


def _number(name: str) -> int:
    """Return the number in a file's name."""
    return int("".join(character for character in name if character.isdigit()) or 0)
