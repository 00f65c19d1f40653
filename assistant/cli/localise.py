"""The part of ``voxcite calibrate`` that fits on a user's own scans. Decides nothing."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import OK, add_crop, add_runtime, assistant_for, followed, side_of
from assistant.settings import DEFAULT_EXAM
from segment.effort import EFFORT
from segment.intervals import POOLED

if TYPE_CHECKING:
    from assistant.localising import LocalRequest

OF_OWN_SCANS = {  # options that mean something with --images and --labels alone
    "exam": DEFAULT_EXAM,
    "runtime": "torch",
    "weights": None,
    "coverage": None,
    "subjects": None,
    "resample": False,
    "crop": False,
    "side": None,
}
USUAL_COVERAGE = 0.9


def add_own_scans(calibrate: argparse.ArgumentParser) -> None:
    """Take the options that calibrate on labelled scans instead of a training's."""
    own = calibrate.add_argument_group("on your own labelled scans, no weights touched")
    own.add_argument("--images", type=Path, metavar="DIR", help="NIfTI, one subject each or more")
    own.add_argument("--labels", type=Path, metavar="DIR", help="files of the same names")
    own.add_argument(
        "--like",
        type=Path,
        metavar="DIR",
        help="scans without labels, for which the shipped cases are weighted, instead of both",
    )
    own.add_argument("--exam", default=DEFAULT_EXAM)
    own.add_argument(
        "--weights", metavar="FOLDER", help="what `voxcite calibrate` wrote; default: the shipped"
    )
    own.add_argument(
        "--coverage", type=float, help=f"of the intervals, a share; default: {USUAL_COVERAGE}"
    )
    own.add_argument(
        "--subjects", type=Path, metavar="CSV", help="file,subject; default: sub- of the names"
    )
    own.add_argument(
        "--resample", action="store_true", help="let labels on another grid give the nearest label"
    )
    add_crop(calibrate)
    add_runtime(calibrate)


def is_of_own_scans(chosen: argparse.Namespace) -> bool:
    """Tell whether a calibration is asked for on own scans; raises ScanError for a half of it."""
    from segment.errors import Refusal, ScanError

    if chosen.like is not None:
        _expect_unlabelled(chosen)
        return True
    given = chosen.images is not None or chosen.labels is not None
    stray = [f"--{name}" for name, usual in OF_OWN_SCANS.items() if getattr(chosen, name) != usual]
    if given != (chosen.images is not None and chosen.labels is not None) or (stray and not given):
        msg = "expected both folders, --images and --labels, to calibrate on scans of your own,"
        raise ScanError(Refusal.BAD_OPTION, f"{msg} found one or none; give both")
    return given


def run_own_scans(chosen: argparse.Namespace) -> int:
    """Calibrate on labelled scans, showing each step, and say how the intervals fare."""
    from assistant.localising import localised

    chosen.segmenter, chosen.effort = chosen.network, EFFORT
    if chosen.like is not None:
        return _run_like(chosen)
    asked = _request(chosen)
    output = chosen.output or Path("runs") / chosen.exam / "local"
    made = followed(localised(assistant_for(chosen), asked, output))
    for figure in made.figures:
        print(figure)
    print(f"{made.calibrated.id}: intervals of {asked.coverage:.4g}; {made.calibrated.source}")
    print(f"wrote {output}")
    print(f"now: voxcite draft SCAN --weights {output}")
    return OK


def _expect_unlabelled(chosen: argparse.Namespace) -> None:
    """Refuse options that say something of labels beside ``--like``; raises ScanError."""
    from segment.errors import Refusal, ScanError

    of_labels = ("images", "labels", "weights", "coverage", "subjects", "resample", "intervals")
    if stray := [f"--{name}" for name in of_labels if getattr(chosen, name) not in (None, False)]:
        msg = f"--like: expected scans without labels alone, found {stray[0]} as well; leave it out"
        raise ScanError(Refusal.BAD_OPTION, msg)


def _run_like(chosen: argparse.Namespace) -> int:
    """Weigh the shipped cases for scans that nobody labelled, and say what they are worth."""
    from assistant.likening import LikeRequest, likened
    from segment.weighting import worth

    output = chosen.output or Path("runs") / chosen.exam / "like"
    asked = LikeRequest(chosen.like, side_of(chosen))
    made = followed(likened(assistant_for(chosen), asked, output))
    for structure, weights in made.levels[0].weight.items():
        print(f"{structure}: {len(weights)} cases, weighted worth {worth(weights):.0f}")
    print(f"wrote {output}")
    print(f"now: voxcite draft SCAN --weights {output}")
    return OK


def _request(chosen: argparse.Namespace) -> "LocalRequest":
    """Gather what was asked for."""
    from assistant.localising import LocalRequest

    return LocalRequest(
        images=chosen.images,
        labels=chosen.labels,
        side=side_of(chosen),
        coverage=USUAL_COVERAGE if chosen.coverage is None else chosen.coverage,
        subjects=chosen.subjects,
        resample=chosen.resample,
        intervals=chosen.intervals or POOLED,
    )
