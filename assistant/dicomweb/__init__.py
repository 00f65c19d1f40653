"""DICOMweb (PS3.18): finds studies on a server, fetches them as files and stores objects there.

Interprets no picture and draws up nothing. A process with limits (``child``) talks to the server.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from assistant.dicomweb.address import Address, is_address
from segment.errors import Refusal, ScanError
from segment.reading.sandbox import environment
from segment.reading.source import file_bytes

__all__ = ["Address", "FoundStudy", "fetch", "fetched", "find", "is_address", "store"]
MOST_FOUND = 200
FIND_S, TRANSFER_S = 120, 3600
COMMAND = ("-m", "assistant.dicomweb.child")
PACKAGE = "dicomweb_client"
COSTLY = "expected an answer of some size, found one that takes too much memory; ask for less"


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
    """Search a server for studies (QIDO-RS), the newest first; raises ScanError.

    ``date`` is a day or a range as DICOM writes it: 20240101-20241231. More than ``MOST_FOUND``
    are refused: a server need not send the newest first.
    """
    wanted = {"ModalitiesInStudy": modality, "PatientID": patient_id, "StudyDate": date}
    filters = {name: value for name, value in wanted.items() if value}
    request = {"root": Address.of(root).root, "filters": filters, "most": MOST_FOUND + 1}
    found = _ask("find", FIND_S, request)
    if len(found) > MOST_FOUND:
        msg = f"expected at most {MOST_FOUND} studies, found more; ask for fewer, as by --date"
        raise ScanError(Refusal.TOO_LARGE, msg)
    return tuple(FoundStudy(**{**one, "modalities": tuple(one["modalities"])}) for one in found)


def fetch(address: Address, folder: Path) -> int:
    """Retrieve a study or series (WADO-RS) as files into an empty folder; say how many.

    Raises ScanError.
    """
    if address.study is None:
        msg = "expected the address of a study or series, found that of a server; add /studies/UID"
        raise ScanError(Refusal.BAD_OPTION, msg)
    return int(_ask("fetch", TRANSFER_S, {**vars(address), "folder": str(folder)}))


@contextmanager
def fetched(text: str) -> Iterator[Path]:
    """Fetch the study or series at an address into a folder that is removed afterwards."""
    with TemporaryDirectory(prefix="voxcite-") as temporary:
        fetch(Address.of(text), Path(temporary))
        yield Path(temporary)


def store(root: str, files: Sequence[Path]) -> int:
    """Store DICOM files on a server (STOW-RS); say how many it took. Raises ScanError."""
    for path in files:
        file_bytes(path)
    request = {"root": Address.of(root).root, "files": [str(path) for path in files]}
    return int(_ask("store", TRANSFER_S, request))


def _ask(job: str, wall_s: int, request: dict[str, Any]) -> Any:  # noqa: ANN401  what JSON holds
    """Let the process do a job; raises ScanError for what went wrong there."""
    if find_spec(PACKAGE) is None:
        raise ModuleNotFoundError(name=PACKAGE)
    done = subprocess.run(
        [sys.executable, "-P", *COMMAND],
        input=json.dumps({"job": job, "wall_s": wall_s, **request}).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # warnings quote what was sent
        env=environment(),
        check=False,
    )
    if done.returncode == -signal.SIGALRM:
        msg = f"expected the server to be done within {wall_s} s, found it still busy; ask for less"
        raise ScanError(Refusal.SERVER, msg)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise ScanError(Refusal.TOO_COSTLY, COSTLY) from None
    if answer["sentence"]:
        raise ScanError(Refusal(answer["code"]), answer["sentence"])
    return answer["result"]
