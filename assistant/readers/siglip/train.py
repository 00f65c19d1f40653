"""Train the reader: its towers, then its heads, then what is shipped. Knows nothing of reports.

The shipped tower sees every subject but the validation ones. Towers that leave subjects out follow:
what they make of those subjects gives the temperatures and the figures. What was done already is
left alone.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file

from assistant.readers.siglip.contrast import train_tower
from assistant.readers.siglip.evaluate import (
    HeldOut,
    figures,
    read_rows,
    temperatures,
    write_rows,
)
from assistant.readers.siglip.pairs import Corpus, gathered, read_corpus, training_part
from assistant.readers.siglip.plan import SHIPPED, Progress, TrainingPlan, plan_runs
from assistant.readers.siglip.probe import judge, read_heads, train_heads
from assistant.readers.siglip.sources import Sample
from assistant.readers.siglip.tower import check_installed
from assistant.readers.siglip.weights import pack


def train(plan: TrainingPlan, data: Path, output: Path) -> Iterator[Progress]:
    """Do everything that was not done yet, and write what is shipped into ``output/shipped``.

    That is ``weights.safetensors``, ``held_out.csv`` and ``figures.txt``.
    """
    check_installed()
    output.mkdir(parents=True, exist_ok=True)
    stored = output / "corpus.npz"
    if not stored.exists():
        yield from collect(plan, data, stored)
    yield from train_on(plan, Corpus.read(stored), output)


def collect(plan: TrainingPlan, data: Path, stored: Path) -> Iterator[Progress]:
    """Cut every picture once, before the first step."""
    found: list[Sample] = []
    for place, of, cut in read_corpus(data, plan.folds, plan.slices):
        found += cut
        yield Progress("all", "pictures", place, of)
    gathered(found).save(stored)


def train_on(plan: TrainingPlan, corpus: Corpus, output: Path) -> Iterator[Progress]:
    """Train on pictures that were cut already, wherever they were cut."""
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0))))
    for run in plan_runs(plan):
        folder = output / run.name
        folder.mkdir(parents=True, exist_ok=True)
        part = training_part(corpus, run.held_out)
        yield from train_tower(plan, run, part, folder)
        yield from train_heads(plan, run, part, folder)
        if run.held_out is not None:
            yield from judge(plan, run, corpus, folder)
    ship(plan, corpus, output)


def ship(plan: TrainingPlan, corpus: Corpus, output: Path) -> None:
    """Pack the shipped tower with its heads and temperatures; write the figures."""
    folder = output / SHIPPED
    rows = [
        row
        for run in plan_runs(plan)
        if run.held_out is not None
        for row in read_rows(output / run.name / "held_out.csv")
    ]
    write_rows(rows, folder / "held_out.csv")
    fitted = temperatures(HeldOut(tuple(rows)))
    trained = {label.subject for label in training_part(corpus, None).labels}
    judged = {row.subject for row in rows}
    pack(
        folder / "weights.safetensors",
        plan.shape,
        load_file(folder / "tower.safetensors"),
        read_heads(folder / "heads.safetensors"),
        fitted,
        {
            "calibration": f"siglip, held-out pictures of {len(judged)} subjects",
            "subjects": str(len(trained)),
            "plan": json.dumps(asdict(plan)),
        },
    )
    text = "".join(f"{figure}\n" for figure in figures(rows))
    (folder / "figures.txt").write_text(text, encoding="utf-8")
