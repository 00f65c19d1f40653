"""The command ``voxcite draft``: shows the steps, writes the files, prints. Decides nothing."""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import (
    NOTHING_MEASURED,
    OK,
    SERIES_HELP,
    STUDY_HELP,
    add_writer,
    bar_of,
    is_measured,
    prepare,
    settings_of,
    stepped,
)

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands


def add_draft(commands: "Commands") -> None:
    """Describe the command."""
    draft = commands.add_parser("draft", help="draft the report of a study")
    draft.add_argument("study", help=STUDY_HELP)
    draft.add_argument("--exam", default="hippocampus")
    draft.add_argument("--language", default="en", help="en or zh")
    draft.add_argument("--series", help=SERIES_HELP)
    draft.add_argument("-o", "--output", type=Path, default=Path("drafts"), metavar="DIR")
    add_writer(draft)
    draft.set_defaults(run=run_draft)


def run_draft(chosen: argparse.Namespace) -> int:
    """Draft a report, write its files and print it."""
    from assistant.output import now, write_draft, written_whole
    from assistant.pipeline import STEPS, Assistant, Segmented
    from assistant.report import Report
    from assistant.study import read_study

    assistant = Assistant.from_settings(settings_of(chosen, chosen.exam, chosen.language))
    words = assistant.phrasebook.steps
    with ExitStack() as shown:
        folder = shown.enter_context(written_whole(chosen.output))
        prepare(assistant)
        bar = shown.enter_context(bar_of(len(STEPS) + 1, words["read"]))
        study = read_study(chosen.study, series=chosen.series)
        segmented: Segmented | None = None
        report: Report | None = None
        for step in stepped(assistant.steps(study), bar, words):
            segmented = step if isinstance(step, Segmented) else segmented
            report = step if isinstance(step, Report) else report
        assert segmented is not None
        assert report is not None
        write_draft(folder, study, segmented, report, now())
    print(report.markdown(), end="")
    return OK if is_measured(report.measurements) else NOTHING_MEASURED
