"""The chat page: ``python app.py``. Reads options and serves; the parts are in ``assistant.page``.

Importing this module loads nothing heavy.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from assistant.cli.terminal import add_writer, settings_of
from assistant.settings import DEFAULT_EXAM
from assistant.threads import wait_without_spinning

PORT = 7860
MEGABYTE = 2**20


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    top = argparse.ArgumentParser(
        prog="app.py",
        description="Serve the chat page. Research software for drafting reports; not a medical"
        " device.",
    )
    top.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; default: this machine alone"
    )
    top.add_argument("--port", type=int, default=PORT)
    top.add_argument("--language", default="en", help="of the first page: en or zh")
    add_writer(top)
    top.add_argument(
        "--auth", type=Path, metavar="FILE", help="names and hashed passwords; needed with --host"
    )
    top.add_argument("--hash", action="store_true", help="ask for a password, print its hash, stop")
    top.add_argument(
        "--state", type=Path, metavar="DIR", default=_state(), help="where studies are kept"
    )
    top.add_argument("--max-upload", type=int, metavar="MB", default=2048)
    top.add_argument("--share", choices=("never",), default="never", help="there is no public link")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; returns the exit code."""
    chosen = parser().parse_args(arguments)
    if chosen.hash:
        return _print_hash()
    # Read by Gradio and the hub when they are imported: nothing is looked up outside.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    wait_without_spinning()
    try:
        serve(chosen)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"app.py: {error}\n")
        return 2
    return 0


def serve(chosen: argparse.Namespace) -> None:
    """Build the server from the options and run it."""
    import uvicorn

    from assistant.page.layout import mount
    from assistant.page.login import Doorkeeper, read_passwords
    from assistant.page.server import Options, application, open_parts

    options = Options(
        folder=chosen.state,
        host=chosen.host,
        port=chosen.port,
        settings=settings_of(chosen, DEFAULT_EXAM, chosen.language),
        doorkeeper=None if chosen.auth is None else Doorkeeper(read_passwords(chosen.auth)),
        largest_upload=chosen.max_upload * MEGABYTE,
    )
    app = application(open_parts(options), mount)
    sys.stdout.write(f"voxcite: http://{chosen.host}:{chosen.port}/\n")
    sys.stdout.flush()
    uvicorn.run(app, host=chosen.host, port=chosen.port, log_level="warning", server_header=False)


def _state() -> Path:
    """Say where this machine keeps what belongs to a user."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "voxcite" / "page"


def _print_hash() -> int:
    """Ask for a password and print the hash that a password file holds."""
    from getpass import getpass

    from assistant.page.login import LoginError, hashed

    try:
        sys.stdout.write(hashed(getpass()) + "\n")
    except LoginError as error:
        sys.stderr.write(f"app.py: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
