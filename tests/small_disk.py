"""A disk of some kilobytes, for a test in a process of its own: it goes when that process does."""

import ctypes
import os
import subprocess
import traceback

import pytest

NEW_MOUNTS = 0x00020000  # CLONE_NEWNS of sched.h
DONE, FAILED, NOT_ALLOWED = 0, 1, 77


def on_a_small_disk(folder, kilobytes, body):
    """Call ``body(folder, grow)`` where ``folder`` is a small disk; skip where nobody may mount.

    ``grow(kilobytes)`` gives the disk another size. The mount is seen by the child process alone,
    so that a test which is killed leaves none behind.
    """
    folder.mkdir()
    pid = os.fork()
    if pid == 0:
        code = FAILED
        try:
            code = DONE if _mounted(folder, kilobytes) else NOT_ALLOWED
            if code == DONE:
                body(folder, lambda size: _mount(folder, f"remount,size={size}k"))
        except BaseException:
            code = FAILED
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == NOT_ALLOWED:
        pytest.skip("needs the right to mount a small disk")
    assert code == DONE, "see what the child process printed"


def _mounted(folder, kilobytes):
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare") or libc.unshare(NEW_MOUNTS) != 0:
        return False
    private = ["mount", "--make-rprivate", "/"]
    is_private = subprocess.run(private, capture_output=True, check=False).returncode == 0
    return is_private and _mount(folder, f"size={kilobytes}k")


def _mount(folder, options):
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
