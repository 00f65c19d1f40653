"""The command ``voxcite deidentify``: a series in, the same without its patient out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import OK, shown

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands
    from segment.reading.pseudonym import Pseudonyms


def add_deidentify(commands: "Commands") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "deidentify", help="take the patient out of a DICOM series (PS3.15 Basic Profile)"
    )
    command.add_argument("series", type=Path, help="DICOM file or folder")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help="the secret that new identifiers follow from; made where it is missing. Without it"
        " every run gives other ones. Who has it and the original can link the two",
    )
    command.set_defaults(run=run_deidentify)


def run_deidentify(chosen: argparse.Namespace) -> int:
    """Write every file without its patient, all of them or none."""
    from assistant.deidentify import deidentified_files, dicom_files
    from assistant.written import written_whole
    from segment.errors import Refusal, ScanError

    files = dicom_files(chosen.series)
    if chosen.output.is_dir() and any(chosen.output.iterdir()):
        msg = "expected an empty folder to write to, found files, of which some can name a patient"
        raise ScanError(Refusal.OUTPUT, f"{msg}; give a new one")
    pseudonyms, is_new = _pseudonyms(chosen.key)
    unclear = 0
    with written_whole(chosen.output) as folder:
        cleaned = deidentified_files(files, pseudonyms)
        for made in shown(cleaned, len(files), "De-identifying"):
            (folder / made.name).write_bytes(made.content)
            unclear += not made.is_clear
        if is_new:
            _keep(chosen.key, pseudonyms)
    print(f"wrote {len(files)} files without their patient")
    if unclear:
        print(f"{unclear} of them do not say that no text is burnt into their pixels: look at them")
    print("pixels are unchanged: from a scan of the head a face can be drawn")
    return OK


def _pseudonyms(key: Path | None) -> "tuple[Pseudonyms, bool]":
    """Return the identifiers of a key, and whether it has to be written yet."""
    from assistant.deidentify import new_pseudonyms, read_key

    if key is None:
        return new_pseudonyms(), False
    if key.exists():
        return read_key(key), False
    return new_pseudonyms(), True


def _keep(key: Path, pseudonyms: "Pseudonyms") -> None:
    """Write the key, or refuse before the files of a lost one stand anywhere."""
    from assistant.deidentify import write_key
    from segment.errors import Refusal, ScanError
    from segment.reading import file_name

    try:
        write_key(key, pseudonyms)
    except OSError as error:
        msg = (
            f"{file_name(key)}: expected a place for the key, found {error.strerror}; give another"
        )
        raise ScanError(Refusal.OUTPUT, msg) from error
