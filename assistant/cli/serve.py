"""The command ``voxcite serve``: the API without the page. Decides nothing."""

import argparse
import os
from typing import TYPE_CHECKING

from assistant.cli.serving import add_serving, listen, options_of
from assistant.cli.terminal import OK

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands

PORT = 7861


def add_serve(commands: "Commands") -> None:
    """Describe the command."""
    serve = commands.add_parser("serve", help="serve drafts, answers and exports over HTTP")
    add_serving(serve, "serve", PORT)
    serve.add_argument("--language", default="en", help="of a draft that names none: en or zh")
    serve.set_defaults(run=run_serve)


def run_serve(chosen: argparse.Namespace) -> int:
    """Serve until stopped."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is looked up outside
    from assistant.page.server import open_parts
    from assistant.serve.api import api

    options = options_of(chosen)
    app = api(open_parts(options, keeps_unfinished=True))
    print(f"voxcite: http://{chosen.host}:{chosen.port}/openapi.json", flush=True)
    listen(app, options)
    return OK
