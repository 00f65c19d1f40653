"""The command ``voxcite suggest``: which scans to label next. Decides nothing."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from assistant.cli.terminal import OK, add_crop, add_segmenter, assistant_for, shown, side_of
from assistant.settings import DEFAULT_EXAM

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands

T = TypeVar("T")


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
    """Segment every scan and print which to label, the most telling first.

    One that cannot be measured is left out and named on standard error.
    """
    from assistant.suggesting import candidate, looks
    from segment.errors import Refusal, ScanError
    from segment.suggest import suggest

    side = side_of(chosen)
    if chosen.effort == "temperature":
        msg = "expected an effort of several members, whose agreement ranks scans, found"
        raise ValueError(f"{msg} {chosen.effort}; leave --effort out")
    assistant = assistant_for(chosen)
    names = {path.name for path in _niftis(chosen.labelled)} if chosen.labelled else set()
    paths = [path for path in _niftis(chosen.images) if path.name not in names]
    if not paths:
        msg = f"{chosen.images.name}: expected scans without labels as NIfTI, found none"
        raise ScanError(Refusal.EMPTY_FOLDER, f"{msg}; give another folder")
    known = [] if chosen.labelled is None else _niftis(chosen.labelled)
    found = _measurable(partial(candidate, assistant, side=side), paths)
    if not found:
        msg = f"{chosen.images.name}: expected scans that the exam can measure, found none"
        raise ScanError(Refusal.EMPTY_FOLDER, f"{msg}; give other scans or another --exam")
    labelled = _measurable(partial(looks, assistant, side=side), known)
    print("scan,mean rank,agreement of members,width of interval")
    for one in suggest(found, chosen.count, labelled):
        print(f"{one.name},{one.mean_rank:.2f},{one.agreement:.3f},{one.width:.3f}")
    return OK


def _measurable(look: Callable[[Path], T], paths: Sequence[Path]) -> list[T]:
    """Look at scans, leaving out those that are refused."""
    from segment.errors import ScanError

    def found() -> Iterator[T | None]:
        for path in paths:
            try:
                yield look(path)
            except ScanError as error:
                print(f"left out: {error}", file=sys.stderr)
                yield None

    looked = shown(found(), len(paths), "looking")
    return [one for one in looked if one is not None]


def _niftis(folder: Path) -> list[Path]:
    from segment.reading.nifti import is_nifti

    return sorted(path for path in folder.iterdir() if is_nifti(path))
