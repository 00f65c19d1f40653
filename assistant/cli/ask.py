"""The command ``voxcite ask``: reads report.json, prints an answer. Decides nothing."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.check import read_table
from assistant.cli.terminal import DOES_NOT_HOLD, OK, add_writer, bar_of, prepare, settings_of

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands


def add_ask(commands: "Commands") -> None:
    """Describe the command."""
    ask = commands.add_parser("ask", help="answer a question about a report, citing its records")
    ask.add_argument("report", type=Path, help="a report.json")
    ask.add_argument("question")
    ask.add_argument("--language", help="of the answer, en or zh; default: that of the question")
    add_writer(ask)
    ask.set_defaults(run=run_ask)


def run_ask(chosen: argparse.Namespace) -> int:
    """Answer a question about a report that holds."""
    from assistant.pipeline import Assistant
    from assistant.report import report_from_json
    from assistant.verify import verify_report
    from assistant.writers.choice import FALLBACK, STATED
    from assistant.writers.questions import language_of

    table = read_table(chosen.report)
    if problems := verify_report(table):
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"{chosen.report.name}: {len(problems)} problems; not asked", file=sys.stderr)
        return DOES_NOT_HOLD
    report = report_from_json(table)
    language = chosen.language or language_of(chosen.question)
    assistant = Assistant.from_settings(settings_of(chosen, report.exam, language))
    prepare(assistant)
    with bar_of(1, assistant.phrasebook.steps["answer"]) as bar:
        answer = assistant.ask(report, chosen.question)
        bar.update()
    if (missed := answer.provenance.get(FALLBACK)) is not None:
        print(f"voxcite: {assistant.phrasebook.phrases[STATED]} [{missed}]", file=sys.stderr)
    print(answer.markdown(), end="")
    return OK
