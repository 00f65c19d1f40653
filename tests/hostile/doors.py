"""The doors through which a hostile input comes: how each takes one, and what it says to it.

Each prints one line for a refusal, ``voxcite: SENTENCE [CODE]``, as the command line does.
"""

import asyncio
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.hostile.case import ANY, Case
from tests.loopback import answering, in_parts

REFUSED, HELD, DOES_NOT_HOLD, BROKEN = 2, 0, 1, 99
TOKEN, BASE = "a" * 43, "http://127.0.0.1:7860"
BOUNDARY = "no-hostile-file-holds-this"
KIND = f"multipart/related; type=application/dicom; boundary={BOUNDARY}"
STUDY = "1.2.826.0.1.3680043.8.498.4711"


@dataclass(frozen=True)
class Door:
    """A way in: which inputs can come through it, what each is refused with, how it is given."""

    takes: Callable[[Case, Path], bool]
    code: Callable[[Case, Path], str | None]
    give: Callable[[Case, Path, Path], int]


def refuse(code, sentence):
    sys.stdout.write(f"voxcite: {sentence} [{code}]\n")
    return REFUSED


def by_command(case, path, out):
    """Run the command that a case is for; one that is to be read is read alone."""
    from assistant.cli import main
    from assistant.study import read_study

    if case.command == "verify":
        return main(["verify", str(path)])
    if case.command == "deidentify":
        return main(["deidentify", str(path), "-o", str(out)])
    if case.code is None:
        sys.stdout.write(repr(read_study(path)))
        return HELD
    return main(["draft", "--writer", "template", "-o", str(out), "--", str(path)])


def by_python(case, path, out):
    """Call the library as a notebook does."""
    from assistant.deidentify import deidentified_files, dicom_files, new_pseudonyms
    from assistant.study import read_study
    from segment.errors import ScanError

    try:
        if case.command == "deidentify":
            out.mkdir(parents=True)
            for made in deidentified_files(dicom_files(path), new_pseudonyms()):
                (out / made.name).write_bytes(made.content)
        else:
            checked(case, read_study(path))
    except ScanError as error:
        return refuse(error.code, error)
    return HELD


def checked(case, study):
    """Check a scan as the first step of a draft does; one that is to be read is read alone."""
    from assistant.gate import check_head

    if case.code is None:
        sys.stdout.write(repr(study))
    else:
        check_head(study.volume)


@dataclass(frozen=True)
class Checks:
    """Stands for an assistant that takes the first step of a draft and no other."""

    case: Case

    def steps(self, study, *, priors):
        assert not priors
        checked(self.case, study)
        return iter(())


def by_page(case, path, out):
    """Send the files as a browser does, open them, and leave the study to be refused."""
    from assistant.page.server import Options, open_parts
    from assistant.page.work import Workshop

    with TemporaryDirectory(dir=out.parent.parent) as state:
        parts = open_parts(Options(Path(state) / "state"))
        # A cached property: the page asks for no other.
        vars(parts)["workshop"] = Workshop(parts.store, lambda exam, language: Checks(case))
        status = _opened(parts, sent(parts, path))
        parts.close()
    return status


def sent(parts, path):
    """Post files to the page's own route; the answer."""
    import httpx

    from assistant.page.guard import COOKIE
    from assistant.page.server import application

    guard = application(parts, lambda app, parts, language: None)
    files = [("files", (named(path, file), file.read_bytes())) for file in files_of(path)]

    async def send():
        transport = httpx.ASGITransport(app=guard)
        headers = {"cookie": f"{COOKIE}={TOKEN}"}
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
            return await client.post("/upload", files=files)

    return asyncio.run(send())


def _opened(parts, answer):
    """Open what was sent and wait; what the audit trail says is what the page shows."""
    from assistant.page import choosing
    from assistant.page.opening import Opening
    from assistant.page.store import owner_of
    from assistant.referral import Referral

    if answer.status_code != 200:
        return refuse(answer.json()["code"], "the page does not take the files")
    opening, upload = Opening(parts, owner_of(TOKEN), "en"), answer.json()["upload"]
    desk = opening.upload(upload, "hippocampus", None, Referral())
    job = parts.workshop.job(desk.study)
    while not job.is_over:
        job.news(len(job.results), 0.2)
    if job.state == "drafted":
        return HELD
    left = [p.name for p in (*parts.uploads.folder.iterdir(), *desk.folder.iterdir())]
    event = next(e for e in parts.store.events(desk.study) if e.what == "failed")
    code, sentence = event.refusal
    if code == "internal" or {*left} - {choosing.FOLDER, choosing.TABLE} != {"source"}:
        sys.stdout.write(f"{event.written}; left {left}\n")
        return BROKEN
    return refuse(code, sentence)


def by_server(case, path, out):
    """Draft from a DICOMweb server that serves the files as the objects of a study."""
    from assistant.cli import main
    from assistant.study import read_study

    body = in_parts(*(file.read_bytes() for file in files_of(path)), boundary=BOUNDARY)
    with answering(body=body, Content_Type=KIND) as root:
        address = f"{root}/studies/{STUDY}"
        if _code_from_server(case, path) is None:
            sys.stdout.write(repr(read_study(address)))
            return HELD
        return main(["draft", "--writer", "template", "-o", str(out), "--", address])


def files_of(path):
    """List the files of a folder, or the one file."""
    return sorted(path.rglob("*")) if path.is_dir() else [path]


def named(path, file):
    """Say how a browser calls a file: below the folder that was chosen, in valid UTF-8."""
    name = str(file.relative_to(path.parent))
    return name.encode("utf-8", "replace").decode()


def _is_sendable(case, path):
    """Tell whether all are regular files, and there is one: a browser sends nothing else."""
    if case.command != "draft" or len(path.name) > 255 or not path.exists():
        return False
    files = files_of(path)
    return bool(files) and all(stat.S_ISREG(os.lstat(file).st_mode) for file in files)


def _is_dicom(file):
    with file.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _is_served(case, path):
    """Tell whether a server would have it: DICOM, and files of other kinds to stand for the rest.

    What does not begin as DICOM does is refused by that alone, whatever it is.
    """
    if not _is_sendable(case, path):
        return False
    return case.kind == "other files" or any(map(_is_dicom, files_of(path)))


def _code_from_page(case, path):
    is_one_of_folder = path.is_dir() and len(files_of(path)) == 1  # it travels without its folder
    return ANY if is_one_of_folder or case.kind == "discs" else case.code


def _code_from_server(case, path):
    is_whole = case.kind != "discs" and all(map(_is_dicom, files_of(path)))
    return case.code if is_whole else ANY


DOORS = {
    "command line": Door(lambda case, path: True, lambda case, path: case.code, by_command),
    "Python": Door(
        lambda case, path: case.command != "verify", lambda case, path: case.code, by_python
    ),
    "page": Door(_is_sendable, _code_from_page, by_page),
    "DICOMweb": Door(_is_served, _code_from_server, by_server),
}
