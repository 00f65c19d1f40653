"""The command ``voxcite suggest``: which scans to label next. Decides nothing."""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from assistant.cli.terminal import OK, add_crop, add_segmenter, assistant_for, shown, side_of
from assistant.settings import DEFAULT_EXAM

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands
    from segment.suggest import Suggestion

T = TypeVar("T")

FEW = 9  # labelled scans; tests/benchmarks/suggest.py


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

    One that cannot be measured, or is labelled already, is left out and named on standard error.
    """
    from assistant.suggesting import candidate, looks
    from segment.errors import Refusal, ScanError
    from segment.suggest import suggest

    side = side_of(chosen)
    if chosen.effort == "temperature":
        msg = "expected an effort of several members, whose agreement ranks scans, found"
        raise ValueError(f"{msg} {chosen.effort}; leave --effort out")
    if chosen.count < 1:
        msg = f"expected at least 1 scan to suggest, found {chosen.count}; give a larger --count"
        raise ValueError(msg)
    assistant = assistant_for(chosen)
    known = [] if chosen.labelled is None else _niftis(chosen.labelled)
    paths = list(_without_labels(_niftis(chosen.images), known))
    if not paths:
        msg = f"{chosen.images.name}: expected scans without labels as NIfTI, found none"
        raise ScanError(Refusal.EMPTY_FOLDER, f"{msg}; give another folder")
    found = _measurable(partial(candidate, assistant, side=side), paths)
    if not found:
        msg = f"{chosen.images.name}: expected scans that the exam can measure, found none"
        advice = "" if chosen.crop else ", or say with --crop and --side that they are boxes"
        raise ScanError(Refusal.EMPTY_FOLDER, f"{msg}; give others or another --exam{advice}")
    labelled = _measurable(partial(looks, assistant, side=side), known)
    suggested = suggest(found, chosen.count, labelled)
    _tell(suggested)
    if len(labelled) <= FEW:
        msg = f"note: in a simulation with up to {FEW} labelled scans, random ones taught more; see"
        print(f"{msg} docs/few-labels.md", file=sys.stderr)
    if not any(any(level.volume.values()) for level in assistant.calibrated.levels):
        msg = f"exam {chosen.exam}: its networks have no intervals; scans are ranked by agreement"
        print(msg, file=sys.stderr)
    elif any(math.isinf(one.width) for one in suggested):
        msg = "width none: a volume of the scan has no interval, which ranks as the widest"
        print(msg, file=sys.stderr)
    return OK


def _tell(suggested: "Sequence[Suggestion]") -> None:
    """Print a table of scans; one of which a volume has no interval has no width."""
    print("scan,mean rank,agreement of members,width of interval")
    for one in suggested:
        width = f"{one.width:.3f}" if math.isfinite(one.width) else "none"
        print(f"{one.name},{one.mean_rank:.2f},{one.agreement:.3f},{width}")


def _without_labels(paths: Sequence[Path], known: Sequence[Path]) -> Iterator[Path]:
    """Leave out scans that are labelled already by their names, and say so."""
    names = {path.name for path in known}
    for path in paths:
        if path.name in names:
            print(f"left out: {path.name}: a scan of this name is labelled", file=sys.stderr)
        else:
            yield path


def _measurable(look: Callable[[Path], T], paths: Sequence[Path]) -> list[T]:
    """Look at scans, leaving out those that are refused."""
    from segment.errors import ScanError

    def found() -> Iterator[T | None]:
        for path in paths:
            try:
                yield look(path)
            except ScanError as error:
                sentence = str(error).removeprefix("the scan: ").removeprefix(f"{path.name}: ")
                print(f"left out: {path.name}: {sentence}", file=sys.stderr)
                yield None

    looked = shown(found(), len(paths), "looking")
    return [one for one in looked if one is not None]


def _niftis(folder: Path) -> list[Path]:
    from segment.reading.nifti import is_nifti

    return sorted(path for path in folder.iterdir() if is_nifti(path))
