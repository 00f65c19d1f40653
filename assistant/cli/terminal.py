"""What the commands share: exit codes, options, bars. Knows nothing of any one command."""

import argparse
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar, get_args

from assistant.settings import DEFAULT_READER, Device, Precision
from segment.effort import EFFORT, Effort
from segment.intervals import Grouping
from segment.runtime import Runtime

if TYPE_CHECKING:
    from tqdm import tqdm

    from assistant.pipeline import Assistant
    from assistant.settings import Settings
    from assistant.steps import Step
    from segment.adapt.prepare import Step as LocalStep
    from segment.geometry import Geometry
    from segment.masks import Mask
    from segment.measurement import Measurement

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

OK, DOES_NOT_HOLD, REFUSED, NOTHING_MEASURED = 0, 1, 2, 3
DISCLAIMER = "Research software for drafting reports; not a medical device."
STUDY_HELP = (
    "NIfTI file, DICOM folder or DICOMDIR, zip of one, address of a study on a DICOMweb server, or"
    " the word sample"
)
SERIES_HELP = (
    "number of the DICOM series or NIfTI file where there are several; N.V is the V-th volume of"
    " series N"
)
T = TypeVar("T")
Side = Literal["left", "right"] | None


def add_crop(command: argparse.ArgumentParser) -> None:
    """Take the two options that say the scan is the box around one side."""
    command.add_argument("--crop", action="store_true", help="the scan is the box around one side")
    command.add_argument("--side", choices=("left", "right"), help="of the crop")


def side_of(chosen: argparse.Namespace) -> Side:
    """Return the side of a crop; the two options need each other."""
    from segment.errors import Refusal, ScanError

    if chosen.crop != (chosen.side is not None):
        msg = "--crop and --side belong together; give both for the box around one side, or none"
        raise ScanError(Refusal.BAD_OPTION, msg)
    side: Side = chosen.side
    return side


def add_writer(command: argparse.ArgumentParser) -> None:
    """Take the options that say who writes, with which model, and how."""
    command.add_argument("--writer", help="vlm or template; default: the exam's")
    command.add_argument(
        "--model",
        metavar="FOLDER|NAME",
        help="for the vlm writer: a model in MedGemma's layout (folder, or name on the hub), or"
        " what `voxcite train writer` wrote; default: the embedded one; for the server writer: a"
        " name in the server's list. nnunet:FOLDER or bundle:FOLDER: what nnU-Net v2 trained, or"
        " a MONAI bundle, for an exam that has none, such as ct-organs",
    )
    command.add_argument(
        "--trust", action="store_true", help="let the files of such a folder run code"
    )
    command.add_argument(
        "--adapter", metavar="FOLDER", help="a LoRA adapter, or what `voxcite train writer` wrote"
    )
    command.add_argument(
        "--server", metavar="URL", help="for the server writer: an OpenAI-compatible server"
    )
    command.add_argument("--precision", choices=get_args(Precision), default="bfloat16")
    command.add_argument("--device", choices=get_args(Device), default="auto")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--fallback",
        action="store_true",
        help="write from the template where the model cannot be had, and say so in the report",
    )


def add_runtime(command: argparse.ArgumentParser) -> None:
    """Take the option that says what runs the segmenter's networks."""
    command.add_argument(
        "--runtime",
        choices=get_args(Runtime),
        default="torch",
        help="what runs the segmenter's networks (cuda: torch on a GPU; auto: a GPU"
        " where torch sees one, else OpenVINO where it is installed; openvino-bfloat16: faster,"
        " in half precision, on processors that have it)",
    )


def add_reader(command: argparse.ArgumentParser) -> None:
    """Take the option that says what reads the picture itself."""
    command.add_argument(
        "--reader",
        metavar="NAME",
        default=DEFAULT_READER,
        help="one that `voxcite list` names: it scores faults of the picture and may refuse a scan"
        f" by its looks; default: {DEFAULT_READER}, since its card says how often it errs",
    )


def settings_of(
    chosen: argparse.Namespace, exam: str, language: str, runtime: Runtime = "torch"
) -> "Settings":
    """Gather what was chosen of a writer with an exam, a language and a runtime."""
    from assistant.settings import Settings
    from segment.models import is_own

    is_segmenter = chosen.model is not None and is_own(chosen.model)
    return Settings(
        exam=exam,
        language=language,
        segmenter=chosen.model if is_segmenter else None,
        trust=chosen.trust,
        writer=chosen.writer,
        model=None if is_segmenter else chosen.model,
        adapter=chosen.adapter,
        server=chosen.server,
        precision=chosen.precision,
        device=chosen.device,
        seed=chosen.seed,
        runtime=runtime,
        fallback=chosen.fallback,
        reader=chosen.reader if "reader" in chosen else DEFAULT_READER,
    )


def prepare(assistant: "Assistant") -> None:
    """Show on a bar of its own what is done once on a machine, if anything is."""
    with ExitStack() as bars:
        bar = None
        for stage in assistant.preparing():
            if bar is None:
                words = assistant.phrasebook.steps
                bar = bars.enter_context(bar_of(stage.stages, words["convert"]))
            bar.update(stage.done - bar.n)


def stepped(
    steps: Iterator["Step"], bar: "tqdm[NoReturn]", words: Mapping[str, str]
) -> Iterator["Step"]:
    """Pass steps on; each moves the bar, but lines and what is done to earlier studies."""
    from assistant.followup import Placed
    from assistant.report import Line
    from assistant.steps import STEPS
    from segment.change import Visit

    waiting = iter(STEPS)
    for step in chain([None], steps):
        if not isinstance(step, Line | Placed | Visit):
            bar.update()
            bar.set_description(words[next(waiting, STEPS[-1])])
        if step is not None:
            yield step


