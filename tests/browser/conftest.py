"""A served page and a real browser; skipped, with the reason, where there is no Chromium."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN_S, ANSWERS_WITHIN_MS = 180, 180_000
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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """Run the page in a process of its own; return its address."""
    pytest.importorskip("gradio", reason="the chat page needs voxcite[app]")
    port = free_port()
    state = tmp_path_factory.mktemp("state")
    log = (state / "log.txt").open("wb")
    kept = ("--state", str(state / "kept"), "--writer", "template")
    command = [sys.executable, "app.py", "--port", str(port), *kept]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "no_proxy": "*"}
    )
    address = f"http://127.0.0.1:{port}"
    wait_for(f"{address}/healthz", process)
    yield address
    process.terminate()
    process.wait(timeout=60)
    log.close()


def wait_for(address, process):
    """Wait until the server answers; say what it said where it never does."""
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.3)
        else:
            return
    pytest.fail(f"the page did not start (exit code {process.poll()})")


@pytest.fixture(scope="session")
def chromium():
    """Return a headless Chromium, Debian's own."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, served):
    """Open the page as a browser of its own; gather which hosts it asks."""
    contexts = []

    def opened(path="/en/", *, token=None, width=1280, scheme="light"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        if token is not None:
            context.add_cookies([{"name": "voxcite", "value": token, "url": served}])
        page = context.new_page()
        page.set_default_timeout(ANSWERS_WITHIN_MS)
        page.set_default_navigation_timeout(ANSWERS_WITHIN_MS)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(served + path)
        page.wait_for_selector("#vx-status .vx-said, #vx-status .vx-progress")
        return page

    yield opened
    for context in contexts:
        context.close()
