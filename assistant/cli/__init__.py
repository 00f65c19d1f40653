"""The command line: reads arguments, shows progress, prints. Decides nothing.

Exit codes: 0 done; 1 a report that does not hold; 2 a scan or an option that was refused; 3 a
draft in which nothing could be measured.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from assistant.cli.adapt import add_adapt
from assistant.cli.ask import add_ask
from assistant.cli.batch import add_batch
from assistant.cli.check import add_export, add_verify
from assistant.cli.deidentify import add_deidentify
from assistant.cli.dicomweb import add_dicomweb
from assistant.cli.draft import add_draft
from assistant.cli.evaluate import add_evaluate
from assistant.cli.explain import add_explain
from assistant.cli.federated import add_federated
from assistant.cli.label import add_label
from assistant.cli.learn import add_calibrate, add_train
from assistant.cli.listing import add_list
from assistant.cli.mesh import add_mesh
from assistant.cli.pet import add_pet
from assistant.cli.pretrain import add_pretrain
from assistant.cli.repeatability import add_repeatability
from assistant.cli.segment import add_segment
from assistant.cli.serve import add_serve
from assistant.cli.suggest import add_suggest
from assistant.cli.terminal import (
    DISCLAIMER,
    DOES_NOT_HOLD,
    NOTHING_MEASURED,
    OK,
    REFUSED,
)
from assistant.threads import spin_briefly

__all__ = ["DOES_NOT_HOLD", "NOTHING_MEASURED", "OK", "REFUSED", "main", "parser"]
COMMANDS = (
    add_draft,
    add_batch,
    add_segment,
    add_label,
    add_pet,
    add_deidentify,
    add_dicomweb,
    add_evaluate,
    add_explain,
    add_train,
    add_pretrain,
    add_adapt,
    add_suggest,
    add_federated,
    add_calibrate,
    add_repeatability,
    add_export,
    add_mesh,
    add_verify,
    add_ask,
    add_serve,
    add_list,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    chosen = parser().parse_args(arguments)
    spin_briefly()
    run: Callable[[argparse.Namespace], int] = chosen.run
    from assistant.cli.missing import what_to_install
    from segment.errors import ScanError, without_folders

    try:
        return run(chosen)
    except ScanError as error:
        print(f"voxcite: {error} [{error.code}]", file=sys.stderr)
    except OSError as error:
        print(f"voxcite: {without_folders(error)}", file=sys.stderr)
    except ValueError as error:
        print(f"voxcite: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        print(f"voxcite: {what_to_install(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("voxcite: stopped; what was complete is kept", file=sys.stderr)
    return REFUSED


def parser() -> argparse.ArgumentParser:
    """Describe every command."""
    top = argparse.ArgumentParser(prog="voxcite", description=f"Draft cited reports. {DISCLAIMER}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    return top
