"""Names that want to be more than names, and things that are no files."""

import os
import socket

from segment.errors import Refusal
from tests.hostile.case import ANY, Case
from tests.hostile.make import nifti

GOOD = {
    "emoji": "🧠 scan 🩻.nii.gz",
    "250 characters": "n" * 243 + ".nii.gz",
    "no UTF-8": os.fsdecode(b"\xff\xfe\xe9.nii.gz"),
    "HTML": "<img src=x onerror=alert(1)>.nii.gz",
    "SQL": "'; DROP TABLE studies;--.nii.gz",
    "ANSI escapes": "\x1b[31mred\x1b[0m.nii.gz",
    "a line break": "one\ntwo.nii.gz",
    "an option": "--output.nii.gz",
    "a change of direction": "scan\u202egz.iin.nii.gz",
    "a format string": "{0} %s %n.nii.gz",
}


def named(folder, name):
    """A good scan of an odd name."""
    return nifti(folder, name)


def damaged(folder, name):
    """A bad scan of an odd name, which the refusal has to tell."""
    path = nifti(folder, name)
    path.write_bytes(path.read_bytes()[:200])
    return path


def device(folder, name):
    return folder / os.path.relpath(f"/dev/{name}", folder)


def listening(folder):
    """A socket; its path must be short."""
    here = os.open(folder, os.O_RDONLY)
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"/proc/self/fd/{here}/s.nii")
    server.close()
    os.close(here)
    return folder / "s.nii"


def folder_with_a_pipe(folder):
    (folder / "pipes").mkdir()
    os.mkfifo(folder / "pipes" / "scan.nii")
    return folder / "pipes"


def link_to_itself(folder):
    (folder / "loop.nii").symlink_to(folder / "loop.nii")
    return folder / "loop.nii"


def link_to_nothing(folder):
    (folder / "gone.nii").symlink_to(folder / "nothing")
    return folder / "gone.nii"


def folder_in_itself(folder):
    (folder / "round").mkdir()
    (folder / "round" / "again").symlink_to(folder / "round")
    return folder / "round"


KIND, PLACES = "names", "files and folders"
NAMES = (
    *(Case(KIND, name, named, None, arguments={"name": file}) for name, file in GOOD.items()),
    *(
        Case(KIND, f"{name}, damaged", damaged, Refusal.UNREADABLE, arguments={"name": file})
        for name, file in GOOD.items()
    ),
    Case(PLACES, "/dev/zero", device, Refusal.UNREADABLE, arguments={"name": "zero"}),
    Case(PLACES, "/dev/null", device, Refusal.UNREADABLE, arguments={"name": "null"}),
    Case(PLACES, "socket", listening, Refusal.UNREADABLE),
    Case(PLACES, "folder with a pipe", folder_with_a_pipe, Refusal.EMPTY_FOLDER),
    Case(PLACES, "link to itself", link_to_itself, ANY),
    Case(PLACES, "link to nothing", link_to_nothing, Refusal.MISSING),
    Case(PLACES, "folder in itself", folder_in_itself, Refusal.EMPTY_FOLDER),
)
