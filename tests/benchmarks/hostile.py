"""What comes of every hostile input: the table of SECURITY.md.

    python -m tests.benchmarks.hostile [--each N] [--doors DOOR,...]

Each input goes to each door in a process of its own. With --each only the first N of a kind.
"""

import argparse
import sys
from collections import Counter
from importlib import import_module

from assistant.cli.terminal import shown
from tests.hostile.cases import CASES
from tests.hostile.doors import DOORS
from tests.hostile.run import outcome, table

# Imported once, before the processes fork: what they cost is no cost of an input.
WARM = ("assistant.pipeline", "assistant.output", "assistant.verify", "assistant.deidentify")
WARM = (*WARM, "jsonschema", "referencing", "segment.reading.dicom", "segment.reading.nifti")
WARM = (*WARM, "httpx", "assistant.page.server", "fastapi", "starlette.formparsers")


def main(arguments=None):
    """Run the inputs, print the table and what went wrong; 1 where anything did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=len(CASES), metavar="N")
    parser.add_argument("--doors", default=",".join(DOORS), metavar="DOOR,...")
    chosen = parser.parse_args(arguments)
    for module in WARM:
        import_module(module)
    pairs = [(case, door) for door in chosen.doors.split(",") for case in _first(chosen.each)]
    outcomes = (outcome(case, door) for case, door in pairs)
    given = list(shown(outcomes, len(pairs), "Giving hostile inputs"))
    found = [one for one in given if one is not None]
    print(table(found))
    print(f"at most {max(one.seconds for one in found):.1f} s of CPU", end=", ")
    print(f"{max(one.mebibytes for one in found):.0f} MiB above an idle process")
    wrong = [one for one in found if one.wrong]
    for one in wrong:
        print(f"{one.door}: {one.case.kind}: {one.case.name}: {one.wrong}")
    return 1 if wrong else 0


def _first(each):
    """Take the first inputs of each kind."""
    seen = Counter()
    for case in CASES:
        seen[case.kind] += 1
        if seen[case.kind] <= each:
            yield case


if __name__ == "__main__":
    sys.exit(main())
