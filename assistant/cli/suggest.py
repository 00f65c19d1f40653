"""The command ``voxcite suggest``: which scans to label next. Decides nothing."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import OK, add_crop, add_segmenter, assistant_for, shown, side_of
from assistant.settings import DEFAULT_EXAM

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands

ENDINGS = (".nii.gz", ".nii")


def add_suggest(commands: "Commands") -> None:
    """Describe the command."""
    suggest = commands.add_parser("suggest", help="say which scans to label next")
    suggest.add_argument("--images", type=Path, required=True, metavar="DIR", help="NIfTI")
    suggest.add_argument(
        "--labelled", type=Path, metavar="DIR", help="scans that are labelled: others are preferred"
    )
    suggest.add_argument("--count", type=int, default=10, metavar="N", help="default: 10")
    suggest.add_argument("--exam", default=DEFAULT_EXAM)
    add_crop(suggest)
    add_segmenter(suggest)
    suggest.set_defaults(run=run_suggest)


def run_suggest(chosen: argparse.Namespace) -> int:
    """Segment every scan and print which to label, the most telling first."""
    from assistant.suggesting import candidate
    from segment.errors import Refusal, ScanError
    from segment.suggest import suggest

    side = side_of(chosen)
    assistant = assistant_for(chosen)
    names = {path.name for path in _niftis(chosen.labelled)} if chosen.labelled else set()
    paths = [path for path in _niftis(chosen.images) if path.name not in names]
    if not paths:
        msg = f"{chosen.images.name}: expected scans without labels as NIfTI, found none"
        raise ScanError(Refusal.EMPTY_FOLDER, f"{msg}; give another folder")
    known = [] if chosen.labelled is None else _niftis(chosen.labelled)
    read = (candidate(assistant, path, side) for path in (*paths, *known))
    found = list(shown(read, len(paths) + len(known), "looking"))
    looks = [one.looks for one in found[len(paths) :]]
    print("scan,predicted failure,agreement of members,width of interval")
    for one in suggest(found[: len(paths)], chosen.count, looks):
        print(f"{one.name},{one.failure:.2f},{one.agreement:.3f},{one.width:.3f}")
    return OK


def _niftis(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(ENDINGS))
