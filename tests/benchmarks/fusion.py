"""Early, intermediate and late fusion of four sequences, judged on a head that none of them saw.

    python -m tests.benchmarks.fusion crops DIR
    voxcite train segmenter --config segment/models/training/lesions.toml --data DIR \\
        --network fusion_early --runs RUNS/fusion_early      # and _intermediate, and _late
    python -m tests.benchmarks.fusion judge DIR RUNS [--network fusion_early]
    python -m tests.benchmarks.fusion table RUNS [--write]

Each network is trained twice, on either head, and judged on the other; ``tests.benchmarks.
fusion_crops`` says what of each is shown. Whatever is decided besides (the threshold, the smallest
object) was decided before anything was judged; the weights of the late fusion are fitted on crops
of the training's head with masks that were reserved for it. ``judge`` goes on where it stopped;
``--write`` puts the table into the documentation.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from segment.calibration import cases_needed
from segment.detection import AnyOverlap, Scan, rates
from segment.detection_probability import fit_probability
from segment.models import describe, roles_of
from segment.models.ensemble import pack
from segment.models.fused import Fused, read
from segment.models.fusion_late.calibrate import calibrate
from segment.models.fusion_late.network import Late
from segment.models.network import build_network, load_state, parameters_of, state_of
from segment.models.training.cases import read_cases
from segment.models.windows import WINDOW, around, cut
from segment.objects import lesions_in_mask, lesions_in_probability
from tests.benchmarks.documents import put_between
from tests.benchmarks.fusion_crops import CASE, HEADS, read_head, write

NETWORKS = ("fusion_early", "fusion_intermediate", "fusion_late")
LATE = "fusion_late"
ROLES = roles_of(NETWORKS[0])
FULL = "none"
MISSING: Mapping[str, tuple[str, ...]] = {
    FULL: (),
    **{role: (role,) for role in ROLES},
    "all but FLAIR": tuple(role for role in ROLES if role != "FLAIR"),
}
THRESHOLD = 0.5
SMALLEST_MM3 = 5.0
COVERAGE = 0.9
CELLS = "cells.jsonl"
DOCUMENT = Path(__file__).parents[2] / "docs" / "fusion.md"
BEGIN, END = "<!-- printed by tests.benchmarks.fusion -->", "<!-- end of what was printed -->"


@dataclass(frozen=True)
class Cell:
    """What a network reached on the head that it did not learn from."""

    network: str
    head: str
    missing: str
    dice: float
    lesions: int
    found: int
    predicted: int
    right: int
    true_ml: float
    load_ml: float
    seconds: float
    scores: tuple[float, ...]
    is_right: tuple[bool, ...]

    @property
    def f1(self) -> float:
        """Twice the product of recall and precision of lesions over their sum."""
        recall = self.found / self.lesions
        precision = self.right / self.predicted if self.predicted else 0.0
        return 2 * recall * precision / (recall + precision) if recall + precision else 0.0


def trained(network: str, fold: int, data: Path, runs: Path) -> Fused:
    """Read the network of a fold; the decisions of a late one are weighed anew."""
    weights = runs / network / f"fold{fold}-0" / "weights.safetensors"
    structures = tuple(describe(network)["structures"])
    output = runs / network / f"fold{fold}.safetensors"
    if not output.exists():
        if network == LATE:
            weights = weighed(weights, fold, data, len(structures))
        pack({fold: weights}, np.ones(len(structures), np.float32), output)
    return read(output, f"{network} of fold {fold}", network)


def weighed(weights: Path, fold: int, data: Path, structures: int) -> Path:
    """Fit the weights of a late fusion on reserved crops of the head that it learned from."""
    network = build_network(LATE, WINDOW, structures)
    assert isinstance(network, Late)
    load_state(network.eval(), load_file(weights))
    split = json.loads((data / "split.json").read_text(encoding="utf-8"))
    names = [CASE.format(case) for case in split["reserved"][HEADS[1 - fold]]]
    cases = read_cases(data / "images", data / "labels", names, len(ROLES))
    loss = calibrate(network, (_window(case) for case in cases), fold)
    shares = network.weights.softmax(dim=0).tolist()
    told = ", ".join(f"{role} {share:.2f}" for role, share in zip(ROLES, shares, strict=True))
    print(f"{LATE} of fold {fold}: log loss {loss:.4f}; {told}", flush=True)
    output = weights.with_name("weighed.safetensors")
    save_file(state_of(network), output)
    return output


def _window(case: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut the window that a network sees out of a crop, and its labels."""
    start = around(case["label"][0].numpy() > 0).starts[0]
    channels = [cut(channel.numpy(), start) for channel in case["image"]]
    label = cut(case["label"][0].numpy(), start)
    return torch.from_numpy(np.stack(channels))[None], torch.from_numpy(label).long()[None]


