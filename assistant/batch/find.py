"""What a user hands in becomes a plan. Knows no format's inside."""

from pathlib import Path

import prompts
from assistant import exams
from assistant.batch.bids import is_dataset, plan_dataset
from assistant.batch.folder import plan_folder
from assistant.batch.item import Plan, Side
from assistant.batch.table import SUFFIXES, plan_table
from assistant.settings import Settings
from segment.errors import Refusal, ScanError
from segment.reading.source import file_name


def plan(source: Path, settings: Settings | None = None, *, side: Side = None) -> Plan:
    """List the studies of a folder, a BIDS dataset, a DICOM dump or a manifest (CSV, Parquet).

    ``side`` says that every scan is the box around that side. Raises ScanError for what holds no
    study or is no such thing, and ValueError for an unknown exam or language.
    """
    settings = settings or Settings()
    planned = _plan(source, settings, side)
    for exam in {item.exam for item in planned.items} | {settings.exam}:
        exams.load(exam)
    for language in {item.language for item in planned.items} | {settings.language}:
        prompts.load(language)
    if not planned.items:
        msg = f"{file_name(source)}: expected studies, found none; give the folder that holds them"
        raise ScanError(Refusal.EMPTY_FOLDER, msg)
    return planned


def _plan(source: Path, settings: Settings, side: Side) -> Plan:
    name = file_name(source)
    if source.is_file():
        if source.suffix not in SUFFIXES:
            msg = (
                f"{name}: expected a folder or a manifest ({' or '.join(SUFFIXES)}), found another"
                " file; a single study goes to `voxcite draft`"
            )
            raise ScanError(Refusal.BAD_OPTION, msg)
        return plan_table(source, settings, side)
    if not source.is_dir():
        msg = f"{name}: expected a folder or a manifest, found nothing of this name; check it"
        raise ScanError(Refusal.MISSING, msg)
    if is_dataset(source):
        return plan_dataset(source, settings, side)
    return plan_folder(source, settings, exams.load(settings.exam), side)
