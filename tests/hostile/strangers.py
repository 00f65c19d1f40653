"""Files of other kinds given as scans, and tables that are no reports given as reports."""

import json
import pickle
import struct

from segment.errors import Refusal
from tests.hostile.case import ANY, Case


class Runs:
    """A pickle that would run a command where it is loaded."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was loaded')",))


SAFETENSORS = struct.pack("<Q", 2**30) + b'{"x":'
CONTENTS = {
    "pickle named .pt": ("weights.pt", pickle.dumps(Runs())),
    "pickle named .safetensors": ("weights.safetensors", pickle.dumps(Runs())),
    "pickle named .nii": ("scan.nii", pickle.dumps(Runs())),
    "safetensors with a header of 1 GB": ("weights.safetensors", SAFETENSORS),
    "TOML of 100,000 brackets": ("scan.toml", b"a = " + b"[" * 100_000),
    "JSON of 100,000 brackets": ("scan.json", b"[" * 100_000),
    "PNG": ("scan.png", b"\x89PNG\r\n\x1a\n" + bytes(100)),
    "PDF": ("scan.pdf", b"%PDF-1.7\n" + bytes(400)),
    "program": ("scan", b"\x7fELF" + bytes(400)),
    "HTML page": ("scan.html", b"<html><script>alert(1)</script></html>"),
    "xz": ("scan.nii.xz", b"\xfd7zXZ\x00" + bytes(400)),
    "one byte": ("scan.nii", b"\x1f"),
    "gzip of nothing": ("scan.nii.gz", b"\x1f\x8b"),
    "zip of nothing": ("scan.zip", b"PK\x05\x06" + bytes(18)),
    "DICOM of nothing": ("slice", bytes(128) + b"DICM"),
    "DICOM of zeros": ("slice", bytes(128) + b"DICM" + bytes(5000)),
    "DICOM of noise": ("slice", bytes(128) + b"DICM" + bytes(range(256)) * 40),
}
REPORTS = {
    "100,000 brackets": "[" * 100_000,
    "100,000 tables in one another": '{"a":' * 100_000,
    "a table of 200,000 keys": json.dumps({f"k{n}": n for n in range(200_000)}),
    "a number of 100,000 digits": '{"schema_version": ' + "9" * 100_000 + "}",
    "a number beyond all numbers": '{"schema_version": 1e999999}',
    "no number": '{"schema_version": NaN}',
    "a list": "[1, 2]",
    "halves of characters": '{"exam": "\\ud800"}',
    "texts in the place of lists": '{"schema_version": 1, "exam": "hippocampus", "lines": "x"}',
    "nothing": " ",
}


def written(folder, name, content):
    """Write bytes under a name."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _codes(name):
    return ANY if name.startswith(("zip", "DICOM")) else Refusal.UNREADABLE


STRANGERS = (
    *(
        Case("other files", name, written, _codes(name), arguments={"name": file, "content": data})
        for name, (file, data) in CONTENTS.items()
    ),
    *(
        Case("reports", name, written, ANY, "verify", {"name": "report.json", "content": text})
        for name, text in REPORTS.items()
    ),
)
