"""The command ``voxcite repeatability``: how far repeats of a scan differ. Decides nothing.

What comes out is a file beside the segmenter's weights; a card says what it must not be taken for.
"""

import argparse
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.learn import DATA
from assistant.cli.terminal import OK, add_runtime, assistant_for, bar_of, followed
from assistant.settings import DEFAULT_EXAM
from segment.effort import EFFORT

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands
    from segment.repeatability import Repeatability
    from segment.retest import Measuring

RETESTS = "retests.csv"
SPLIT = "hippocampus/split.json"
IMAGES, LABELS = "hippocampus/images", "hippocampus/labels"
OF_VISITS = {"weights": None, "runtime": "torch"}  # options that mean something with --visits alone


def add_repeatability(commands: "Commands") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "repeatability", help="measure how far repeats of one scan differ, real ones or simulated"
    )
    command.add_argument("heads", nargs="*", metavar="HEAD", help="whole heads to repeat as well")
    command.add_argument("--exam", default=DEFAULT_EXAM)
    command.add_argument("--repeats", type=int, default=8, help="of each crop in slices of 1 mm")
    command.add_argument("--thick-repeats", type=int, default=3, help="of each in thicker slices")
    command.add_argument("--head-repeats", type=int, default=4, help="of each head")
    data = os.environ.get(DATA, "../shared/data")
    command.add_argument("--data", type=Path, default=Path(data), metavar="DIR", help=f"or {DATA}")
    command.add_argument("-o", "--output", type=Path, default=Path("runs/shipped"), metavar="DIR")
    own = command.add_argument_group("of your own persons who were scanned again, none simulated")
    own.add_argument(
        "--visits",
        type=Path,
        metavar="CSV",
        help="scan,subject: two scans or more of each, between which nothing changed; paths as"
        " seen from the table",
    )
    own.add_argument(
        "--weights", metavar="FOLDER", help="what `voxcite calibrate` wrote; default: the shipped"
    )
    add_runtime(command)
    command.set_defaults(run=run_repeatability)


def run_repeatability(chosen: argparse.Namespace) -> int:
    """Repeat scans, or read the real repeats of a table; write what follows and say it."""
    if chosen.visits is None:
        _print_levels(_simulated(chosen))
        return OK
    own, standing = _of_visits(chosen)
    print(own.source)
    _print_levels(own)
    for structure, within in standing.levels[0].structures.items():
        if within.is_simulated:
            told = f"the {within.cv:.2%} of simulated repeats (n = {within.subjects}) stand instead"
            print(f"{structure}: {told}, since they are larger; a report says so")
    file = chosen.output / "repeatability.toml"
    weights = "" if chosen.weights is None else f" --weights {chosen.weights}"
    print(f"now: voxcite draft SCAN --prior EARLIER --repeatability {file}{weights}")
    return OK


def _print_levels(found: "Repeatability") -> None:
    for level in found.levels:
        for structure, within in level.structures.items():
            told = f"within-subject CV {within.cv:.2%}, n = {within.subjects} subjects"
            print(f"{level.spacing_mm:.3g} mm, {structure}: {told}, {within.repeats} repeats")


def _of_visits(chosen: argparse.Namespace) -> "tuple[Repeatability, Repeatability]":
    """Measure the visits of a table; return what they show, and what stands of both.

    What simulated repeats showed is the least that stands.
    """
    from assistant.building import repeatability_of
    from assistant.settings import Settings
    from assistant.visits import read_visits, visited
    from segment.errors import Refusal, ScanError

    if chosen.heads:
        msg = f"--visits: expected no heads to simulate as well, found {len(chosen.heads)}"
        raise ScanError(Refusal.BAD_OPTION, f"{msg}; leave them out")
    visits = read_visits(chosen.visits)
    chosen.segmenter, chosen.effort = None, EFFORT
    assistant = assistant_for(chosen)
    shipped = repeatability_of(assistant.exam.segmenter, Settings(exam=chosen.exam))
    return followed(visited(assistant, visits, chosen.output, shipped))


def _simulated(chosen: argparse.Namespace) -> "Repeatability":
    """Repeat held-out crops, plain and deformed, and the given heads; write what follows."""
    from itertools import chain

    from assistant.study import read_study
    from segment.errors import Refusal, ScanError
    from segment.models.training.plan import case_name
    from segment.repeatability import SIMULATED
    from segment.retest import (
        Retest,
        estimate,
        held_out,
        read_retests,
        retest_crops,
        retest_deformed,
        retest_heads,
        write_retests,
    )
    from segment.retest_needs import check_counts, check_files, check_repeats, thickness_of

    if stray := [f"--{name}" for name, usual in OF_VISITS.items() if vars(chosen)[name] != usual]:
        msg = f"{stray[0]}: expected --visits as well, found simulated repeats, which are those of"
        raise ScanError(Refusal.BAD_OPTION, f"{msg} the shipped networks; leave it out")
    repeats = (chosen.repeats, chosen.thick_repeats)
    cases = held_out(chosen.data, SPLIT)
    check_counts(len(cases), repeats)
    check_files([chosen.data / f for f in (IMAGES, LABELS)], [case_name(case) for case in cases])
    if chosen.heads:
        check_repeats("--head-repeats", chosen.head_repeats)
    heads = [read_study(head).volume for head in chosen.heads]
    for head in heads:
        thickness_of(head)
    measuring = measuring_of(chosen.exam)
    found: list[Retest] = []
    with ExitStack() as bars:
        running = ""
        for step in chain(
            retest_crops(chosen.data, SPLIT, IMAGES, measuring, repeats),
            retest_deformed(chosen.data, SPLIT, IMAGES, LABELS, measuring),
            retest_heads(heads, measuring, chosen.head_repeats),
        ):
            if isinstance(step, Retest):
                found.append(step)
                continue
            if step.step != running:
                bars.close()
                bar = bars.enter_context(bar_of(step.of, step.step))
                running = step.step
            bar.update()
    chosen.output.mkdir(parents=True, exist_ok=True)
    write_retests(chosen.output / RETESTS, found)
    name = f"{measuring.segmenter.name}-pseudo-retest"
    written = read_retests(chosen.output / RETESTS)  # what is shipped, to its last digit
    result = replace(
        estimate(written, name, SIMULATED),
        weights_sha256=measuring.segmenter.weights_sha256,
        calibration=measuring.calibrated.id,
    )
    (chosen.output / "repeatability.toml").write_text(result.to_toml(), encoding="utf-8")
    return result


def measuring_of(exam_name: str) -> "Measuring":
    """Gather what the repeats of an exam are measured with."""
    from assistant import exams
    from segment import models, organs
    from segment.measure import Wanted
    from segment.retest import Measuring

    exam = exams.load(exam_name)
    wanted = Wanted(exam.structures, (), exam.coverage, exam.widest_relative_interval)
    return Measuring(
        models.load(exam.segmenter),
        organs.load(exam.organs[0]),
        wanted,
        models.calibrated(exam.segmenter),
    )
