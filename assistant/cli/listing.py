"""The command ``voxcite list``: everything that can be chosen. Decides nothing."""

import argparse
from typing import TYPE_CHECKING

from assistant.cli.terminal import OK

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands


def add_list(commands: "Commands") -> None:
    """Describe the command."""
    listing = commands.add_parser(
        "list", help="exams, organs, models, readers, writers, exports, languages"
    )
    listing.set_defaults(run=run_list)


def run_list(chosen: argparse.Namespace) -> int:
    """List everything that can be chosen, with the figures of its card."""
    del chosen
    import prompts
    from assistant import exams, exports, readers, writers
    from segment import models, organs

    for title, names in (
        ("exams", exams.available()),
        ("organs", organs.available()),
        ("models", models.available()),
        ("readers", readers.available()),
        ("writers", writers.available()),
        ("exports", exports.available()),
        ("languages", prompts.languages()),
    ):
        print(f"{title}: {', '.join(names)}")
    for name in organs.available():
        for structure in organs.load(name).structures:
            if (r := structure.volume_reference) is not None:
                print(f"  {structure.name}: {r.lower:g} to {r.upper:g} mL, n = {r.n}, {r.source}")
    for name in models.available():
        for line in models.figures(name):
            print(f"  {name}: {line}")
    return OK
