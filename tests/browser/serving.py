"""The page in a process of its own, and what Chromium needs to draw it in software."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from assistant.page.login import hashed
from tests.browser.paced import HOLD
from tests.processes import free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
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


@contextmanager
def serving(state):
    """Serve a page that keeps its studies below ``state``; yield its address."""
    with started(state) as (address, _):
        yield address


@contextmanager
def started(state, *, environment=None, arguments=()):
    """Serve a page, with more arguments perhaps; yield its address and the process."""
    port = free_port()
    kept = ("--state", str(state / "kept"), "--writer", "template")
    command = [sys.executable, "-m", "tests.browser.paced", "--port", str(port), *kept, *arguments]
    hold = {HOLD: str(state / "hold")}
    surroundings = {**os.environ, "no_proxy": "*", **hold, **(environment or {})}
    with (state / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=surroundings)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(f"{address}/healthz", process)
            yield address, process
        finally:
            process.terminate()
            process.wait(timeout=60)


@contextmanager
def held(state, point):
    """Let the page that is served from ``state`` wait at a point of ``paced``."""
    place = state / "hold" / point
    place.parent.mkdir(exist_ok=True)
    place.touch()
    try:
        yield
    finally:
        place.unlink()


@contextmanager
def locked(state, passwords):
    """Serve a page that asks for a login and takes a megabyte; yield its address."""
    path = state / "passwords"
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}:{hashed(word)}\n" for name, word in passwords.items()))
    with started(state, arguments=("--auth", str(path), "--max-upload", "1")) as (address, _):
        yield address
