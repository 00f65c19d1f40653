"""A series without its patient, and a report that names nobody. Decides no tag's fate itself."""

import json
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assistant.report import Report
from segment.errors import Refusal, ScanError
from segment.reading import file_kind, file_name, list_files
from segment.reading.pseudonym import SECRET_BYTES, Pseudonyms
from segment.reading.sandbox import answers
from segment.reading.source import file_bytes

KEY_VERSION = 1
LARGEST_KEY_BYTES = 1024


@dataclass(frozen=True)
class Deidentified:
    """One file without its patient; ``is_clear`` where it says that nothing is burnt in."""

    name: str
    content: bytes
    is_clear: bool


def dicom_files(source: Path) -> tuple[Path, ...]:
    """List the DICOM files of a folder, or the one file; raises ScanError where there is none."""
    name = file_name(source)
    if os.path.isdir(source):  # noqa: PTH112  pathlib's raises on a name that is too long
        files = tuple(path for path in list_files(source) if file_kind(path) == "dicom")
    else:
        file_bytes(source)
        files = (source,) if file_kind(source) == "dicom" else ()
    if not files:
        msg = f"{name}: expected DICOM files, found none; give the folder of a series"
        raise ScanError(Refusal.EMPTY_FOLDER, msg)
    return files


def deidentified_files(files: Sequence[Path], pseudonyms: Pseudonyms) -> Iterator[Deidentified]:
    """Yield each file without its patient, under a number in the place of its name.

    Raises ScanError for the first file of which it cannot be told where the patient stands.
    """
    items = [{"path": str(path), "secret": pseudonyms.secret.hex()} for path in files]
    digits = len(str(len(files)))
    for number, answer in enumerate(answers("deidentify", items, files), start=1):
        name = f"image_{number:0{digits}}.dcm"
        yield Deidentified(name, answer.content, answer.said.get("is_clear") is True)


def new_pseudonyms() -> Pseudonyms:
    """Make a secret that nobody has."""
    return Pseudonyms(secrets.token_bytes(SECRET_BYTES))


def read_key(path: Path) -> Pseudonyms:
    """Read a key file; raises ScanError where it is none."""
    name = file_name(path)
    try:
        table = json.loads(path.read_bytes()) if file_bytes(path) <= LARGEST_KEY_BYTES else {}
        if table["version"] != KEY_VERSION:
            raise KeyError("version")
        return Pseudonyms(bytes.fromhex(table["secret"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, ScanError):
            raise
        msg = f"{name}: expected a key of `voxcite deidentify`, found none; give the right file"
        raise ScanError(Refusal.UNREADABLE, msg) from error


def write_key(path: Path, pseudonyms: Pseudonyms) -> None:
    """Write a key file that its owner alone can read; raises OSError where one is there."""
    table = {"version": KEY_VERSION, "secret": pseudonyms.secret.hex()}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(json.dumps(table) + "\n")


def without_people(report: Report) -> Report:
    """Return a report without dates of the examination; raises ScanError where people wrote in it.

    A quotation, a sentence edited by hand and a signature can name anybody: they are refused and
    not searched for names.
    """
    if report.signed_by is not None:
        _refuse("a signature", "export the draft before it is signed")
    for line in report.lines:
        if line.origin == "quoted":
            _refuse("a quotation of others", "draft without it")
        if line.origin == "edited by":
            _refuse("a sentence edited by hand", "export the draft as it was written")
    if "changed" in report.provenance:
        _refuse("changes with names", "export the draft as it was written")
    if any(
        record.date and record.date in line.text
        for record in report.measurements
        for line in report.lines
    ):
        _refuse("a date in a sentence", "draft without the earlier study")
    records = tuple(replace(record, date=None) for record in report.measurements)
    return replace(report, measurements=records)


def _refuse(found: str, advice: str) -> None:
    msg = f"expected a report that no person wrote in, found {found}; {advice}"
    raise ScanError(Refusal.NOT_ANONYMOUS, msg)
