"""The command line: reads arguments, shows progress, prints. Decides nothing.

Exit codes: 0 done; 1 a report that does not hold; 2 a scan or an option that was refused; 3 a
draft in which nothing could be measured.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

    from assistant.pipeline import Assistant, Segmented
    from assistant.study import Study
    from segment.measurement import Measurement

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

OK, DOES_NOT_HOLD, REFUSED, NOTHING_MEASURED = 0, 1, 2, 3
DISCLAIMER = "Research software for drafting reports; not a medical device."
DATA = "VOXCITE_DATA"
T = TypeVar("T")
Side = Literal["left", "right"] | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    chosen = parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = chosen.run
    from segment.errors import ScanError

    try:
        return run(chosen)
    except ScanError as error:
        print(f"voxcite: {error} [{error.code}]", file=sys.stderr)
    except OSError as error:
        print(f"voxcite: {_without_folders(error)}", file=sys.stderr)
    except ValueError as error:
        print(f"voxcite: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("voxcite: stopped; what was complete is kept", file=sys.stderr)
    return REFUSED


def parser() -> argparse.ArgumentParser:
    """Describe every command."""
    top = argparse.ArgumentParser(prog="voxcite", description=f"Draft cited reports. {DISCLAIMER}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_draft(commands)
    _add_segment(commands)
    _add_evaluate(commands)
    _add_train(commands)
    _add_calibrate(commands)
    _add_export(commands)
    verify = commands.add_parser("verify", help="check every line of a report against its records")
    verify.add_argument("report", type=Path, help="a report.json")
    verify.set_defaults(run=run_verify)
    listing = commands.add_parser(
        "list", help="exams, organs, models, writers, exports and languages"
    )
    listing.set_defaults(run=run_list)
    return top


def _add_draft(commands: "Commands") -> None:
    draft = commands.add_parser("draft", help="draft the report of a study")
    draft.add_argument("study", help="NIfTI file, DICOM folder, zip of one, or the word sample")
    draft.add_argument("--exam", default="hippocampus")
    draft.add_argument("--language", default="en", help="en or zh")
    draft.add_argument("--series", help="number of the DICOM series, where there are several")
    draft.add_argument("-o", "--output", type=Path, default=Path("drafts"), metavar="DIR")
    draft.set_defaults(run=run_draft)


def _add_segment(commands: "Commands") -> None:
    segment = commands.add_parser("segment", help="only measure")
    segment.add_argument("scan", help="NIfTI file, DICOM folder, zip of one, or the word sample")
    segment.add_argument("-o", "--output", type=Path, required=True, metavar="LABELS.nii.gz")
    segment.add_argument("--json", type=Path, metavar="MEASUREMENTS.json")
    segment.add_argument("--exam", default="hippocampus")
    segment.add_argument("--series", help="number of the DICOM series, where there are several")
    _add_crop(segment)
    segment.set_defaults(run=run_segment)


def _add_evaluate(commands: "Commands") -> None:
    evaluate = commands.add_parser("evaluate", help="compare with an expert's labels")
    evaluate.add_argument("--images", type=Path, required=True, metavar="DIR")
    evaluate.add_argument("--labels", type=Path, required=True, metavar="DIR")
    evaluate.add_argument(
        "--split", type=Path, metavar="SPLIT.json", help="judge only its val cases"
    )
    evaluate.add_argument("--json", type=Path, metavar="OUT.json")
    evaluate.add_argument("--exam", default="hippocampus")
    _add_crop(evaluate)
    evaluate.set_defaults(run=run_evaluate)


def _add_train(commands: "Commands") -> None:
    train = commands.add_parser("train", help="train a network")
    parts = train.add_subparsers(required=True, metavar="PART")
    segmenter = parts.add_parser("segmenter", help="the ensemble and its out-of-fold twins")
    segmenter.add_argument("--config", type=Path, help="TOML; the default is the shipped plan")
    segmenter.add_argument(
        "--share", type=_share, default=(1, 1), help="K/N: every Nth run, from the Kth on"
    )
    _add_folders(segmenter)
    segmenter.set_defaults(run=run_train)


def _add_calibrate(commands: "Commands") -> None:
    calibrate = commands.add_parser("calibrate", help="fit the intervals on out-of-fold cases")
    calibrate.add_argument("--config", type=Path, help="the plan that was trained")
    calibrate.add_argument("-o", "--output", type=Path, default=Path("runs/shipped"), metavar="DIR")
    _add_folders(calibrate)
    calibrate.set_defaults(run=run_calibrate)


def _add_export(commands: "Commands") -> None:
    from assistant.cli_export import add_export

    add_export(commands)


def _add_crop(command: argparse.ArgumentParser) -> None:
    command.add_argument("--crop", action="store_true", help="the scan is the box around one side")
    command.add_argument("--side", choices=("left", "right"), help="of the crop")


def _add_folders(command: argparse.ArgumentParser) -> None:
    data = os.environ.get(DATA, "../shared/data")
    command.add_argument("--data", type=Path, default=Path(data), metavar="DIR", help=f"or {DATA}")
    command.add_argument("--runs", type=Path, default=Path("runs/unet"), metavar="DIR")


def run_draft(chosen: argparse.Namespace) -> int:
    """Draft a report, write its files and print it."""
    from assistant.output import now, write_draft, written_whole
    from assistant.pipeline import STEPS, Assistant, Segmented
    from assistant.report import Report
    from assistant.settings import Settings
    from assistant.study import read_study

    settings = Settings(exam=chosen.exam, language=chosen.language)
    assistant = Assistant.from_settings(settings)
    words = assistant.phrasebook.steps
    with written_whole(chosen.output) as folder, _bar(len(STEPS) + 1, words["read"]) as bar:
        study = read_study(chosen.study, series=chosen.series)
        segmented: Segmented | None = None
        report: Report | None = None
        steps = assistant.steps(study)
        for name in STEPS:
            bar.update()
            bar.set_description(words[name])
            step = next(steps)
            segmented = step if isinstance(step, Segmented) else segmented
            report = step if isinstance(step, Report) else report
        assert segmented is not None
        assert report is not None
        write_draft(folder, study, segmented, report, now())
        bar.update()
    print(report.markdown(), end="")
    return OK if _is_measured(report.measurements) else NOTHING_MEASURED


def run_segment(chosen: argparse.Namespace) -> int:
    """Measure without writing a report."""
    from assistant.output import write_labels, write_measurements, written_whole
    from assistant.study import read_study

    side = _side(chosen)
    _expect_nifti(chosen.output)
    assistant = _assistant(chosen.exam)
    folders = {chosen.output.parent, *([chosen.json.parent] if chosen.json else [])}
    for folder in folders:
        with written_whole(folder):
            pass
    with _bar(5, assistant.phrasebook.steps["read"]) as bar:
        study = read_study(chosen.scan, series=chosen.series)
        segmented = _shown_segmentation(assistant, study, side, bar)
        ledger = assistant.measure(study, segmented)
        provenance = assistant.provenance(study.volume, segmented)
        with written_whole(chosen.output.parent) as folder:
            write_labels(folder / chosen.output.name, study.volume, segmented)
        if chosen.json:
            with written_whole(chosen.json.parent) as folder:
                write_measurements(folder / chosen.json.name, ledger, provenance)
        bar.update()
    print("DRAFT. " + DISCLAIMER)
    for record in ledger.records:
        print(_one_line(record))
    return OK if _is_measured(ledger.records) else NOTHING_MEASURED


def run_evaluate(chosen: argparse.Namespace) -> int:
    """Compare a folder of scans with an expert's labels."""
    from assistant.evaluation import evaluate, pairs, summary
    from assistant.output import written_whole

    assistant = _assistant(chosen.exam)
    matched = pairs(chosen.images, chosen.labels)
    if chosen.split:
        wanted = set(_validation_ids(chosen.split))
        matched = [pair for pair in matched if _number(pair[0].name) in wanted]
    evaluated = list(_shown(evaluate(assistant, matched, _side(chosen)), len(matched), "Scans"))
    groups = [_subject(case.name) if chosen.split else case.name for case in evaluated]
    table = summary(evaluated, groups, assistant)
    if chosen.json:
        with written_whole(chosen.json.parent) as folder:
            (folder / chosen.json.name).write_text(json.dumps(table, indent=1) + "\n")
    for row in table["metrics"]:
        print(
            f"{row['structure']:32s} {row['quantity']:32s} {row['mean']:8.3f}"
            f"  ({row['lower']:.3f} to {row['upper']:.3f}, n = {row['n']})"
        )
    for row in table["coverage"]:
        print(
            f"{row['structure']:32s} coverage, {row['stratum']:22s} {row['coverage_mean']:8.3f}"
            f"  (accepted {row['band_lower']:.3f} to {row['band_upper']:.3f}, n = {row['n']},"
            f" relative width {row['width_mean']:.3f})"
        )
    return OK


