"""DICOMweb (PS3.18): finds studies on a server, fetches them as files and stores objects there.

Interprets no picture and draws up nothing. What a server sends is parsed in a process with limits.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from assistant.dicomweb.address import Address, is_address
from segment.errors import Refusal, ScanError

__all__ = ["Address", "FoundStudy", "fetch", "fetched", "find", "is_address", "store"]
MOST_FOUND = 200
DATE, DESCRIPTION = "00080020", "00081030"
MODALITIES, STUDY_UID = "00080061", "0020000D"
COMMAND = ("-m", "assistant.dicomweb.fetching")


@dataclass(frozen=True)
class FoundStudy:
    """What a server says of a study, without who the patient is; empty where it says nothing."""

    uid: str
    date: str
    modalities: tuple[str, ...]
    description: str


def find(
    root: str, *, modality: str = "", patient_id: str = "", date: str = ""
) -> tuple[FoundStudy, ...]:
    """Search a server for studies (QIDO-RS), the newest first.

    ``date`` is a day or a range as DICOM writes it: 20240101-20241231. Raises ScanError.
    """
    from assistant.dicomweb.connection import connect, explained

    wanted = {"ModalitiesInStudy": modality, "PatientID": patient_id, "StudyDate": date}
    with explained():
        found = connect(Address.of(root).root).search_for_studies(
            search_filters={name: value for name, value in wanted.items() if value},
            fields=[MODALITIES, DESCRIPTION],
            limit=MOST_FOUND,
        )
        studies = [_found(item) for item in found]
    return tuple(sorted(studies, key=lambda study: (study.date, study.uid), reverse=True))


def fetch(address: Address, folder: Path) -> int:
    """Retrieve a study or series (WADO-RS) as files into a folder that is there; say how many.

    Raises ScanError.
    """
    if address.study is None:
        msg = "expected the address of a study or series, found that of a server; add /studies/UID"
        raise ScanError(Refusal.BAD_OPTION, msg)
    request = {**vars(address), "folder": str(folder)}
    done = subprocess.run(
        [sys.executable, "-P", *COMMAND],
        input=json.dumps(request).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # warnings quote what was sent
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
        count, code, sentence = answer["count"], answer["code"], answer["sentence"]
    except (ValueError, TypeError, KeyError):
        msg = "expected objects of DICOM, found what takes too much to read; fetch a single series"
        raise ScanError(Refusal.TOO_COSTLY, msg) from None
    if sentence:
        raise ScanError(Refusal(code), sentence)
    return int(count)


@contextmanager
def fetched(text: str) -> Iterator[Path]:
    """Fetch the study or series at an address into a folder that is removed afterwards."""
    with TemporaryDirectory(prefix="voxcite-") as temporary:
        fetch(Address.of(text), Path(temporary))
        yield Path(temporary)


def store(root: str, files: Sequence[Path]) -> int:
    """Store DICOM files on a server (STOW-RS); say how many it took. Raises ScanError."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    from assistant.dicomweb.connection import PROBLEMS, connect, explained

    try:
        objects = [dcmread(path) for path in files]
    except InvalidDicomError as error:
        msg = "expected DICOM files to store, found another; export --to dicom_sr,dicom_seg"
        raise ScanError(Refusal.UNREADABLE, msg) from error
    with explained():
        answer = connect(Address.of(root).root).store_instances(objects)
    taken = len(answer.get("ReferencedSOPSequence") or ())
    if answer.get("FailedSOPSequence") or taken < len(objects):
        raise ScanError(Refusal.SERVER, PROBLEMS[409])
    return taken


def _found(item: Mapping[str, Any]) -> FoundStudy:
    """Read one study of an answer in DICOM's JSON."""

    def values(tag: str) -> tuple[str, ...]:
        return tuple(str(value) for value in item.get(tag, {}).get("Value", ()))

    date, description = ("".join(values(tag)) for tag in (DATE, DESCRIPTION))
    return FoundStudy(item[STUDY_UID]["Value"][0], date, values(MODALITIES), description)
