"""What the page and the API are served with: options of both. Decides nothing."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import add_reader, add_runtime, add_writer, settings_of
from assistant.settings import DEFAULT_EXAM

if TYPE_CHECKING:
    from assistant.page.guard import Guard
    from assistant.page.server import Options

MEGABYTE = 2**20
ENDS_WITHIN_S = 5  # once it is told to stop


def add_serving(command: argparse.ArgumentParser, kept_as: str, port: int) -> None:
    """Take the options that say where is listened, who may come and what is kept."""
    command.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; default: this machine alone"
    )
    command.add_argument("--port", type=int, default=port)
    add_writer(command)
    add_runtime(command)
    add_reader(command)
    command.add_argument(
        "--auth", type=Path, metavar="FILE", help="names and hashed passwords; needed with --host"
    )
    command.add_argument(
        "--state", type=Path, metavar="DIR", default=_state(kept_as), help="where studies are kept"
    )
    command.add_argument("--max-upload", type=int, metavar="MB", default=2048)


def options_of(chosen: argparse.Namespace) -> "Options":
    """Gather what was chosen; raises ValueError where others are served without a login."""
    from assistant.page.login import Doorkeeper, read_passwords
    from assistant.page.server import Options

    return Options(
        folder=chosen.state,
        host=chosen.host,
        port=chosen.port,
        settings=settings_of(chosen, DEFAULT_EXAM, chosen.language, chosen.runtime),
        doorkeeper=None if chosen.auth is None else Doorkeeper(read_passwords(chosen.auth)),
        largest_upload=chosen.max_upload * MEGABYTE,
    )


def listen(app: "Guard", options: "Options") -> None:
    """Serve until stopped; an open page, whose stream never ends, holds nobody up."""
    import uvicorn

    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=ENDS_WITHIN_S,
    )


def _state(kept_as: str) -> Path:
    """Say where this machine keeps what belongs to a user."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "voxcite" / kept_as
