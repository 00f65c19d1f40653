"""The command ``voxcite dicomweb``: finds, fetches and stores on a server. Decides nothing."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.cli.terminal import OK

if TYPE_CHECKING:
    from assistant.cli.terminal import Commands

ROOT_HELP = "as in https://SERVER/dicom-web; names and passwords are taken from ~/.netrc"


def add_dicomweb(commands: "Commands") -> None:
    """Describe the command and its parts."""
    top = commands.add_parser("dicomweb", help="find, fetch and store on a DICOMweb server")
    parts = top.add_subparsers(required=True, metavar="WHAT")
    find = parts.add_parser("find", help="list studies; patients are not named")
    find.add_argument("root", metavar="SERVER", help=ROOT_HELP)
    find.add_argument("--modality", default="", help="that a series of the study has, as in MR")
    find.add_argument("--patient-id", default="", metavar="ID")
    find.add_argument("--date", default="", help="of the study: 20240131 or 20240101-20241231")
    find.set_defaults(run=run_find)
    fetch = parts.add_parser("fetch", help="save the files of a study or series")
    fetch.add_argument("address", help="SERVER/studies/UID, or that with /series/UID")
    fetch.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    fetch.set_defaults(run=run_fetch)
    store = parts.add_parser("store", help="store DICOM files, such as an exported report")
    store.add_argument("root", metavar="SERVER", help=ROOT_HELP)
    store.add_argument("files", type=Path, nargs="+", metavar="FILE")
    store.set_defaults(run=run_store)


def run_find(chosen: argparse.Namespace) -> int:
    """Print a line a study: its date, kinds, description and address."""
    from assistant.dicomweb import Address, find

    root = Address.of(chosen.root).root
    found = find(root, modality=chosen.modality, patient_id=chosen.patient_id, date=chosen.date)
    for study in found:
        kinds = "/".join(study.modalities)
        print(f"{study.date}  {kinds}  {study.description}  {root}/studies/{study.uid}")
    print(f"{len(found)} studies")
    return OK


def run_fetch(chosen: argparse.Namespace) -> int:
    """Fetch into a folder that appears when it is whole."""
    from assistant.dicomweb import Address, fetch
    from assistant.written import written_whole
    from segment.errors import Refusal, ScanError

    address = Address.of(chosen.address)
    if chosen.output.is_dir() and any(chosen.output.iterdir()):
        msg = "expected a new or an empty folder, found one with files; give another with -o"
        raise ScanError(Refusal.OUTPUT, msg)
    with written_whole(chosen.output) as folder:
        count = fetch(address, folder)
    print(f"{count} objects")
    return OK


def run_store(chosen: argparse.Namespace) -> int:
    """Store files."""
    from assistant.dicomweb import store

    print(f"{store(chosen.root, chosen.files)} objects")
    return OK
