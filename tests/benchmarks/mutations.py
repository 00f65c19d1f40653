"""How many lines that were made wrong the verifier catches, by the way in which they are wrong.

    python -m tests.benchmarks.mutations [--ledgers 100]

Lines are those of reports on random ledgers in both languages, in stock wordings and in any that
the tuned writer learnt or was kept from; each report gives each class one line where it can. False
alarms are counted over all lines as they were.
"""

import argparse

from assistant.verify import verify_line
from tests.benchmarks.shares import share
from tests.mutations import MUTATIONS
from tests.test_mutations import mutants, reports

WORDINGS = ("stock", "rich")


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--ledgers", type=int, default=100)
    ledgers = arguments.parse_args().ledgers
    print("| what is wrong | lines | caught | share, exact 95 % interval |\n|---|---|---|---|")
    wrong = found = 0
    for name in MUTATIONS:
        lines = [one for wording in WORDINGS for one in mutants(name, ledgers, wording)]
        caught = sum(bool(verify_line(line, *rest)) for line, *rest in lines)
        print(f"| {name} | {len(lines)} | {caught} | {share(caught, len(lines))} |", flush=True)
        wrong, found = wrong + len(lines), found + caught
    print(f"| all {len(MUTATIONS)} | {wrong} | {found} | {share(found, wrong)} |")
    right = [
        verify_line(line, {m.id: m for m in report.measurements}, words)
        for wording in WORDINGS
        for report, words in reports(ledgers, wording)
        for line in report.lines
    ]
    alarms = sum(map(bool, right))
    print(f"\nfalse alarms: {alarms} of {len(right)} right lines, {share(alarms, len(right))}")


if __name__ == "__main__":
    main()