def judged(network: str, data: Path, runs: Path, done: set[tuple[str, str, str]]) -> Iterator[Cell]:
    """Judge the network of each fold on the head it left out, sequences missing in turn."""
    for fold, patient in enumerate(HEADS):
        wanted = [name for name in MISSING if (network, patient, name) not in done]
        if not wanted:
            continue
        found = trained(network, fold, data, runs)
        read_one = read_head(patient)
        true = lesions_in_mask(read_one.head.lesions, read_one.geometry, smallest_mm3=0)
        given = dict(zip(ROLES, read_one.head.sequences, strict=True))
        for name in wanted:
            shown = {role: array for role, array in given.items() if role not in MISSING[name]}
            began = time.perf_counter()
            probability = found(shown)[0, 1]
            seconds = time.perf_counter() - began
            predicted = lesions_in_probability(
                np.clip(probability, 0, 1),
                read_one.geometry,
                threshold=THRESHOLD,
                smallest_mm3=SMALLEST_MM3,
            )
            scan = Scan(true, predicted)
            counted = rates([scan], AnyOverlap())
            marked, expert = predicted.labels > 0, read_one.head.lesions
            overlap = 2 * float((marked & expert).sum()) / float(marked.sum() + expert.sum())
            yield Cell(
                network=network,
                head=patient,
                missing=name,
                dice=overlap,
                lesions=counted.lesions,
                found=counted.found,
                predicted=counted.predicted,
                right=counted.right,
                true_ml=true.load_ml,
                load_ml=predicted.load_ml,
                seconds=seconds,
                scores=tuple(float(one.score or 0) for one in predicted.found),
                is_right=scan.matches(AnyOverlap()).right,
            )


def judge(chosen: argparse.Namespace) -> None:
    """Judge what is not judged yet, a line a cell."""
    path = chosen.runs / CELLS
    done = {(cell.network, cell.head, cell.missing) for cell in read_cells(path)}
    for network in [chosen.network] if chosen.network else NETWORKS:
        for cell in judged(network, chosen.data, chosen.runs, done):
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(cell)) + "\n")
            print(line_of([cell]), flush=True)


def read_cells(path: Path) -> list[Cell]:
    """Read what was judged so far."""
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        replace(Cell(**row), scores=tuple(row["scores"]), is_right=tuple(row["is_right"]))
        for row in rows
    ]


def line_of(cells: Sequence[Cell]) -> str:
    """Write one row: what a network reached on each head, in their order."""
    first = cells[0]
    return " | ".join(
        [
            f"| {first.network.removeprefix('fusion_')}",
            first.missing,
            " / ".join(f"{cell.dice:.2f}" for cell in cells),
            " / ".join(f"{cell.f1:.2f}" for cell in cells),
            " / ".join(f"{cell.found} of {cell.lesions}" for cell in cells),
            " / ".join(f"{cell.predicted - cell.right} of {cell.predicted}" for cell in cells),
            " / ".join(f"{cell.load_ml:.2f} for {cell.true_ml:.2f}" for cell in cells),
            "not available",
            f"{statistics.mean(cell.seconds for cell in cells):.0f} |",
        ]
    )


def table(cells: Sequence[Cell]) -> str:
    """Write all rows that are whole, and what they rest on."""
    lines = [
        f"Of {' / '.join(HEADS)}, each by the network that learned from the other one:",
        "",
        "| fusion | missing | Dice | F1 of lesions | lesions found | false objects | load, mL |"
        f" coverage of a {100 * COVERAGE:.0f} % interval of the load | s a head |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for network in NETWORKS:
        for name in MISSING:
            mine = [
                c
                for h in HEADS
                for c in cells
                if (c.network, c.head, c.missing) == (network, h, name)
            ]
            if len(mine) == len(HEADS):
                lines.append(line_of(mine))
    needed = cases_needed(COVERAGE, is_two_sided=True)
    lines += [
        "",
        f"Coverage is not available: an interval of {100 * COVERAGE:.0f} % needs {needed} heads"
        f" that no network learned from, and there are {len(HEADS)}.",
        "",
        *(f"- {line}" for line in facts(cells)),
    ]
    return "\n".join(lines)


def facts(cells: Sequence[Cell]) -> Iterator[str]:
    """Say of each network how large it is, and whether its scores can be made probabilities."""
    for network in NETWORKS:
        mine = [c for c in cells if c.network == network and c.missing == FULL]
        structures = len(describe(network)["structures"])
        count = parameters_of(build_network(network, WINDOW, structures))
        said = _calibrated(mine) if len(mine) == len(HEADS) else "not judged yet"
        yield f"{network}: {count:,} parameters; {said}"


def _calibrated(cells: Sequence[Cell]) -> str:
    """Try to make scores probabilities."""
    scores = [score for cell in cells for score in cell.scores]
    is_right = [right for cell in cells for right in cell.is_right]
    scans = [cell.head for cell in cells for _ in cell.scores]
    try:
        fitted = fit_probability(scores, is_right, scans)
    except ValueError as error:
        return f"no detection probability: {error}"
    return (
        f"a detection probability from {fitted.n} objects of {fitted.scans} heads is off by"
        f" {fitted.expected_calibration_error:.2f} on the head that it was not fitted to"
    )


def main() -> None:
    """Write crops, judge networks or print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    parts = arguments.add_subparsers(required=True)
    crops = parts.add_parser("crops")
    crops.add_argument("data", type=Path)
    crops.set_defaults(run=lambda chosen: write(chosen.data))
    judging = parts.add_parser("judge")
    judging.add_argument("data", type=Path)
    judging.add_argument("runs", type=Path)
    judging.add_argument("--network", choices=NETWORKS)
    judging.set_defaults(run=judge)
    printing = parts.add_parser("table")
    printing.add_argument("runs", type=Path)
    printing.add_argument("--write", action="store_true")
    printing.set_defaults(run=show)
    chosen = arguments.parse_args()
    chosen.run(chosen)


def show(chosen: argparse.Namespace) -> None:
    """Print the table, or put it into the documentation too."""
    printed = table(read_cells(chosen.runs / CELLS))
    print(printed)
    if chosen.write:
        put_between(DOCUMENT, BEGIN, END, printed)


if __name__ == "__main__":
    main()
