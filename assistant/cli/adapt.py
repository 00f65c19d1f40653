"""The command ``voxcite adapt``: learns a structure from labelled scans. Decides nothing."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import OK, followed

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands
    from segment.adapt.plan import Request


def add_adapt(commands: "Commands") -> None:
    """Describe the command."""
    adapt = commands.add_parser("adapt", help="learn a new structure from labelled scans")
    adapt.add_argument("--images", type=Path, required=True, metavar="DIR", help="NIfTI, T1 MR")
    adapt.add_argument(
        "--labels", type=Path, required=True, metavar="DIR", help="files of the same names"
    )
    adapt.add_argument("--organ", required=True, metavar="NAME", help="such as 'amygdala'")
    adapt.add_argument(
        "--structure",
        action="append",
        default=[],
        type=_structure,
        metavar="VALUE=NAME",
        help="what a value of the labels is; several may be one structure; default: the organ,"
        " where the labels hold one value",
    )
    adapt.add_argument("--midline", action="store_true", help="it has no left and right")
    adapt.add_argument(
        "--centre",
        type=_centre,
        metavar="X,Y,Z",
        help="where the left one lies, in MNI152 mm; default: as whole heads show",
    )
    adapt.add_argument(
        "--subjects", type=Path, metavar="CSV", help="file,subject; default: sub- of the names"
    )
    adapt.add_argument("--code", metavar="SNOMED", help="of the organ; default: any structure")
    adapt.add_argument(
        "--coverage", type=float, default=0.9, help="of the intervals, a share; default: 0.9"
    )
    adapt.add_argument(
        "--called",
        action="append",
        default=[],
        type=_called,
        metavar="LANGUAGE:NAME=TEXT",
        help="what the organ or a part is called in another language",
    )
    adapt.add_argument("--config", type=Path, help="TOML; the default is the shipped plan")
    adapt.add_argument("--runs", type=Path, metavar="DIR", help="default: runs/adapt-NAME")
    adapt.set_defaults(run=run_adapt)


def run_adapt(chosen: argparse.Namespace) -> int:
    """Learn a structure, showing each step, and say how good it is."""
    from assistant.adapting import adapted
    from segment.adapt.write import told_interval
    from segment.shelf import shelves

    request = _request(chosen)
    work = chosen.runs or Path("runs") / f"adapt-{request.folder}"
    called: dict[str, dict[str, str]] = {}
    for language, name, text in chosen.called:
        called.setdefault(language, {})[name] = text
    made = followed(adapted(request, work, called))
    print(f"{request.organ}: {made.crops} boxes of {made.subjects} subjects, from {made.start}")
    for figure in made.figures:
        print(figure)
    print(told_interval(made, request.coverage))
    print(f"wrote {request.folder} on the shelf {shelves().name}")
    print(f"now: voxcite draft SCAN --exam {request.folder}")
    return OK


def _request(chosen: argparse.Namespace) -> "Request":
    """Gather what was asked for."""
    from importlib.resources import files

    from segment import organs
    from segment.adapt.plan import AdaptPlan, Request

    shipped = Path(str(files("segment.adapt").joinpath("adapt.toml")))
    return Request(
        organ=chosen.organ,
        images=chosen.images,
        labels=chosen.labels,
        plan=AdaptPlan.read(chosen.config or shipped),
        names=dict(chosen.structure),
        sides=("none",) if chosen.midline else ("left", "right"),
        centre_mm=chosen.centre,
        code=organs.UNSAID_CODE if chosen.code is None else chosen.code,
        coverage=chosen.coverage,
        subjects=chosen.subjects,
    )


def _structure(text: str) -> tuple[int, str]:
    """Read VALUE=NAME; raises argparse's error where it is not that."""
    value, separator, name = text.partition("=")
    if separator and value.isdecimal() and int(value) > 0 and name:
        return int(value), name
    msg = f"a structure is VALUE=NAME, such as 1=amygdala, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _called(text: str) -> tuple[str, str, str]:
    """Read LANGUAGE:NAME=TEXT; raises argparse's error where it is not that."""
    language, colon, rest = text.partition(":")
    name, separator, words = rest.partition("=")
    if colon and separator and language and name and words:
        return language, name, words
    msg = f"a name in another language is LANGUAGE:NAME=TEXT, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _centre(text: str) -> tuple[float, float, float]:
    """Read X,Y,Z; raises argparse's error where it is not that."""
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        msg = f"a place is X,Y,Z in mm, such as --centre=-24,-22,-10.5, not {text!r}"
        raise argparse.ArgumentTypeError(msg) from error
    return x, y, z
