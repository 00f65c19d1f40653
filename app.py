"""The chat page: ``python app.py``. Reads options and serves; the parts are in ``assistant.page``.

Importing this module loads nothing heavy.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from assistant.cli.serving import add_serving, listen, options_of
from assistant.threads import spin_briefly

PORT = 7860


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    top = argparse.ArgumentParser(
        prog="app.py",
        description="Serve the chat page. Research software for drafting reports; not a medical"
        " device.",
    )
    add_serving(top, "page", PORT)
    top.add_argument("--language", default="en", help="of the first page: en or zh")
    top.add_argument("--hash", action="store_true", help="ask for a password, print its hash, stop")
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
    spin_briefly()
    try:
        serve(chosen)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"app.py: {error}\n")
        return 2
    return 0


def serve(chosen: argparse.Namespace) -> None:
    """Build the server from the options and run it."""
    from assistant.page.layout import mount
    from assistant.page.server import application, open_parts

    options = options_of(chosen)
    app = application(open_parts(options), mount)
    sys.stdout.write(f"voxcite: http://{chosen.host}:{chosen.port}/\n")
    sys.stdout.flush()
    listen(app, options)


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
