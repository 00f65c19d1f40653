"""The command ``voxcite draft``: shows the steps, writes the files, prints. Decides nothing."""

import argparse
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import (
    NOTHING_MEASURED,
    OK,
    SERIES_HELP,
    STUDY_HELP,
    add_effort,
    add_intervals,
    add_reader,
    add_runtime,
    add_writer,
    bar_of,
    is_measured,
    prepare,
    segmentation_of,
    settings_of,
    stepped,
    with_intervals,
)
from assistant.settings import DEFAULT_EXAM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assistant.cli.terminal import Commands
    from assistant.exams import Exam
    from assistant.referral import Referral
    from assistant.study import Study


def add_draft(commands: "Commands") -> None:
    """Describe the command."""
    draft = commands.add_parser("draft", help="draft the report of a study")
    draft.add_argument("study", help=STUDY_HELP)
    draft.add_argument("--exam", default=DEFAULT_EXAM)
    draft.add_argument("--language", default="en", help="en or zh")
    draft.add_argument("--series", help=SERIES_HELP)
    draft.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="NAME=SERIES",
        help="what a series is (T1, T1c, T2, FLAIR, CT, PET): its number in the study, or a file or"
        " folder; default: what headers and names say; may be given once for each",
    )
    draft.add_argument("-o", "--output", type=Path, default=Path("drafts"), metavar="DIR")
    draft.add_argument("--indication", default="", metavar="TEXT", help="quoted in the report")
    draft.add_argument("--clinical-question", default="", metavar="TEXT", help="quoted as well")
    draft.add_argument("--prior-report", type=Path, metavar="FILE", help="plain text, quoted too")
    draft.add_argument(
        "--segmentation",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="labels of this scan that somebody else made (NIfTI or DICOM SEG), for an exam that"
        " draws none, such as ct-organs; for follow-up the lesions of the study, then again those"
        " of each --prior in their order",
    )
    draft.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="what the labels mean (CSV: value,name,structure,side); default: the names in the"
        " file, else TotalSegmentator's",
    )
    draft.add_argument(
        "--resample",
        action="store_true",
        help="take the nearest label where the segmentation lies on another grid",
    )
    _add_priors(draft)
    add_writer(draft)
    draft.add_argument(
        "--weights", metavar="FOLDER", help="what `voxcite calibrate` wrote; default: the shipped"
    )
    draft.add_argument(
        "--repeatability",
        metavar="FILE",
        help="what `voxcite repeatability` wrote of your own visits; default: the shipped, of"
        " simulated ones",
    )
    add_intervals(draft)
    add_runtime(draft)
    add_effort(draft)
    add_reader(draft)
    draft.set_defaults(run=run_draft)


def _add_priors(draft: argparse.ArgumentParser) -> None:
    """Take the options of a comparison with earlier studies."""
    draft.add_argument(
        "--prior",
        action="append",
        default=[],
        metavar="STUDY",
        help="an earlier study of the same patient to compare with; may be given several times",
    )
    draft.add_argument(
        "--date",
        action="append",
        default=[],
        metavar="YYYY-MM-DD",
        help="of the study, then of each --prior in their order; default: what the files say",
    )
    draft.add_argument(
        "--same-patient",
        action="store_true",
        help="the priors are of the same patient though their identifiers differ",
    )


def referral_of(chosen: argparse.Namespace) -> "Referral":
    """Gather what others wrote about the study."""
    from assistant.referral import Referral, read_prior_report

    prior = "" if chosen.prior_report is None else read_prior_report(chosen.prior_report)
    return Referral(chosen.indication, chosen.clinical_question, prior)


def with_segmentations(
    studies: "Sequence[Study]", exam: "Exam", chosen: argparse.Namespace
) -> "Iterator[Study]":
    """Read the segmentations that were given, in the order of the studies, each onto its grid."""
    from segment.errors import Refusal, ScanError

    is_marked = exam.compares == "lesions"
    files, most = chosen.segmentation, len(studies) if is_marked else 1
    if len(files) > most:
        msg = f"--segmentation: expected at most {most}, found {len(files)}; give one a study"
        raise ScanError(Refusal.BAD_OPTION, msg)
    for study, path in zip_longest(studies, files):
        asked = argparse.Namespace(**{**vars(chosen), "segmentation": path})
        is_skipped = path is None and bool(files)
        grid = study.volume.geometry
        mask = None if is_skipped else segmentation_of(asked, grid, is_marked=is_marked)
        yield replace(study, mask=mask)


def run_draft(chosen: argparse.Namespace) -> int:
    """Draft a report, write its files and print it."""
    from assistant.followup import Placed, all_dated
    from assistant.output import write_draft
    from assistant.pipeline import Assistant
    from assistant.report import Report
    from assistant.roles import parsed
    from assistant.steps import STEPS, Segmented
    from assistant.study import read_study
    from assistant.written import now, written_whole

    referral = referral_of(chosen)
    settings = settings_of(chosen, chosen.exam, chosen.language, chosen.runtime)
    settings = replace(settings, effort=chosen.effort, repeatability=chosen.repeatability)
    assistant = Assistant.from_settings(with_intervals(settings, chosen))
    words = assistant.phrasebook.steps
    with ExitStack() as shown:
        folder = shown.enter_context(written_whole(chosen.output))
        prepare(assistant)
        bar = shown.enter_context(bar_of(len(STEPS) + 1, words["read"]))
        exam = assistant.exam
        read_of = partial(read_study, modality=exam.modality)
        measures, roles = exam.measures, parsed(chosen.role)
        study = read_of(chosen.study, series=chosen.series, measures=measures, roles=roles)
        study = replace(study, referral=referral)
        measures = measures if study.role is None else (study.role, *measures)
        read = (study, *(read_of(prior, measures=measures) for prior in chosen.prior))
        read = tuple(with_segmentations(read, exam, chosen))
        study, *priors = all_dated(read, chosen.date)
        steps = assistant.steps(study, priors=priors, same_patient=chosen.same_patient)
        segmented: Segmented | None = None
        report: Report | None = None
        placed: list[Placed] = []
        for step in stepped(steps, bar, words):
            segmented = step if isinstance(step, Segmented) else segmented
            report = step if isinstance(step, Report) else report
            placed += [step] if isinstance(step, Placed) else []
        assert segmented is not None
        assert report is not None
        write_draft(folder, study, segmented, report, now(), placed)
    print(report.markdown(), end="")
    return OK if is_measured(report.measurements) else NOTHING_MEASURED
