"""What the reader makes of subjects that its towers have not seen, and what a gate would do.

    python -m tests.benchmarks.reader [--held-out HELD_OUT.csv]

The table of held-out pictures is written by the training; the shipped one lies beside the model.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from assistant import exams
from assistant.gate import check_pictures
from assistant.readers import siglip
from assistant.readers.siglip.evaluate import HeldOut, Row, calibrated, figures, read_rows
from assistant.readers.siglip.facts import FACTS
from assistant.score import Score
from segment.errors import ScanError

EXAM = "hippocampus"


def main() -> None:
    """Print the tables."""
    shipped = Path(str(files(siglip).joinpath("held_out.csv")))
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--held-out", type=Path, default=shipped, metavar="HELD_OUT.csv")
    chosen = arguments.parse_args()
    if not chosen.held_out.is_file():
        print("no results")
        return
    rows = read_rows(chosen.held_out)
    seen = {(row.kind, row.part, row.subject) for row in rows}
    print("| kind | part | held-out subjects | pictures |\n|---|---|---|---|")
    pictures = Counter((row.kind, row.part) for row in rows)
    subjects = Counter((kind, part) for kind, part, _ in seen)
    for kind, part in sorted(subjects):
        print(f"| {kind} | {part} | {subjects[kind, part]} | {pictures[kind, part]} |")
    print("\n| figure | value | 95 % interval by subject | subjects | pictures | note |")
    print("|---|---|---|---|---|---|")
    for f in figures(rows):
        print(
            f"| {f.name} | {f.value:.3f} | {f.lower:.3f} to {f.upper:.3f} | {f.subjects}"
            f" | {f.pictures} | {f.note} |"
        )
    print("\n| held out | fits the exam | let through | refused |\n|---|---|---|---|")
    for row in gate_table(rows):
        print(row)


def gate_table(rows: Sequence[Row]) -> Iterator[str]:
    """Say what the gate of the hippocampus exam makes of each held-out subject's plain pictures.

    A series is all pictures of a subject of one kind; probabilities are averaged as the reader
    does, with the temperatures of the other fold.
    """
    exam = exams.load(EXAM)
    passed: Counter[tuple[str, str, bool]] = Counter()
    for (_, kind, part), scores in _series(rows):
        passed[kind, part, _is_let_through(scores, exam)] += 1
    for kind, part in sorted({(kind, part) for kind, part, _ in passed}):
        fits = kind in exam.kinds and part in exam.parts
        yield (
            f"| {kind}, {part} | {'yes' if fits else 'no'} | {passed[kind, part, True]}"
            f" | {passed[kind, part, False]} |"
        )


def _series(rows: Sequence[Row]) -> Iterator[tuple[tuple[str, str, str], tuple[Score, ...]]]:
    held_out = HeldOut(tuple(rows))
    probability = calibrated(held_out)
    plain: dict[tuple[str, str, str], list[int]] = {}
    for place in np.flatnonzero(held_out.is_plain):
        row = rows[place]
        plain.setdefault((row.subject, row.kind, row.part), []).append(int(place))
    for key, places in sorted(plain.items()):
        means = {fact: probability[fact][places].mean(axis=0) for fact in ("kind", "part")}
        found = [
            (f"{fact}.{value}", float(mean))
            for fact, of_fact in means.items()
            for value, mean in zip(FACTS[fact], of_fact, strict=True)
        ]
        yield (
            key,
            tuple(
                Score(f"s{n}", name, mean, "held out", "siglip")
                for n, (name, mean) in enumerate(found, start=1)
            ),
        )


def _is_let_through(scores: Sequence[Score], exam: exams.Exam) -> bool:
    try:
        check_pictures(scores, exam)
    except ScanError:
        return False
    return True


if __name__ == "__main__":
    main()
