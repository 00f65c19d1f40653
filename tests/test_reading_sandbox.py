"""Strangers' files are read by a process that the system ends if it takes too much."""

import subprocess
import sys

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian

from segment.errors import Refusal, ScanError
from segment.reading import list_files, read_dicom_series, sandbox
from segment.reading.header import read_header
from tests.hostile.make import dicom_slice, dicom_slices, slice_file

ENDLESS = "while True: pass"
GREEDY = "from segment.reading import child; child._limit(2**27, 60, 60); bytes(2**30)"
SLEEPY = (
    "from segment.reading import child; child._limit(2**30, 60, 1); import time; time.sleep(60)"
)
SPENDER = f"from segment.reading import child; child._limit(2**30, 0, 60)\n{ENDLESS}"
CRASHING = "import os; os.abort()"
BABBLING = "print('no json')"


def run_instead(monkeypatch, code):
    """Let the process run other code, as one would that a file took over."""
    monkeypatch.setattr(sandbox, "COMMAND", ("-c", code))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (SLEEPY, Refusal.TOO_COSTLY),
        (SPENDER, Refusal.TOO_COSTLY),
        (GREEDY, Refusal.UNREADABLE),
        (CRASHING, Refusal.UNREADABLE),
        (BABBLING, Refusal.UNREADABLE),
    ],
)
def test_a_process_that_takes_too_much_or_dies_is_one_refusal(code, refusal, tmp_path, monkeypatch):
    path = slice_file(tmp_path)
    run_instead(monkeypatch, code)
    with pytest.raises(ScanError, match=r"expected a DICOM file.+found .+; \w+") as caught:
        read_header(path)
    assert caught.value.code is refusal


def test_a_value_that_takes_too_much_memory_is_too_costly_and_not_left_out(tmp_path, monkeypatch):
    data, tag, numbers = dicom_slice(), Tag("SliceThickness"), b"1\\" * 2**17
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    data[tag] = RawDataElement(tag, None, len(numbers), numbers, 0, True, True)
    data.save_as(tmp_path / "slice.dcm", enforce_file_format=True)
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 2**23)
    with pytest.raises(ScanError, match=r"slice\.dcm: expected .+ read in some seconds") as caught:
        read_header(tmp_path / "slice.dcm")
    assert caught.value.code is Refusal.TOO_COSTLY


def test_what_parses_dicom_is_not_loaded_by_reading_it(tmp_path):
    folder = dicom_slices(tmp_path / "study")
    code = (
        "import sys; from pathlib import Path; from segment.reading import read_dicom_series;"
        "read_dicom_series(list(Path(sys.argv[1]).iterdir()));"
        "sys.exit(bool({'pydicom', 'SimpleITK'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, folder], check=False).returncode == 0


def test_nothing_is_said_and_no_file_is_left(tmp_path, monkeypatch, capfd):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    read_dicom_series(list_files(dicom_slices(tmp_path / "study")))
    assert capfd.readouterr() == ("", "")
    assert not list(scratch.iterdir())
