"""The commands ``voxcite verify`` and ``voxcite export``: read report.json. Decide nothing."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.cli.terminal import DOES_NOT_HOLD, OK

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands
    from assistant.exports.source import Source
    from segment.reading.pseudonym import Pseudonyms


def add_verify(commands: "Commands") -> None:
    """Describe the command."""
    verify = commands.add_parser("verify", help="check every line of a report against its records")
    verify.add_argument("report", type=Path, help="a report.json")
    verify.set_defaults(run=run_verify)


def add_export(commands: "Commands") -> None:
    """Describe the command."""
    export = commands.add_parser("export", help="write a report as PDF, Word, FHIR, ...")
    export.add_argument(
        "report", type=Path, help="a report.json; pictures are taken from beside it"
    )
    export.add_argument(
        "--to",
        required=True,
        metavar="FORMAT[,FORMAT]",
        help="as in: pdf,fhir,dicom_sr,dicom_seg,dicom_pm",
    )
    export.add_argument(
        "--source",
        type=Path,
        metavar="SERIES",
        help="the DICOM folder (or zip) that the report was made from, for what DICOM needs;"
        " segmentation.nii.gz is taken from beside the report",
    )
    export.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: beside the report"
    )
    export.add_argument(
        "--deidentified", action="store_true", help="name no patient, not even in DICOM files"
    )
    export.add_argument(
        "--key", type=Path, metavar="FILE", help="of voxcite deidentify, for de-identified DICOM"
    )
    export.set_defaults(run=run_export)


def run_verify(chosen: argparse.Namespace) -> int:
    """Check a report.json again, line by line."""
    from assistant.verify import verify_report

    table = read_table(chosen.report)
    problems = verify_report(table)
    for problem in problems:
        print(problem)
    lines = table.get("lines")
    count = len(lines) if isinstance(lines, list) else 0
    print(f"{chosen.report.name}: {count} lines, {len(problems)} problems")
    return DOES_NOT_HOLD if problems else OK


def run_export(chosen: argparse.Namespace) -> int:
    """Write a report that holds in each format asked for, all of them or none."""
    from assistant import exports
    from assistant.deidentify import without_people
    from assistant.report import report_from_json
    from assistant.verify import verify_report
    from assistant.written import now, written_whole

    table = read_table(chosen.report)
    source = source_of(chosen)
    loaded = [exports.load(name, source) for name in dict.fromkeys(chosen.to.split(","))]
    if problems := verify_report(table):
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"{chosen.report.name}: {len(problems)} problems; not exported", file=sys.stderr)
        return DOES_NOT_HOLD
    report = report_from_json(table)
    if chosen.deidentified:
        report = without_people(report)
    created = table["created"] or now()
    folder = chosen.output or chosen.report.parent
    pictures = sorted(chosen.report.parent.glob("overlay_*.png"))
    names = []
    with written_whole(folder) as temporary:
        for export in loaded:
            names.append(chosen.report.stem + export.suffix)
            (temporary / names[-1]).write_bytes(export(report, pictures, created))
    print("\n".join(f"wrote {name}" for name in names))
    return OK


def source_of(chosen: argparse.Namespace) -> "Source | None":
    """Say where the scan of a report lies, if that was given."""
    from assistant.exports.source import Source
    from assistant.folder import LABELS

    pseudonyms = _pseudonyms(chosen)
    if chosen.source is None:
        return None
    return Source(chosen.source, chosen.report.parent / LABELS, pseudonyms)


def _pseudonyms(chosen: argparse.Namespace) -> "Pseudonyms | None":
    """Return the identifiers of a key, which the DICOM files of nobody need."""
    from assistant.deidentify import read_key
    from segment.errors import Refusal, ScanError

    if chosen.key is not None and not chosen.deidentified:
        msg = "expected --deidentified with --key, found the key alone; give both or none"
        raise ScanError(Refusal.BAD_OPTION, msg)
    if not chosen.deidentified or chosen.source is None:
        return None
    if chosen.key is None:
        msg = (
            "expected the key of the de-identified series, found none; give --key FILE as to"
            " voxcite deidentify"
        )
        raise ScanError(Refusal.BAD_OPTION, msg)
    return read_key(chosen.key)


def read_table(path: Path) -> dict[str, Any]:
    """Read a report.json without judging it; raises ScanError where it holds no table."""
    from segment.errors import Refusal, ScanError

    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path.name}: expected a report.json, found no readable JSON; give another file"
        raise ScanError(Refusal.UNREADABLE, msg) from error
    if not isinstance(table, dict):
        msg = f"{path.name}: expected a report.json, found JSON that is no table; give another file"
        raise ScanError(Refusal.UNREADABLE, msg)
    return table
