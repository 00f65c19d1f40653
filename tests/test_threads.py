"""Threads that wait leave the processor to others."""

import os
import subprocess
import sys

from assistant.threads import BRIEFLY, POLICY, SPINS

LIST = (
    f"import os; from assistant.cli import main; main(['list']); print(os.environ.get('{SPINS}'))"
)


def policy_after(code, **environment):
    """Run code in a process of its own; return what it prints last."""
    env = {
        name: value for name, value in os.environ.items() if name not in (POLICY, SPINS)
    } | environment
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, check=True, text=True
    )
    return done.stdout.split()[-1]


def test_a_command_lets_its_threads_spin_briefly():
    assert policy_after(LIST) == BRIEFLY


def test_what_the_environment_says_of_waiting_stands():
    assert policy_after(LIST, **{POLICY: "ACTIVE"}) == "None"
    assert policy_after(LIST, **{SPINS: "7"}) == "7"


def test_it_is_said_before_torch_could_read_it():
    code = f"{LIST}; import sys; print('torch' in sys.modules)"
    assert policy_after(code) == "False"
