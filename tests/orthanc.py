"""A real Orthanc with its DICOMweb plugin, on loopback, with a store of its own."""

import json
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import free_port, wait_for

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
NAME, PASSWORD = "ada", "a-password"
IS_THERE = shutil.which("Orthanc") is not None and PLUGIN.is_file()

needs_server = pytest.mark.skipif(not IS_THERE, reason="needs Debian's orthanc, orthanc-dicomweb")


def log_in(path, monkeypatch):
    """Write the name and password where they are looked for."""
    path.write_text(f"machine 127.0.0.1\nlogin {NAME}\npassword {PASSWORD}\n", encoding="utf-8")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


@contextmanager
def orthanc(folder):
    """Serve an empty store until the block ends; yields the root of its DICOMweb."""
    port = free_port()
    settings = {
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {NAME: PASSWORD},
        "DicomServerEnabled": False,
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(path)], stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/system", process)
            yield f"http://127.0.0.1:{port}/dicom-web"
        finally:
            process.terminate()
            process.wait(timeout=60)
