"""Servers that tests start as processes of their own: a free port, and the wait for an answer."""

import socket
import time
import urllib.error
import urllib.request

STARTS_WITHIN_S = 180


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(address, process):
    """Wait until a server answers, if only that it wants a password; say how it ended if never."""

    def asked():
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except urllib.error.HTTPError:
            return

    _until(asked, process)


def wait_for_port(port, process):
    """Wait until a server of this machine takes connections; say how it ended if never."""
    _until(lambda: socket.create_connection(("127.0.0.1", port), timeout=5).close(), process)


def _until(tried, process):
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until and process.poll() is None:
        try:
            tried()
        except OSError:
            time.sleep(0.3)
        else:
            return
    msg = f"the server did not start (exit code {process.poll()})"
    raise RuntimeError(msg)