def run_train(chosen: argparse.Namespace) -> int:
    """Train every network of a plan, or go on where it was interrupted."""
    from segment.models.unet.train import TrainingPlan, train

    share, shares = chosen.share
    plan = TrainingPlan.read(chosen.config or _shipped_plan())
    progress = train(plan, chosen.data, chosen.runs, share=share - 1, shares=shares)
    for step in progress:
        print(f"{step.run} epoch {step.epoch}/{step.epochs} loss {step.loss:.4f}", flush=True)
    return OK


def run_calibrate(chosen: argparse.Namespace) -> int:
    """Fit temperature and intervals on cases that the networks never saw."""
    from segment import organs
    from segment.crossfit import crossfit
    from segment.models.unet.train import TrainingPlan

    plan = TrainingPlan.read(chosen.config or _shipped_plan())
    steps = crossfit(plan, organs.load("hippocampus"), chosen.data, chosen.runs, chosen.output)
    with ExitStack() as bars:
        shown = ""
        for step in steps:
            if step.step != shown:
                bars.close()
                bar = bars.enter_context(_bar(step.of, step.step))
                shown = step.step
            bar.update()
    print(f"wrote {chosen.output}")
    return OK


def run_verify(chosen: argparse.Namespace) -> int:
    """Check a report.json again, line by line."""
    from assistant.verify import verify_report
    from segment.errors import Refusal, ScanError

    name = chosen.report.name
    try:
        table = json.loads(chosen.report.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{name}: expected a report.json, found no readable JSON; give another file"
        raise ScanError(Refusal.UNREADABLE, msg) from error
    if not isinstance(table, dict):
        msg = f"{name}: expected a report.json, found JSON that is no table; give another file"
        raise ScanError(Refusal.UNREADABLE, msg)
    problems = verify_report(table)
    for problem in problems:
        print(problem)
    lines = table.get("lines")
    count = len(lines) if isinstance(lines, list) else 0
    print(f"{name}: {count} lines, {len(problems)} problems")
    return DOES_NOT_HOLD if problems else OK


def run_list(chosen: argparse.Namespace) -> int:
    """List everything that can be chosen, with the figures of its card."""
    del chosen
    import prompts
    from assistant import exams, exports, writers
    from segment import models, organs

    for title, names in (
        ("exams", exams.available()),
        ("organs", organs.available()),
        ("models", models.available()),
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


def _without_folders(error: OSError) -> str:
    """Say what is wrong with a file by its name alone: a path above it can name a patient."""
    if error.filename is None:
        return str(error)
    return f"{Path(os.fsdecode(error.filename)).name}: {error.strerror}; give another file"


def _assistant(exam: str) -> "Assistant":
    from assistant.pipeline import Assistant
    from assistant.settings import Settings

    return Assistant.from_settings(Settings(exam=exam))


def _shown_segmentation(
    assistant: "Assistant", study: "Study", side: Side, bar: "tqdm[NoReturn]"
) -> "Segmented":
    """Segment a head or a crop, with the step's name on the bar."""
    from assistant.pipeline import STEPS, Segmented

    words = assistant.phrasebook.steps
    if side is not None:
        bar.set_description(words["segment"])
        return assistant.crop(study, side)
    for name, step in zip(STEPS, assistant.steps(study), strict=False):
        bar.update()
        bar.set_description(words[name])
        if isinstance(step, Segmented):
            return step
    raise AssertionError("the steps of a study hold its segmentation")


def _side(chosen: argparse.Namespace) -> Side:
    """Return the side of a crop; the two options need each other."""
    from segment.errors import Refusal, ScanError

    if chosen.crop != (chosen.side is not None):
        msg = "--crop and --side belong together; give both for the box around one side, or none"
        raise ScanError(Refusal.BAD_OPTION, msg)
    side: Side = chosen.side
    return side


def _expect_nifti(path: Path) -> None:
    from segment.errors import Refusal, ScanError

    if not path.name.endswith((".nii.gz", ".nii")):
        msg = f"{path.name}: labels are written as NIfTI; give a name that ends in .nii.gz"
        raise ScanError(Refusal.BAD_OPTION, msg)


def _is_measured(records: Iterable["Measurement"]) -> bool:
    return any(record.reason is None for record in records)


def _one_line(record: "Measurement") -> str:
    """Write one record for the terminal."""
    side = "" if record.side == "none" else f"{record.side} "
    label = f"{record.id} {side}{record.structure}, {record.quantity}"
    if record.reason is not None:
        return f"{label}: {record.reliability} ({record.reason})"
    interval = record.interval
    assert interval is not None
    return (
        f"{label}: {record.value:.2f} {record.unit}"
        f" ({interval.coverage:.0%} prediction interval {interval.lower:.2f} to"
        f" {interval.upper:.2f} {record.unit})"
    )


def _validation_ids(path: Path) -> list[int]:
    """Read the ids of a split file's validation cases."""
    from segment.errors import Refusal, ScanError

    table = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(table, dict) or not isinstance(table.get("val"), list):
        msg = f"{path.name}: expected a split with a list of ids named val, found none; add it"
        raise ScanError(Refusal.BAD_OPTION, msg)
    ids: list[int] = table["val"]
    return ids


def _share(text: str) -> tuple[int, int]:
    """Read K/N; raises argparse's error where it is not that."""
    share, _, shares = text.partition("/")
    if share.isdecimal() and shares.isdecimal() and 1 <= int(share) <= int(shares):
        return int(share), int(shares)
    msg = f"a share is K/N with K from 1 to N, such as 1/2, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _subject(name: str) -> str:
    """Return the subject of a case of the training data: ids 2k-1 and 2k are one head."""
    return str((_number(name) + 1) // 2)


def _number(name: str) -> int:
    """Return the number in a file's name."""
    return int("".join(character for character in name if character.isdigit()) or 0)


def _shipped_plan() -> Path:
    from importlib.resources import files

    return Path(str(files("segment.models.unet").joinpath("train.toml")))


def _bar(total: int, description: str) -> "tqdm[NoReturn]":
    """Show a bar on standard error, if somebody is looking."""
    from tqdm import tqdm

    return tqdm(total=total, desc=description, disable=None, bar_format="{desc} |{bar}| {elapsed}")


def _shown(items: Iterator[T], total: int, description: str) -> Iterator[T]:
    bar = _bar(total, description)
    for item in items:
        bar.update()
        yield item
    bar.close()


if __name__ == "__main__":
    sys.exit(main())
