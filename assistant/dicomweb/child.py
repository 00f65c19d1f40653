"""The process that talks to a DICOMweb server. Decides nothing.

It is asked once, on standard input, and answers in one line of JSON. What a server sends may take
any memory and time: this process takes some and no more, and what libraries print goes nowhere.
"""

import json
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dicomweb_client.api import DICOMwebClient

from assistant.dicomweb.connection import PROBLEMS, explained, session
from assistant.dicomweb.parts import boundary_of, write_parts
from segment.errors import Refusal, ScanError
from segment.reading.child import limit_memory, take_standard_output
from segment.reading.deidentify import kept

AS_IT_IS = 'multipart/related; type="application/dicom"; transfer-syntax=*'
MEMORY_BYTES = 2**31
CHUNK_BYTES = 2**18
DATE, DESCRIPTION = "00080020", "00081030"
MODALITIES, STUDY_UID = "00080061", "0020000D"
LONGEST_TEXT = 64
WORD = re.compile(r"[A-Za-z0-9_]+")
FORMS = {
    STUDY_UID: re.compile(r"[0-9.]{1,64}"),
    DATE: re.compile(r"\d{8}"),
    MODALITIES: re.compile(r"[A-Z0-9_ ]{1,16}"),
}


def main() -> None:
    """Answer the one request that stands on standard input."""
    request = json.loads(sys.stdin.buffer.readline())
    out = take_standard_output()
    limit_memory(MEMORY_BYTES)
    signal.alarm(request["wall_s"])
    answer: dict[str, Any] = {"code": "", "sentence": "", "result": None}
    try:
        with explained():
            answer["result"] = JOBS[request["job"]](request)
    except ScanError as error:
        answer |= {"code": str(error.code), "sentence": str(error)}
    out.write(json.dumps(answer).encode())
    out.flush()


def _find(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Search for studies (QIDO-RS); one whose identifier is none is left out."""
    found = _client(request["root"]).search_for_studies(
        search_filters=request["filters"],
        fields=[MODALITIES, DESCRIPTION],
        limit=request["most"],
    )
    studies = (_study(item) for item in found)
    return sorted(
        (study for study in studies if study["uid"]),
        key=lambda study: (study["date"], study["uid"]),
        reverse=True,
    )


def _study(item: Mapping[str, Any]) -> dict[str, Any]:
    """Read one study of an answer in DICOM's JSON; what has no proper form is left empty."""

    def values(tag: str) -> list[str]:
        return [str(value) for value in item.get(tag, {}).get("Value", ())]

    def formed(tag: str) -> list[str]:
        return [value for value in values(tag) if FORMS[tag].fullmatch(value)]

    text = " ".join(known_words(" ".join(values(DESCRIPTION))))
    return {
        "uid": "".join(formed(STUDY_UID)[:1]),
        "date": "".join(formed(DATE)[:1]),
        "modalities": formed(MODALITIES),
        "description": text[:LONGEST_TEXT],
    }


def known_words(text: str) -> list[str]:
    """List the words of a free text that are terms of imaging: any other can be a patient's name.

    They are those that a de-identified file keeps.
    """
    words = WORD.findall(text)
    return [word for word in words if len(word) > 1 and word.upper() in kept().vocabulary]


def _fetch(request: dict[str, Any]) -> int:
    """Write each object of a study or series (WADO-RS) under a number."""
    path = f"/studies/{request['study']}"
    if request["series"] is not None:
        path += f"/series/{request['series']}"
    wanted = {"Accept": AS_IT_IS}
    with session().get(request["root"] + path, headers=wanted, stream=True) as answer:
        answer.raise_for_status()
        boundary = boundary_of(answer.headers.get("Content-Type", ""))
        count = write_parts(answer.iter_content(CHUNK_BYTES), boundary, Path(request["folder"]))
    if count == 0:
        raise ScanError(Refusal.SERVER, PROBLEMS[404])
    return count


def _store(request: dict[str, Any]) -> int:
    """Store files (STOW-RS)."""
    from pydicom import dcmread

    objects = [dcmread(path) for path in request["files"]]
    answer = _client(request["root"]).store_instances(objects)
    taken = len(answer.get("ReferencedSOPSequence") or ())
    if answer.get("FailedSOPSequence") or taken < len(objects):
        raise ScanError(Refusal.SERVER, PROBLEMS[409])
    return taken


def _client(root: str) -> DICOMwebClient:
    client = DICOMwebClient(root, session=session())
    client.set_http_retry_params(retry=False)
    return client


JOBS = {"find": _find, "fetch": _fetch, "store": _store}

if __name__ == "__main__":
    main()
