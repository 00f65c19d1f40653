"""What the reader makes of subjects that its towers have not seen, and what a gate would do.

    python -m tests.benchmarks.reader [--held-out HELD_OUT.csv]

The table of held-out pictures is written by the training; the shipped one lies beside the model.
"""

import argparse
from collections import Counter
from importlib.resources import files
from pathlib import Path

from assistant.readers import siglip
from assistant.readers.siglip.evaluate import figures, read_rows


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


if __name__ == "__main__":
    main()
