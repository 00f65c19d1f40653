"""How the threads of a process wait for each other. Knows nothing of what they compute."""

import os

POLICY, SPINS = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
BRIEFLY = "20000"  # turns: some tens of microseconds


def spin_briefly() -> None:
    """Let threads that wait spin for a moment and then sleep, unless the environment says how.

    OpenMP of GNU lets them spin for long: where other processes want the processor too, a report
    of the language model then takes many times as long (tests/benchmarks/waiting.py). The
    variable is read when torch is imported.
    """
    if POLICY not in os.environ:
        os.environ.setdefault(SPINS, BRIEFLY)
