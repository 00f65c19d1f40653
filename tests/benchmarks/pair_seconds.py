"""Seconds from the registration of two heads to the last verdict on change, networks read before.

    python -m tests.benchmarks.pair_seconds [--runs 3]

Reading the files, writing sentences and drawing pictures are not in it. The pairs: one person
scanned twice within the hour, in slices of 4.8 mm; and the template of 1 mm with a copy of it that
was moved, bent in contrast, biased and made noisy.
"""

import argparse
import os
from dataclasses import replace
from time import perf_counter

import numpy as np

from assistant.ledger import Ledger
from assistant.pipeline import Assistant
from assistant.settings import Settings
from assistant.steps import Gated
from assistant.study import Study, read_sample, read_study
from segment.change import RELATIVE
from segment.retest import HEAD, MOVE_MM, repeated
from tests.shared_data import shared_data


def pairs() -> dict[str, tuple[Study, Study]]:
    """Read the pairs, the earlier study first."""
    folder = shared_data("dicom", "mr_t1_one_person_two_positions")
    template = read_sample()
    moved = repeated(template.volume, np.random.default_rng(0), MOVE_MM[HEAD])
    again = replace(moved, sha256="f" * 64)  # another file
    return {
        "one person twice, 4.8 mm": (
            read_study(folder / "supine"),
            read_study(folder / "left_side"),
        ),
        "template and a moved copy, 1 mm": (template, replace(template, volume=again)),
    }


def seconds(assistant: Assistant, earlier: Study, current: Study) -> tuple[float, int, int]:
    """Time one comparison; return how many changes it judged, too, and how many it withheld."""
    began, ledger = 0.0, Ledger(())
    for step in assistant.steps(current, priors=[earlier]):
        if isinstance(step, Gated):
            began = perf_counter()
        if isinstance(step, Ledger):
            took, ledger = perf_counter() - began, step
            break
    changes = [record for record in ledger.records if record.quantity == RELATIVE]
    judged = sum(record.reason is None for record in changes)
    return took, judged, len(changes) - judged


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=3)
    runs = arguments.parse_args().runs
    assistant = Assistant.from_settings(Settings(writer="template"))
    assistant.loading.result()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print(f"| pair | seconds, of {runs} runs | changes judged | withheld |\n|---|---|---|---|")
    for name, (earlier, current) in pairs().items():
        times = [seconds(assistant, earlier, current) for _ in range(runs)]
        low, high = min(t for t, _, _ in times), max(t for t, _, _ in times)
        print(f"| {name} | {low:.1f} to {high:.1f} | {times[0][1]} | {times[0][2]} |", flush=True)


if __name__ == "__main__":
    main()
