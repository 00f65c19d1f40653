"""The command ``voxcite draft``: shows the steps, writes the files, prints. Decides nothing."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import NOTHING_MEASURED, OK, bar_of, is_measured

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands


def add_draft(commands: "Commands") -> None:
    """Describe the command."""
    draft = commands.add_parser("draft", help="draft the report of a study")
    draft.add_argument("study", help="NIfTI file, DICOM folder, zip of one, or the word sample")
    draft.add_argument("--exam", default="hippocampus")
    draft.add_argument("--language", default="en", help="en or zh")
    draft.add_argument("--series", help="number of the DICOM series, where there are several")
    draft.add_argument("-o", "--output", type=Path, default=Path("drafts"), metavar="DIR")
    draft.set_defaults(run=run_draft)


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
    with written_whole(chosen.output) as folder, bar_of(len(STEPS) + 1, words["read"]) as bar:
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
    return OK if is_measured(report.measurements) else NOTHING_MEASURED
