"""The command ``voxcite segment``: only measures, and prints the records. Decides nothing."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from assistant.cli.terminal import (
    DISCLAIMER,
    NOTHING_MEASURED,
    OK,
    SERIES_HELP,
    STUDY_HELP,
    Side,
    add_crop,
    add_intervals,
    add_segmenter,
    assistant_for,
    bar_of,
    expect_nifti,
    is_measured,
    record_line,
    side_of,
    stepped,
)
from assistant.settings import DEFAULT_EXAM

if TYPE_CHECKING:
    from tqdm import tqdm

    from assistant.cli.terminal import Commands
    from assistant.pipeline import Assistant
    from assistant.steps import Segmented
    from assistant.study import Study
    from segment.bounds import Bounds
    from segment.certainty import Certainty


def add_segment(commands: "Commands") -> None:
    """Describe the command."""
    segment = commands.add_parser("segment", help="only measure")
    segment.add_argument("scan", help=STUDY_HELP)
    segment.add_argument("-o", "--output", type=Path, required=True, metavar="LABELS.nii.gz")
    segment.add_argument("--json", type=Path, metavar="MEASUREMENTS.json")
    segment.add_argument("--exam", default=DEFAULT_EXAM)
    segment.add_argument("--series", help=SERIES_HELP)
    add_crop(segment)
    add_segmenter(segment)
    add_intervals(segment)
    segment.add_argument(
        "--one-sided",
        type=float,
        metavar="COVERAGE",
        help="say as well what each volume is at least, and at most, each in this share of cases",
    )
    segment.set_defaults(run=run_segment)


def run_segment(chosen: argparse.Namespace) -> int:
    """Measure without writing a report."""
    from assistant.output import write_labels, write_measurements
    from assistant.study import read_study
    from assistant.written import written_whole

    side = side_of(chosen)
    expect_nifti(chosen.output)
    assistant = assistant_for(chosen, chosen.coverage, chosen.intervals)
    if chosen.one_sided is not None:
        assistant.calibrated.expect_support(chosen.one_sided, is_two_sided=False)
    folders = {chosen.output.parent, *([chosen.json.parent] if chosen.json else [])}
    for folder in folders:
        with written_whole(folder):
            pass
    with bar_of(5, assistant.phrasebook.steps["read"]) as bar:
        study = read_study(chosen.scan, series=chosen.series)
        segmented = _shown_segmentation(assistant, study, side, bar)
        ledger = assistant.measure(study, segmented)
        provenance = assistant.provenance(study.volume, segmented)
        sure = assistant.certainty(segmented)
        told = [one.to_dict() for one in sure]
        bounded = assistant.bounds(study, segmented, ledger, chosen.one_sided)
        with written_whole(chosen.output.parent) as folder:
            write_labels(folder / chosen.output.name, study.volume, segmented)
        if chosen.json:
            with written_whole(chosen.json.parent) as folder:
                write_measurements(
                    folder / chosen.json.name,
                    ledger,
                    provenance,
                    told,
                    [one.to_dict() for one in bounded],
                )
        bar.update()
    print("DRAFT. " + DISCLAIMER)
    for record in ledger.records:
        print(record_line(record))
    for one in sure:
        print(_of_certainty(one))
    for bound in bounded:
        print(_of_bounds(bound))
    return OK if is_measured(ledger.records) else NOTHING_MEASURED


def _shown_segmentation(
    assistant: "Assistant", study: "Study", side: Side, bar: "tqdm[NoReturn]"
) -> "Segmented":
    """Segment a head or a crop, with the step's name on the bar."""
    from assistant.steps import Segmented

    words = assistant.phrasebook.steps
    if side is not None:
        bar.set_description(words["segment"])
        return assistant.crop(study, side)
    for step in stepped(assistant.steps(study), bar, words):
        if isinstance(step, Segmented):
            return step
    raise AssertionError("the steps of a study hold its segmentation")


def _of_bounds(one: "Bounds") -> str:
    """Say both bounds of one volume, each by itself."""
    each = f"in {one.coverage:.4g} of cases"
    told = f"{one.record}: at least {one.at_least_ml:.2f} mL {each}; at most"
    return f"{told} {one.at_most_ml:.2f} mL {each}; n = {one.calibration.n}"


def _of_certainty(one: "Certainty") -> str:
    """Say how sure the networks are of one structure."""
    side = "" if one.side == "none" else f"{one.side} "
    label = f"{side}{one.structure}, members {one.members}"
    if one.volume_cv is None or one.pairwise_dice is None:
        return f"{label}: nothing to compare"
    told = f"{label}: volumes differ by {one.volume_cv:.1%} (CV), pairwise Dice"
    told += f" {one.pairwise_dice:.3f}"
    if one.predicted_dice is None or one.predicted_dice_error is None:
        return f"{told}; no predicted Dice"
    error = one.predicted_dice_error
    return f"{told}; predicted Dice {one.predicted_dice:.3f}, off by {error:.3f} on average"
