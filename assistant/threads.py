"""How the threads of a process wait for each other. Knows nothing of what they compute."""

import os

POLICY = "OMP_WAIT_POLICY"


def wait_without_spinning() -> None:
    """Let threads that wait sleep, unless the user's environment says otherwise.

    OpenMP lets them spin: where other processes want the processor too, a sentence of the
    language model then takes many times the processor's time (tests/benchmarks/waiting.py). The
    variable is read when torch is imported.
    """
    os.environ.setdefault(POLICY, "PASSIVE")