def segmentation_of(
    chosen: argparse.Namespace, grid: "Geometry", *, is_marked: bool = False
) -> "Mask | None":
    """Read the segmentation that was given, if one was, onto a grid.

    Where it only marks something, every label is the same and none needs a name.
    """
    from segment.errors import Refusal, ScanError
    from segment.masks import read_marked, read_mask

    if chosen.segmentation is not None and is_marked and chosen.labels is None:
        return read_marked(chosen.segmentation, grid, resample=chosen.resample)
    if chosen.segmentation is not None:
        return read_mask(chosen.segmentation, grid, labels=chosen.labels, resample=chosen.resample)
    if chosen.labels is not None or chosen.resample:
        msg = "--labels and --resample say how to read --segmentation; give its file as well"
        raise ScanError(Refusal.BAD_OPTION, msg)
    return None


def add_segmenter(command: argparse.ArgumentParser) -> None:
    """Take the options that say which network segments, and with which weights."""
    command.add_argument(
        "--segmenter", metavar="NAME", help="one that `voxcite list` names; default: the exam's"
    )
    command.add_argument(
        "--weights", metavar="FOLDER", help="what `voxcite calibrate` wrote; default: the shipped"
    )
    add_runtime(command)
    add_effort(command)


def add_effort(command: argparse.ArgumentParser) -> None:
    """Take the option that says how networks tell how sure they are."""
    command.add_argument(
        "--effort",
        choices=get_args(Effort),
        default=EFFORT,
        help="how networks say how sure they are: the whole ensemble, or its first alone, which no"
        " interval was calibrated for",
    )


def add_intervals(command: argparse.ArgumentParser) -> None:
    """Take the options that say which intervals are stated."""
    command.add_argument(
        "--coverage", type=float, help="of the intervals, a share; default: the calibration's"
    )
    add_grouping(command, get_args(Grouping))


def with_intervals(settings: "Settings", chosen: argparse.Namespace) -> "Settings":
    """Add what was chosen of intervals, and whose they are."""
    from dataclasses import replace

    return replace(
        settings, weights=chosen.weights, coverage=chosen.coverage, intervals=chosen.intervals
    )


def expect_nifti(path: Path) -> None:
    """Refuse a name of labels that says another format; raises ScanError."""
    from segment.errors import Refusal, ScanError

    if not path.name.endswith((".nii.gz", ".nii")):
        msg = f"{path.name}: labels are written as NIfTI; give a name that ends in .nii.gz"
        raise ScanError(Refusal.BAD_OPTION, msg)


def add_grouping(command: argparse.ArgumentParser, known: Sequence[Grouping]) -> None:
    """Take the option that says which calibration cases judge a count."""
    command.add_argument(
        "--intervals",
        choices=known,
        help="by which calibration cases: all of them (pooled), the third whose size the count has"
        " (size), or all by the weights that --like of `voxcite calibrate` gave; default: the"
        " calibration's",
    )


def assistant_for(
    chosen: argparse.Namespace,
    coverage: float | None = None,
    intervals: Grouping | None = None,
) -> "Assistant":
    """Build the assistant of an exam to measure with; its writer reads no model."""
    from assistant.pipeline import Assistant
    from assistant.settings import Settings

    settings = Settings(
        exam=chosen.exam,
        writer="template",
        segmenter=chosen.segmenter,
        weights=chosen.weights,
        runtime=chosen.runtime,
        effort=chosen.effort,
        coverage=coverage,
        intervals=intervals,
    )
    return Assistant.from_settings(settings)


def is_measured(records: Iterable["Measurement"]) -> bool:
    """Tell whether anything at all was measured."""
    return any(not record.is_withheld for record in records)


def bar_of(total: int, description: str) -> "tqdm[NoReturn]":
    """Show a bar on standard error, if somebody is looking."""
    from tqdm import tqdm

    return tqdm(total=total, desc=description, disable=None, bar_format="{desc} |{bar}| {elapsed}")


def record_line(record: "Measurement") -> str:
    """Write one record for the terminal."""
    side = "" if record.side == "none" else f"{record.side} "
    label = f"{record.id} {side}{record.structure}, {record.quantity}"
    if record.reason is not None:
        value = "" if record.is_withheld else f"{record.value:.2f} {record.unit}, "
        return f"{label}: {value}{record.reliability} ({record.reason})"
    interval = record.interval
    assert interval is not None
    return (
        f"{label}: {record.value:.2f} {record.unit}"
        f" ({interval.coverage:.0%} prediction interval {interval.lower:.2f} to"
        f" {interval.upper:.2f} {record.unit})"
    )


def followed(steps: "Generator[LocalStep, None, T]") -> T:
    """Show each step of work on a user's scans on a bar of its own; return what came of it."""
    from segment.adapt.prepare import Warned

    with ExitStack() as bars:
        running = ""
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                made: T = end.value
                return made
            if isinstance(step, Warned):
                print(f"warning: {step.text}", flush=True)
                continue
            if step.step != running:
                bars.close()
                bar, running = bars.enter_context(bar_of(step.of, step.step)), step.step
            bar.update(step.done - bar.n)


def shown(items: Iterator[T], total: int, description: str) -> Iterator[T]:
    """Pass items on, counting them on a bar."""
    bar = bar_of(total, description)
    for item in items:
        bar.update()
        yield item
    bar.close()
