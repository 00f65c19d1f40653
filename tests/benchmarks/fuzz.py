"""What comes of damaged files: bit flips and cuts of small good files of each format, by a seed.

python -m tests.benchmarks.fuzz [--runs 10000] [--seed 0]
"""

import argparse
import sys
import tempfile

from assistant.cli.terminal import shown
from tests.hostile.fuzz import FORMATS, all_fuzzed


def main(arguments=None):
    """Run the fuzzer and print a table; 1 where anything was neither read nor refused.

    A crash of the process itself ends the script.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        steps = all_fuzzed(folder, chosen.runs, chosen.seed)
        found = list(shown(steps, len(FORMATS), "Fuzzing"))
    print("| format | runs | refused | read | hung | unhandled exceptions |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    rows = [(one.name, *counted(one)) for one in found]
    rows.append(("all", *map(sum, zip(*map(counted, found), strict=True))))
    for name, *counts in rows:
        print(f"| {name} | {sum(counts)} | {' | '.join(map(str, counts))} |")
    crashes = [f"{one.name}: {crash}" for one in found for crash in one.crashes]
    print("\n".join(crashes[:50]))
    return 1 if crashes or any(one.counts["hung"] for one in found) else 0


def counted(one):
    """Count what came of the runs of a format."""
    return one.counts["refused"], one.counts["read"], one.counts["hung"], len(one.crashes)


if __name__ == "__main__":
    sys.exit(main())
