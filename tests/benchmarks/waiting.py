"""What a report of the language model costs where other processes want the processor too.

    python -m tests.benchmarks.waiting [--busy 2]

The same report is written with threads that spin while they wait (OpenMP's habit), that spin
briefly (ours) and that sleep, alone and beside processes that do nothing but count. In turn, each
in a process of its own; printed are the seconds of the clock and of the processor, and ratios.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from assistant.threads import BRIEFLY, POLICY, SPINS

WRITES = """
import sys
from time import perf_counter, process_time
import prompts
from assistant.writers import Brief, drain
from assistant.writers.vlm.author import exam
from assistant.writers.vlm.ready import read
from assistant.writers.vlm.asking import Request
from assistant.writers.vlm.tell import tell
from tests.benchmarks.writers import no_pictures, reports

ready = read()
for turn in range(2):  # the first one warms up
    for pair in reports(1, 0):
        brief = Brief(pair.task.ledger, exam(), prompts.load(pair.task.language))
        request = Request(pixels=no_pictures(ready.model.image_px, pair))
        clock, processor = perf_counter(), process_time()
        drain(tell(ready, brief, request))
        took = perf_counter() - clock, process_time() - processor
sys.stdout.write("{:.3f} {:.3f}".format(*took))
"""
COUNTS = "while True: pass"
POLICIES = {
    "spinning": {POLICY: "ACTIVE"},
    "spinning briefly": {SPINS: BRIEFLY},
    "sleeping": {POLICY: "PASSIVE"},
}


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep some processes counting."""
    started = [subprocess.Popen([sys.executable, "-c", COUNTS]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def seconds(policy: dict[str, str]) -> tuple[float, float]:
    """Write the report in a process of its own; return seconds of the clock and the processor."""
    done = subprocess.run(
        [sys.executable, "-c", WRITES],
        env={**os.environ, **policy},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        text=True,
    )
    clock, processor = map(float, done.stdout.split())
    return clock, processor


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row a policy and neighbourhood."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=2, help="processes beside it")
    asked = parser.parse_args(arguments)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| beside it | threads that wait | seconds | processor's seconds |\n|---|---|---|---|")
    for beside in (0, asked.busy):
        found = {}
        for name, policy in POLICIES.items():
            with busy(beside):
                found[name] = seconds(policy)
            print(
                f"| {beside} | {name} | {found[name][0]:.2f} | {found[name][1]:.2f} |", flush=True
            )
        ratios = (a / b for a, b in zip(found["spinning"], found["spinning briefly"], strict=True))
        print("| {} | spinning / briefly | {:.2f} | {:.2f} |".format(beside, *ratios))


if __name__ == "__main__":
    main()
