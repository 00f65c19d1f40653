"""The page in a process of its own, and what Chromium needs to draw it in software."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN_S = 180
FLAGS = [
    "--no-sandbox",
    "--no-first-run",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]


def browser_path():
    """Return where Debian's Chromium is, None where it is not."""
    return shutil.which("chromium")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(state):
    """Serve a page that keeps its studies below ``state``; yield its address."""
    with started(state) as (address, _):
        yield address


@contextmanager
def started(state, *, environment=None):
    """Serve a page; yield its address and the process that serves it."""
    port = free_port()
    kept = ("--state", str(state / "kept"), "--writer", "template")
    command = [sys.executable, "-m", "tests.browser.paced", "--port", str(port), *kept]
    surroundings = {**os.environ, "no_proxy": "*", **(environment or {})}
    with (state / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=surroundings)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(f"{address}/healthz", process)
            yield address, process
        finally:
            process.terminate()
            process.wait(timeout=60)


def wait_for(address, process):
    """Wait until the server answers; say how it ended where it never does."""
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.3)
        else:
            return
    msg = f"the page did not start (exit code {process.poll()})"
    raise RuntimeError(msg)
